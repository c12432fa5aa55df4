"""The wallet of an account: its balance, and a meter for each VPS."""

from collections.abc import Iterator

import msgspec

from domain.deciding import Fold, View
from domain.events import Event
from domain.ids import AccountId, PlanId, TokenId, VpsId, wallet_stream
from domain.money import ZERO, MicroUsd
from domain.time import MINUTE, Instant
from domain.wallet.events import (
    FundsCredited,
    MeterClosed,
    MeterStarted,
    MinuteLine,
    MinutesMetered,
    MinutesWaived,
    VpsAdmitted,
    VpsReleased,
    WalletOpened,
)


class Meter(msgspec.Struct, frozen=True):
    """What a VPS has used and may still owe. It goes on counting over all starts of its VPS."""

    vps_id: VpsId
    generation: int
    """The start that the fields from ``run_from`` on are about."""
    plan_id: PlanId
    token_id: TokenId | None
    created_at: Instant
    used_n: int = 0
    """The last minute used, paid or waived."""
    paid_n: int = 0
    """How many minutes were paid."""
    paid: MicroUsd = ZERO
    """What they cost together."""
    next_at: Instant | None = None
    """When the last used minute is over: the next one begins then, or when the VPS next runs."""
    run_from: Instant | None = None
    """The first login of this start; None while it boots."""
    runs_until: Instant | None = None
    """Stop or delete accepted, off, or in error: from here the VPS counts as not running."""
    released_at: Instant | None = None
    """From here nothing is charged: ``runs_until``, or earlier where a minute could not be paid."""
    deleted: bool = False
    closed: bool = False
    """The host showed this start off, or it never ran: no more minutes of it fall due."""

    @property
    def on(self) -> bool:
        """Whether an hour of this VPS is held back at each admission."""
        return self.released_at is None

    @property
    def first_due_at(self) -> Instant | None:
        """When the next minute begins if the VPS still runs by then; None while it boots or once closed."""
        if self.run_from is None or self.closed:
            return None
        return self.run_from if self.next_at is None else max(self.next_at, self.run_from)

    @property
    def due_at(self) -> Instant | None:
        """When the next minute begins that is to be paid; None where there is none as things stand."""
        first = self.first_due_at
        if first is None or (self.released_at is not None and first >= self.released_at):
            return None
        return first


class Wallet(msgspec.Struct, frozen=True):
    """Prepaid funds of an account, in micro-USD, and the meters of its VPSs that are not deleted."""

    account_id: AccountId | None = None
    """None until the wallet is opened."""
    balance: MicroUsd = ZERO
    meters: dict[VpsId, Meter] = {}

    def meters_on(self) -> Iterator[Meter]:
        """Return the meters of the VPSs that are on."""
        return (meter for meter in self.meters.values() if meter.on)


def evolve(wallet: Wallet, event: Event) -> Wallet:
    """Return the wallet after an event; events of other contexts change nothing."""
    match event:
        case WalletOpened():
            return msgspec.structs.replace(wallet, account_id=event.account_id)
        case FundsCredited():
            return msgspec.structs.replace(wallet, balance=wallet.balance + event.amount)
        case MinutesMetered():
            paid = sum(line.amount for line in event.lines)
            wallet = msgspec.structs.replace(wallet, balance=wallet.balance - paid)
            return _with_used(wallet, event.lines, paid=True)
        case MinutesWaived():
            return _with_used(wallet, event.lines, paid=False)
        case VpsAdmitted():
            return _with_meter(wallet, _admitted(wallet.meters.get(event.vps_id), event))
        case MeterStarted():
            return _with_meter(wallet, _changed(wallet, event.vps_id, run_from=event.at))
        case VpsReleased():
            return _with_meter(wallet, _released(wallet.meters[event.vps_id], event))
        case MeterClosed():
            return _with_meter(wallet, _changed(wallet, event.vps_id, closed=True))
        case _:
            return wallet


FOLD: Fold[Wallet] = Fold(initial=Wallet(), evolve=evolve, snapshot=Wallet)


def wallet_view(account_id: AccountId) -> View[Wallet]:
    """Return the view of an account's wallet."""
    return View(wallet_stream(account_id), FOLD)


def _admitted(before: Meter | None, event: VpsAdmitted) -> Meter:
    return Meter(
        vps_id=event.vps_id,
        generation=event.generation,
        plan_id=event.plan_id,
        token_id=event.token_id,
        created_at=event.created_at,
        used_n=before.used_n if before else 0,
        paid_n=before.paid_n if before else 0,
        paid=before.paid if before else ZERO,
        next_at=before.next_at if before else None,
    )


def _released(meter: Meter, event: VpsReleased) -> Meter:
    runs_until = meter.runs_until if event.cause == "unpaid" else _earlier(meter.runs_until, event.at)
    return msgspec.structs.replace(
        meter,
        runs_until=runs_until,
        released_at=_earlier(meter.released_at, event.at),
        deleted=meter.deleted or event.cause == "delete",
        closed=meter.closed or meter.run_from is None,
    )


def _earlier(one: Instant | None, other: Instant) -> Instant:
    return other if one is None else min(one, other)


def _with_used(wallet: Wallet, lines: tuple[MinuteLine, ...], *, paid: bool) -> Wallet:
    meters = dict(wallet.meters)
    for line in lines:
        count = line.n_to - line.n_from + 1
        meter = meters[line.vps_id]
        meters[line.vps_id] = msgspec.structs.replace(
            meter,
            used_n=line.n_to,
            paid_n=meter.paid_n + (count if paid else 0),
            paid=MicroUsd(meter.paid + (line.amount if paid else 0)),
            next_at=Instant(line.at + count * MINUTE),
        )
    return msgspec.structs.replace(wallet, meters=meters)


def _changed(wallet: Wallet, vps_id: VpsId, **changes: object) -> Meter:
    return msgspec.structs.replace(wallet.meters[vps_id], **changes)


def _with_meter(wallet: Wallet, meter: Meter) -> Wallet:
    meters = {**wallet.meters, meter.vps_id: meter}
    if meter.closed and meter.deleted:
        del meters[meter.vps_id]
    return msgspec.structs.replace(wallet, meters=meters)
