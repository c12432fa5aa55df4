"""What is asked of a wallet."""

from uuid import UUID

import msgspec

from domain.ids import PlanId, TokenId, VpsId
from domain.money import MicroUsd
from domain.time import Instant
from domain.wallet.boots import FAILED_STARTS_OF_ACCOUNT_MAX


class CreditFunds(msgspec.Struct, frozen=True):
    """Give an account funds, as goodwill."""

    credit_id: UUID
    amount: MicroUsd
    reason: str


class AdmitVps(msgspec.Struct, frozen=True):
    """Let a VPS be switched on, as this generation: a new one, or one that was off."""

    vps_id: VpsId
    generation: int
    plan_id: PlanId
    created_at: Instant
    """When the VPS was created, not when it is switched on."""
    token_id: TokenId | None = None
    """The token that created it: what its minutes count against."""
    asked_by: TokenId | None = None
    """The token that asks; None: a session does."""
    failed_starts_max: int = FAILED_STARTS_OF_ACCOUNT_MAX
    """How many starts the guests of the account may let fail within an hour."""
