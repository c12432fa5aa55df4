"""Another password by a mailed code; whether an address has an account is told by nothing."""

from api.application.accounts.mailed_codes import find_code, have_code_mailed, new_code
from api.application.caller import Client
from api.application.runtime import Runtime
from domain.accounts import resetting
from domain.accounts.account import account_ref
from domain.accounts.passwords import checked_password
from domain.accounts.resetting import RESETS_OF_ADDRESS, RequestReset, ResetPassword
from domain.alerts.alerts import alerts_ref
from domain.alerts.codes import CodeRefused
from domain.events import Actor
from domain.ids import AccountId

_STEP = "password-reset"


async def request_reset(runtime: Runtime, client: Client, email: str) -> None:
    """Have a code mailed to an address, if it is that of an account."""

    async def have_mailed(account_id: AccountId) -> None:
        command = RequestReset(*new_code(runtime, "password-reset"))
        account, alerts = account_ref(account_id), alerts_ref(account_id)
        await runtime.aggregates.execute(
            (account, alerts),
            lambda loaded, now: resetting.request_reset(loaded.of(account), command, now),
            client.context_of(account_id, _STEP, Actor("anonymous")),
        )

    await have_code_mailed(runtime, email, RESETS_OF_ADDRESS, have_mailed)


async def reset_password(runtime: Runtime, client: Client, code: str, new_password: str) -> None:
    """Give an account another password by a mailed code. Raises Invalid, CodeRefused or PasswordsBusy."""
    new_password = checked_password(new_password, "new_password")
    account_id, reset_id, digest = await find_code(runtime, "password-reset", code)
    account, alerts = account_ref(account_id), alerts_ref(account_id)
    refs, context = (account, alerts), client.context_of(account_id, _STEP, Actor("anonymous"))
    # Before anything is hashed: a wrong code costs us no more than it is worth.
    looked = await runtime.aggregates.execute(
        refs,
        lambda loaded, now: resetting.fail_reset(loaded.of(account), loaded.of(alerts), reset_id, digest, now),
        context,
    )
    if looked.events:
        raise CodeRefused
    command = ResetPassword(reset_id, digest, await runtime.passwords.hash(new_password))
    await runtime.aggregates.execute(
        refs,
        lambda loaded, now: resetting.reset_password(loaded.of(account), loaded.of(alerts), command, now),
        context,
    )
