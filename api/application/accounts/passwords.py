"""Passwords that are shown: the one way by which the login and everything else has one looked at.

Each is recorded before it is looked at, so that a hundred at once are a hundred one after the other.
"""

import asyncio
from uuid import UUID

import msgspec

from api.application import rate_limits
from api.application.caller import Caller, Client
from api.application.refusals import CaptchaFailed
from api.application.repository import CommandResult
from api.application.runtime import Runtime
from api.application.settings import Settings
from domain.accounts import account as accounts
from domain.accounts import logins
from domain.accounts.account import Account
from domain.accounts.commands import RehashPassword
from domain.accounts.passwords import spellings
from domain.accounts.ports import PasswordsBusy, Quota, Tally
from domain.deciding import Decision
from domain.events import Actor
from domain.ids import AccountId
from domain.time import Instant

TRIES_SCOPE = "password-tries"
"""Of the keyed hash that stands for an account and a network, so that no address lies about in plain."""

UNDECIDED_LOOKS = 20
UNDECIDED_PAUSE_S = 0.1
"""How often it is looked again, and after how long, whether passwords that are being looked at turned out right.

The one wait in a use case. It is no delay, which would be for the way in to make, but waits for what other requests are
about to record, two seconds at most, as a read waits for its projection. Waiting for the feed instead would wake up at
every event of the ledger for the one of this stream.
"""


class PresentedPassword(msgspec.Struct, frozen=True):
    """A password, and maybe the token of a solved CAPTCHA."""

    password: str
    captcha: str | None = None


class Attempt(msgspec.Struct, frozen=True):
    """A password that was looked at, and what came of it."""

    right: bool
    tries_id: UUID


def login_quota(settings: Settings) -> Quota:
    """Return how often one address may show a password."""
    return Quota("login", settings.logins_per_minute, 60)


async def check_password(runtime: Runtime, caller: Caller, account: Account, presented: PresentedPassword) -> None:
    """Raise WrongPassword unless it is the caller's account's; a wrong one counts as a failed login.

    Whoever has a session only may not guess faster than at the login: raises what ``try_password`` does, and
    RateLimited.
    """
    quota = login_quota(runtime.settings)
    rate_limits.check(quota, await rate_limits.count(runtime, quota, caller.network))
    attempt = await try_password(runtime, caller, caller.account_id, account, presented)
    if not attempt.right:
        await record_failure(runtime, caller, attempt, caller.account_id)
        raise accounts.WrongPassword
    ref = logins.tries_ref(attempt.tries_id)
    decision = logins.confirm(ref.stream, caller.account_id)
    await runtime.aggregates.execute((ref,), lambda _loaded, _now: decision, caller.context("password"))


async def try_password(
    runtime: Runtime, client: Client, subject: AccountId, account: Account, presented: PresentedPassword
) -> Attempt:
    """Look whether a password is an account's, once its turn has come; the outcome is for the caller to record.

    ``subject``: the account's id, or what stands for an address without one, which is treated alike.
    Raises CaptchaOrWait, TooManyAttempts, CaptchaFailed, CaptchaUnavailable or PasswordsBusy.
    """
    tries_id = UUID(bytes=runtime.sealer.keyed_hash(TRIES_SCOPE, f"{subject}:{client.network}")[:16])
    turn = _Turn(runtime, client, subject, tries_id, account.id)
    if presented.captcha is None:
        await turn.by_waiting()
    else:
        await turn.by_waiting_or_captcha(presented.captcha)
    try:
        return Attempt(await _is_right(runtime, client, account, presented.password), tries_id)
    except PasswordsBusy:
        await turn.put_off()
        raise


async def _is_right(runtime: Runtime, client: Client, account: Account, password: str) -> bool:
    """Tell whether a password is the account's. Raises PasswordsBusy."""
    passwords = runtime.passwords
    form, *older = spellings(password)
    if await passwords.verify(account.password_hash or None, form):
        return True
    # For an address without an account too, so that both take as long.
    for spelled in older:
        if await passwords.verify(account.password_hash or None, spelled):
            await _rehash(runtime, client, account, form)
            return True
    return False


async def _rehash(runtime: Runtime, client: Client, account: Account, form: str) -> None:
    assert account.id is not None, "nobody's password is never right"
    ref = accounts.account_ref(account.id)
    command = RehashPassword(await runtime.passwords.hash(form), account.password_hash)
    await runtime.aggregates.execute(
        (ref,),
        lambda loaded, _now: accounts.rehash_password(loaded.of(ref), command),
        client.context_of(account.id, "password", Actor("account", account.id)),
    )


async def record_failure(runtime: Runtime, client: Client, attempt: Attempt, account_id: AccountId | None) -> None:
    """Record that a password was wrong."""
    ref = logins.tries_ref(attempt.tries_id)
    await runtime.aggregates.execute(
        (ref,),
        lambda _loaded, now: logins.fail(ref.stream, account_id, now),
        client.context_of(account_id, "password"),
    )


class _Turn:
    """The turn of one password of one account, from one network."""

    def __init__(
        self, runtime: Runtime, client: Client, subject: AccountId, tries_id: UUID, account_id: AccountId | None
    ) -> None:
        self._runtime = runtime
        self._client = client
        self._subject = subject
        self._account_id = account_id
        self._view = logins.tries_ref(tries_id)

    async def by_waiting(self) -> None:
        """Take the turn. Raises CaptchaOrWait before it has come."""
        outcome = await self._record_in_turn()
        if logins.is_known(outcome.loaded.of(self._view), outcome.at):
            return
        tally = await self._count(logins.FROM_UNKNOWN_NETWORKS, str(self._subject))
        if tally.count > logins.FROM_UNKNOWN_NETWORKS.tries:
            await self.put_off()
            raise logins.CaptchaOrWait(retry_after_seconds=max(1, tally.reset_s))

    async def _record_in_turn(self) -> CommandResult[None]:
        # Programs that log in side by side with the right password meet each other's, and nobody's failures.
        for _ in range(UNDECIDED_LOOKS):
            try:
                return await self._record(waits=True)
            except logins.CaptchaOrWait:
                tries = (await self._runtime.aggregates.load(self._view)).of(self._view)
                if not logins.is_undecided(tries, self._runtime.clock.now()):
                    raise
            await asyncio.sleep(UNDECIDED_PAUSE_S)
        return await self._record(waits=True)

    async def by_waiting_or_captcha(self, token: str) -> None:
        """Take the turn, whether it has come or not. Raises CaptchaFailed, TooManyAttempts."""
        try:
            await self.by_waiting()
        except logins.CaptchaOrWait:
            await self._by_captcha(token)

    async def put_off(self) -> None:
        """Give the turn back: the password is not looked at."""
        decision = logins.put_off(self._view.stream, self._account_id)
        await self._runtime.aggregates.execute(
            (self._view,), lambda _loaded, _now: decision, self._client.context_of(self._account_id, "password")
        )

    async def _by_captcha(self, token: str) -> None:
        runtime = self._runtime
        # Before it is counted: whoever solves none uses up nobody's share.
        if not await runtime.captcha.passed(token, self._client.address):
            raise CaptchaFailed
        await self._check_share(logins.WITH_CAPTCHA_FROM_NETWORK, str(self._view.stream))
        tries = (await runtime.aggregates.load(self._view)).of(self._view)
        if not logins.is_known(tries, runtime.clock.now()):
            await self._check_share(logins.WITH_CAPTCHA_FROM_UNKNOWN_NETWORKS, str(self._subject))
        await self._record(waits=False)

    async def _check_share(self, quota: Quota, subject: str) -> None:
        tally = await self._count(quota, subject)
        if tally.count > quota.tries:
            raise logins.TooManyAttempts(retry_after_seconds=max(1, tally.reset_s))

    async def _count(self, quota: Quota, subject: str) -> Tally:
        return (await self._runtime.rate_counters.count([(quota, subject)]))[0]

    async def _record(self, *, waits: bool) -> CommandResult[None]:
        def decide(now: Instant, tries: logins.Tries) -> Decision:
            return logins.try_password(tries, self._view.stream, self._account_id, now, waits=waits)

        return await self._runtime.aggregates.execute(
            (self._view,),
            lambda loaded, now: decide(now, loaded.of(self._view)),
            self._client.context_of(self._account_id, "password"),
        )
