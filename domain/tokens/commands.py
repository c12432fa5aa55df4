"""What is asked of access tokens."""

import msgspec

from domain.ids import AccountId, TokenId
from domain.money import MicroUsd
from domain.time import Instant
from domain.tokens.events import Scope
from domain.wallet.events import LimitWindow


class CreateToken(msgspec.Struct, frozen=True, kw_only=True):
    """Let whoever shows a secret act for an account, within these bounds."""

    account_id: AccountId
    token_id: TokenId
    name: str
    secret_digest: str
    """As ``digest_of`` makes it."""
    scopes: tuple[Scope, ...]
    spend_limit: MicroUsd | None = None
    limit_window: LimitWindow | None = None
    """None where a limit is told: the total."""
    expires_at: Instant | None = None


class RevokeToken(msgspec.Struct, frozen=True):
    """Believe a token no longer."""

    account_id: AccountId
    token_id: TokenId
