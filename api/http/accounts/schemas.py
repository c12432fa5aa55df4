"""What requests about accounts take and tell."""

from typing import Annotated
from uuid import UUID

import msgspec

from api.application.accounts.passwords import PresentedPassword
from api.application.accounts.sessions import RegisteredAccount
from api.application.closing import Progress
from api.http.rendering import Amount, Balance, Micros, amount_number, balance_number
from domain.accounts.account import Account
from domain.money import MicroUsd

CODE_CHARACTERS_MAX = 100
EMAIL = "you@example.com"
TOKEN = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEiLCJ0eXAiOiJKV1QifQ.eyJzdWIiOiIwMTkz…"  # noqa: S105
ID = "01937b1e-5c00-7000-8000-000000000001"
ACCOUNT_EXAMPLE = {
    "id": ID,
    "email": EMAIL,
    "email_verified": True,
    "balance": 10.5,
    "balance_micros": 10_500_000,
    "roles": [],
}
CLOSED_EXAMPLE = {"refunded": 7.25, "forfeited": 0.0031}

Captcha = Annotated[
    str | None,
    msgspec.Meta(description="The token of a solved CAPTCHA; it is looked at only where one would have to wait."),
]
Code = Annotated[str, msgspec.Meta(max_length=CODE_CHARACTERS_MAX)]
CaptchaOfEmail = Annotated[str, msgspec.Meta(description="Goes with `email`.")]


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an account is made of."""

    email: str
    password: str
    captcha: str = msgspec.field(name="cf-turnstile-response", default="")


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a login shows."""

    email: str
    password: str
    captcha: Captcha = msgspec.field(name="cf-turnstile-response", default=None)

    def presented_password(self) -> PresentedPassword:
        """Return the password as it is to be looked at."""
        return PresentedPassword(self.password, self.captcha)


class NewPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The password that an account has, and the one that it is to have."""

    password: str
    new_password: str
    captcha: Captcha = msgspec.field(name="cf-turnstile-response", default=None)

    def presented_password(self) -> PresentedPassword:
        """Return the password that it has as it is to be looked at."""
        return PresentedPassword(self.password, self.captcha)


class CloseAccountRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The password once more, since this cannot be undone."""

    password: str
    captcha: Captcha = msgspec.field(name="cf-turnstile-response", default=None)

    def presented_password(self) -> PresentedPassword:
        """Return the password as it is to be looked at."""
        return PresentedPassword(self.password, self.captcha)


class VerifyEmail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either the code that came by mail; or ``email`` and a solved CAPTCHA, to have another one mailed."""

    code: Code | None = None
    email: str | None = None
    captcha: CaptchaOfEmail = msgspec.field(name="cf-turnstile-response", default="")


class PasswordReset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either ``email`` and a solved CAPTCHA, to have a code mailed; or the code and another password."""

    email: str | None = None
    captcha: CaptchaOfEmail = msgspec.field(name="cf-turnstile-response", default="")
    code: Code | None = None
    new_password: Annotated[str | None, msgspec.Meta(description="Goes with `code`.")] = None


class Registered(msgspec.Struct, frozen=True):
    """A new account, logged in."""

    id: UUID
    email: str
    token: str

    @classmethod
    def of(cls, made: RegisteredAccount) -> "Registered":
        """Return a new account as it is told."""
        return cls(made.account_id, made.email, made.session_token)


class LoggedIn(msgspec.Struct, frozen=True):
    """A JWT that is good for 12 hours."""

    token: str


class AccountResponse(msgspec.Struct, frozen=True):
    """An account as it sees itself."""

    id: UUID
    email: str
    email_verified: Annotated[bool, msgspec.Meta(description="Whether a code that was mailed there was shown.")]
    balance: Balance
    balance_micros: Micros
    roles: tuple[str, ...]

    @classmethod
    def of(cls, account_id: UUID, account: Account, balance: MicroUsd) -> "AccountResponse":
        """Return an account as it is told."""
        roles: tuple[str, ...] = account.roles
        return cls(account_id, account.email, account.email_verified, balance_number(balance), balance, roles)


class ClosedAccount(msgspec.Struct, frozen=True):
    """What becomes of the balance of a closed account."""

    refunded: Amount
    forfeited: Amount

    @classmethod
    def of(cls, progress: Progress) -> "ClosedAccount":
        """Return how far the closing has come as it is told."""
        return cls(amount_number(progress.refunded), amount_number(progress.forfeited))
