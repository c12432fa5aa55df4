"""Wallets of accounts whose tokens have limits."""

from datetime import UTC, datetime
from uuid import UUID

from domain.events import Event
from domain.ids import PlanId, TokenId, VpsId
from domain.money import MicroUsd
from domain.time import MINUTE, Instant, from_datetime
from domain.wallet.events import LimitWindow, MeterStarted, TokenLimited, VpsAdmitted
from domain.wallet.proofs import Proof
from tests.domain.wallet.wallets import ACCOUNT, SMALL, T0, WEB

CI, OPS = TokenId(UUID(int=41)), TokenId(UUID(int=42))
MIDNIGHT = from_datetime(datetime(2023, 12, 1, tzinfo=UTC))
"""Between two months."""


def limited(
    micros: int, window: LimitWindow = "total", token_id: TokenId = CI, expires_at: Instant | None = None
) -> TokenLimited:
    return TokenLimited(ACCOUNT, token_id, MicroUsd(micros), window, expires_at)


def created_by(
    token_id: TokenId | None, vps_id: VpsId = WEB, *, since: Instant = T0, plan: PlanId = SMALL, generation: int = 1
) -> tuple[Event, ...]:
    """Return what is recorded of a VPS that a token created, and that runs since an instant."""
    return (
        VpsAdmitted(ACCOUNT, vps_id, generation, plan, token_id, T0),
        MeterStarted(vps_id, generation, since),
    )


def until(instant: int) -> Proof:
    return Proof(1, "boot/1", 1, Instant(instant))


def in_minutes(instant: int) -> float:
    return (instant - T0) / MINUTE
