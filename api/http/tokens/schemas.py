"""What requests about access tokens take and tell."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from api.application.tokens import CreatedToken, TokenTerms, TokenUse
from api.http.rendering import (
    NO_AMOUNT,
    Amount,
    AskedAmount,
    Time,
    amount_number,
    asked_amount,
    optional_amount,
    optional_time,
)
from domain.time import from_datetime, to_rfc3339
from domain.tokens.events import Scope
from domain.tokens.token import SCOPES
from domain.wallet.events import LimitWindow

EXAMPLE = {
    "id": "01937b1e-5c00-7000-8000-000000000005",
    "name": "ci-deploy",
    "scopes": ["vps:read", "vps:write", "exec"],
    "spend_limit": 5,
    "limit_window": "month",
    "spent": 1.2345,
    "left": 3.7655,
    "expires_at": "2027-11-23T17:00:00Z",
    "created_at": "2026-11-23T17:00:00Z",
    "last_used_at": "2026-11-23T17:20:00Z",
}
SECRET_EXAMPLE = "vtk_EXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEA"  # noqa: S105


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An access token to be made."""

    name: Annotated[str, msgspec.Meta(description="At most 100 characters.")]
    spend_limit: AskedAmount = msgspec.field(default_factory=NO_AMOUNT)
    """What minutes of its VPSs may cost; left out: anything."""
    limit_window: Annotated[
        LimitWindow | None,
        msgspec.Meta(description="`total` (default): all time together; `month`: each month in UTC by itself."),
    ] = None
    expires_at: Annotated[
        Annotated[datetime, msgspec.Meta(tz=True)] | None, msgspec.Meta(description="In the future; null: never.")
    ] = None
    scopes: Annotated[
        tuple[Scope, ...] | None, msgspec.Meta(description="What it may do, at least one; null: everything.")
    ] = None

    def to_terms(self) -> TokenTerms:
        """Return what this asks for. Raises Invalid."""
        return TokenTerms(
            name=self.name,
            scopes=SCOPES if self.scopes is None else self.scopes,
            spend_limit=asked_amount(self.spend_limit, "spend_limit"),
            limit_window=self.limit_window,
            expires_at=None if self.expires_at is None else from_datetime(self.expires_at),
        )


class TokenResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An access token of the account."""

    id: UUID
    name: str
    scopes: tuple[Scope, ...]
    spend_limit: Amount | None
    limit_window: LimitWindow | None
    spent: Amount
    """By minutes of VPSs that it created: in this month where its limit is for the month, else ever."""
    left: Amount | None
    expires_at: Time | None
    created_at: Time
    last_used_at: Time | None

    @classmethod
    def of(cls, use: TokenUse) -> "TokenResponse":
        """Return a token as it is told."""
        return cls(**_fields(use))


class NewTokenResponse(TokenResponse, frozen=True, kw_only=True):
    """A new access token, with its secret, which is told this once."""

    token: str

    @classmethod
    def of_new(cls, made: CreatedToken) -> "NewTokenResponse":
        """Return a new token as it is told."""
        return cls(**_fields(made.use), token=made.secret)


def _fields(use: TokenUse) -> dict[str, Any]:
    token = use.token
    return {
        "id": token.id,
        "name": token.name,
        "scopes": token.scopes,
        "spend_limit": optional_amount(token.spend_limit),
        "limit_window": token.limit_window,
        "spent": amount_number(use.spent),
        "left": optional_amount(use.left),
        "expires_at": optional_time(token.expires_at),
        "created_at": to_rfc3339(token.created_at),
        "last_used_at": optional_time(use.last_used_at),
    }
