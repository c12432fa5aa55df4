"""What is recorded of a wallet: funds, which VPSs are on, and every minute, paid or waived."""

from typing import Literal
from uuid import UUID

import msgspec

from domain.events import Event, Personal
from domain.ids import AccountId, EventId, HostId, PaymentId, PlanId, TokenId, VpsId
from domain.money import ZERO, MicroUsd
from domain.time import Instant

ReleaseCause = Literal["stop", "delete", "unpaid", "limit", "frozen", "off", "error"]
"""``unpaid``, ``limit`` (a token's) and ``frozen`` end the charge; the guest runs on until the stop takes hold."""
WaiveCause = Literal["unpaid", "limit", "unproven"]
TakenCause = Literal["refund", "outside-refund", "dispute"]
"""``outside-refund``: made in Stripe's dashboard and not asked for here."""
ReturnedCause = Literal["refund-failed", "dispute-won"]
LimitWindow = Literal["total", "month"]
BootEnding = Literal["failed", "abandoned", "slow"]
"""``failed``: the guest let it; ``abandoned``: stopped or deleted before a login; ``slow``: by a login, late."""


class WalletOpened(Event, frozen=True, tag="wallet.opened.v1"):
    """An account has a wallet, with nothing in it."""

    account_id: AccountId


class WalletClosed(Event, frozen=True, tag="wallet.closed.v1"):
    """The account was closed: nothing of it is switched on any more; what runs is deleted and still pays."""

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


class VpsPlanChanged(Event, frozen=True, tag="wallet.vps-plan-changed.v1"):
    """A VPS that is off is of another plan: what it keeps counts by it, and its next minutes cost what that costs."""

    account_id: AccountId
    vps_id: VpsId
    plan_id: PlanId
    at: Instant


class MeterStarted(Event, frozen=True, tag="wallet.meter-started.v2"):
    """A VPS runs since ``at``, the first login after its start.

    The first version did not tell where; what it leaves open is told by the events of the VPS.
    """

    vps_id: VpsId
    generation: int
    at: Instant
    host_id: HostId | None = None
    start_id: str | None = None
    """Which start on which host: what that host shows of it proves its minutes."""


class BootEnded(Event, frozen=True, tag="wallet.boot-ended.v1"):
    """A guest was on from ``began_at`` to ``at`` before anybody could log in, or failed: free, and counted."""

    vps_id: VpsId
    generation: int
    began_at: Instant
    at: Instant
    ending: BootEnding


class MinuteLine(msgspec.Struct, frozen=True, array_like=True, gc=False):
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


class FundsAdded(Event, frozen=True, tag="wallet.funds-added.v1"):
    """A payment was received."""

    account_id: AccountId
    payment_id: PaymentId
    amount: MicroUsd


class FundsTaken(Event, frozen=True, tag="wallet.funds-taken.v1"):
    """A payment, or a part of it, went or is to go back to the payer; the three sums together are that part."""

    account_id: AccountId
    payment_id: PaymentId
    cause: TakenCause
    key: str
    """Which refund or dispute: our id of a refund that was asked for here, else Stripe's id."""
    taken: MicroUsd
    """From the balance."""
    owed: MicroUsd
    """What the balance did not cover: the account owes it."""
    absorbed: MicroUsd
    """What goes beyond all that this payment ever added: our loss."""
    goodwill: MicroUsd = ZERO
    """What of ``taken`` came out of the part of the balance that was given."""


class RefundsAsked(Event, frozen=True, tag="wallet.refunds-asked.v1"):
    """A customer asked for money back: for these refunds, as one request."""

    account_id: AccountId
    keys: tuple[str, ...]
    """As in the ``FundsTaken`` beside it."""
    at: Instant


class FundsReturned(Event, frozen=True, tag="wallet.funds-returned.v1"):
    """What had been taken for a refund or dispute comes back, since the one failed or the other was won."""

    account_id: AccountId
    payment_id: PaymentId
    cause: ReturnedCause
    key: str
    """As in the ``FundsTaken`` that this undoes."""
    amount: MicroUsd
    """To the balance: what the customer had to bear and does not any longer."""
    absorbed: MicroUsd
    """What had been our loss and is no longer."""
    goodwill: MicroUsd = ZERO
    """What of ``amount`` is given and not paid for, as it was before it was taken."""


class ReceivablePaid(Event, frozen=True, tag="wallet.receivable-paid.v1"):
    """Of what came in, this much went at once to what the account owed."""

    account_id: AccountId
    amount: MicroUsd


class DebtWrittenOff(Event, frozen=True, tag="wallet.debt-written-off.v1"):
    """An operator gave up what an account owed."""

    account_id: AccountId
    amount: MicroUsd
    reason: Personal


class BadDebtRecovered(Event, frozen=True, tag="wallet.bad-debt-recovered.v1"):
    """Of what came back by a dispute that was won, this much had been written off."""

    account_id: AccountId
    amount: MicroUsd


class FundsCorrected(Event, frozen=True, tag="wallet.funds-corrected.v1"):
    """An operator put right what an earlier event of this wallet did; that event stays as it is."""

    account_id: AccountId
    correction_id: UUID
    corrects: EventId
    contra: Literal["minutes", "goodwill"]
    """Whether the earlier event charged minutes or gave a credit: which account of the books this is booked against."""
    amount: MicroUsd
    """By how much the balance moves: above zero in favour of the customer."""
    reason: Personal


class TokenLimited(Event, frozen=True, tag="wallet.token-limited.v1"):
    """Minutes of VPSs that a token created may cost this much and no more."""

    account_id: AccountId
    token_id: TokenId
    limit: MicroUsd
    window: LimitWindow
    """All time together, or each month in UTC by itself."""
    expires_at: Instant | None
    """A minute that begins then or later is not limited."""


class TokenUnlimited(Event, frozen=True, tag="wallet.token-unlimited.v1"):
    """Minutes of VPSs that a token created are counted, and may cost anything."""

    account_id: AccountId
    token_id: TokenId
    expires_at: Instant | None
    """A minute that begins then or later is not counted."""


class TokenLimitEnded(Event, frozen=True, tag="wallet.token-limit-ended.v1"):
    """A token was revoked: VPSs that it created run on as the account's own."""

    account_id: AccountId
    token_id: TokenId


class SnapshotsKept(Event, frozen=True, tag="wallet.snapshots-kept.v1"):
    """What the snapshots of a VPS may take of its host's disk, all together, counts against the account's limit."""

    account_id: AccountId
    vps_id: VpsId
    disk_gb: int
    """GiB; 0: it has none."""


class VpsLimitsSet(Event, frozen=True, tag="wallet.vps-limits-set.v1"):
    """An operator gave an account limits of its own for what it may keep; None: those of every other account."""

    account_id: AccountId
    vps_max: int | None
    vps_disk_gb_max: int | None
    """GiB of all its VPSs together."""
    reason: Personal
