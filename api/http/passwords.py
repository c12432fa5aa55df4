"""The password of whoever is signed in already, asked for once more before something grave."""

from api.http import rate_limits
from api.http.call import Call
from api.settings import Settings
from domain.accounts import account as accounts
from domain.accounts import logins
from domain.accounts.ports import Quota


def login_quota(settings: Settings) -> Quota:
    """Return how often one address may show a password."""
    return Quota("login", settings.logins_per_minute, 60)


async def check_password(call: Call, password: str) -> None:
    """Raise WrongPassword unless it is the account's; a wrong one counts as a failed login.

    Whoever has a session only may not guess faster than at the login: raises RateLimited, TooManyAttempts.
    """
    runtime = call.runtime
    quota = login_quota(runtime.settings)
    rate_limits.check(quota, await rate_limits.count(runtime, quota, call.arrival.address))
    view = logins.logins_view(call.account_id)
    logins.check_delay((await runtime.ledger.read(view)).of(view), runtime.clock.now())
    if await runtime.passwords.verify(call.owner.password_hash, password):
        return
    await runtime.ledger.execute(
        (view,),
        lambda sight, now: logins.fail(sight.of(view), call.account_id, call.account_id, now),
        call.context("password"),
    )
    raise accounts.WrongPassword
