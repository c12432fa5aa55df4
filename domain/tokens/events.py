"""What is recorded of access tokens; their secrets never are."""

from typing import Literal

from domain.events import Event, Personal
from domain.ids import AccountId, TokenId
from domain.money import MicroUsd
from domain.time import Instant
from domain.wallet.events import LimitWindow

Scope = Literal["vps:read", "vps:write", "exec", "files", "billing:read", "keys"]


class TokenCreated(Event, frozen=True, tag="tokens.token-created.v1"):
    """An account has another access token."""

    account_id: AccountId
    token_id: TokenId
    name: Personal
    secret_digest: str
    """SHA-256 of the whole token, in hexadecimal: 256 random bits need no slow hash."""
    scopes: tuple[Scope, ...]
    spend_limit: MicroUsd | None
    limit_window: LimitWindow | None
    expires_at: Instant | None
    created_at: Instant


class TokenRevoked(Event, frozen=True, tag="tokens.token-revoked.v1"):
    """A token is good for nothing any more; VPSs that it created run on, without its limit."""

    account_id: AccountId
    token_id: TokenId
    at: Instant
