"""Ports by which strangers are told from customers: passwords, sessions, the captcha, counters of tries."""

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from domain.ids import AccountId, TokenId
from domain.time import Instant


class Session(msgspec.Struct, frozen=True):
    """What a session token says, once its signature was checked."""

    account_id: AccountId
    jti: str
    password_number: int
    expires_at: Instant


class SigningKey(msgspec.Struct, frozen=True):
    """A key that signs session tokens, or did."""

    kid: str
    key: bytes
    signs_from: Instant
    """Every process knows it by then."""
    ends_at: Instant | None
    """From when on no token that it signed is believed; None while none follows it."""


class Sessions(Protocol):
    """Session tokens that prove themselves; whether one has ended is for the account to say."""

    def issue(self, account_id: AccountId, password_number: int, now: Instant) -> tuple[str, Session]:
        """Return a new token and what it says."""
        ...

    def read(self, token: str, now: Instant) -> Session | None:
        """Return what a token says; None if it is not ours, not for us, damaged or expired."""
        ...


class PasswordsBusy(Exception):
    """So many passwords are being hashed that another would wait too long."""


class Passwords(Protocol):
    """Slow hashes of passwords, made so that guessing costs."""

    async def hash(self, password: str) -> str:
        """Return the hash of a password in its usual text form. Raises PasswordsBusy."""
        ...

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Tell whether the password is the one hashed; None takes as long and is never. Raises PasswordsBusy."""
        ...


class CaptchaUnavailable(Exception):
    """The captcha's service gave no answer that can be believed."""


class Captcha(Protocol):
    """Whoever tells people from programs."""

    async def passed(self, token: str, address: str | None) -> bool:
        """Tell whether the token proves a person. Raises CaptchaUnavailable."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Quota(msgspec.Struct, frozen=True):
    """How many tries of a kind are allowed within a span of time."""

    name: str
    tries: int
    window_s: int


class Tally(msgspec.Struct, frozen=True):
    """How often a subject tried within the present window, this time included."""

    count: int
    reset_s: int
    """Seconds until the window ends, rounded up."""


class RateCounters(Protocol):
    """Counts of tries that all processes share; losing them all does no harm but to let more through."""

    async def count(self, tries: Sequence[tuple[Quota, str]]) -> list[Tally]:
        """Count one try of each (quota, subject), and return how often each has tried."""
        ...


class OpenClosings(Protocol):
    """What a read model knows of accounts that are being closed. It may be a moment behind."""

    async def open_closings(self, after: AccountId | None, limit: int) -> Sequence[AccountId]:
        """Return closed accounts for which something may be left to be done, in the order of ids, past ``after``."""
        ...

    async def open_erasures(self, after: AccountId | None, limit: int) -> Sequence[AccountId]:
        """Return erased accounts of which something may be left to be destroyed, in the order of ids."""
        ...

    async def closed_accounts(self, after: AccountId | None, limit: int) -> Sequence[AccountId]:
        """Return accounts that are closed and not erased, in the order of ids."""
        ...


class Leftovers(Protocol):
    """A place beside the events where something of a person is kept."""

    async def forget(self, account_id: AccountId, emails: Collection[str], token_ids: Collection[TokenId]) -> None:
        """Destroy whatever is kept here of an account; again, it changes nothing.

        ``emails``: in lower case, addresses that it had. ``token_ids``: of every token that it ever had.
        """
        ...
