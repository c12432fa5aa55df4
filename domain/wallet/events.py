"""What is recorded of a wallet: funds, which VPSs are on, and every minute, paid or waived."""

from typing import Literal
from uuid import UUID

import msgspec

from domain.events import Event, Personal
from domain.ids import AccountId, PlanId, TokenId, VpsId
from domain.money import MicroUsd
from domain.time import Instant

ReleaseCause = Literal["stop", "delete", "unpaid", "off", "error"]
WaiveCause = Literal["unpaid", "unproven"]


class WalletOpened(Event, frozen=True, tag="wallet.opened.v1"):
    """An account has a wallet, with nothing in it."""

    account_id: AccountId


class FundsCredited(Event, frozen=True, tag="wallet.funds-credited.v1"):
    """An operator gave funds, as goodwill."""

    account_id: AccountId
    credit_id: UUID
    amount: MicroUsd
    reason: Personal


class VpsAdmitted(Event, frozen=True, tag="wallet.vps-admitted.v1"):
    """A VPS may be on: from here until its release, an hour of it is held back at each admission."""

    account_id: AccountId
    vps_id: VpsId
    generation: int
    plan_id: PlanId
    token_id: TokenId | None
    created_at: Instant
    """When the VPS was created: of minutes due at one instant, the older VPS pays first."""


class MeterStarted(Event, frozen=True, tag="wallet.meter-started.v1"):
    """A VPS runs since ``at``, the first login after its start."""

    vps_id: VpsId
    generation: int
    at: Instant


class MinuteLine(msgspec.Struct, frozen=True, array_like=True):
    """Minutes ``n_from`` to ``n_to`` of one VPS at one price; the k-th of them began 60·k s after ``at``."""

    vps_id: VpsId
    n_from: int
    n_to: int
    at: Instant
    plan_id: PlanId
    price_version: int
    price_hourly: MicroUsd
    amount: MicroUsd


class MinutesMetered(Event, frozen=True, tag="wallet.minutes-metered.v1"):
    """Minutes were paid from the prepaid balance, in the order of their beginnings."""

    account_id: AccountId
    lines: tuple[MinuteLine, ...]


class MinutesWaived(Event, frozen=True, tag="wallet.minutes-waived.v1"):
    """Minutes were used up that nobody pays; ``amount`` of a line is what they would have cost."""

    account_id: AccountId
    cause: WaiveCause
    lines: tuple[MinuteLine, ...]


class VpsReleased(Event, frozen=True, tag="wallet.vps-released.v1"):
    """A VPS is no longer on. Its chargeable time ends at ``at``.

    After ``unpaid`` it goes on running until the stop takes hold; those minutes are waived.
    """

    vps_id: VpsId
    generation: int
    at: Instant
    cause: ReleaseCause


class MeterClosed(Event, frozen=True, tag="wallet.meter-closed.v1"):
    """The host shows this start of the VPS off since ``off_at`` at the latest: nothing more can fall due."""

    vps_id: VpsId
    generation: int
    off_at: Instant
