"""The wallet of an account: its balance, and a meter for each VPS."""

from collections.abc import Iterator

import msgspec

from domain.deciding import AggregateRef, Fold
from domain.events import Event
from domain.ids import AccountId, EventId, TokenId, VpsId, wallet_stream
from domain.money import ZERO, MicroUsd
from domain.wallet.asked_refunds import AskedRefunds, with_asked, without_failed
from domain.wallet.boots import Boot, with_boot
from domain.wallet.debts import Debts, give_up, owe, pay, recover, return_of
from domain.wallet.events import (
    BadDebtRecovered,
    BootEnded,
    DebtWrittenOff,
    FundsAdded,
    FundsCorrected,
    FundsCredited,
    FundsReturned,
    FundsTaken,
    MeterClosed,
    MeterStarted,
    MinuteLine,
    MinutesMetered,
    MinutesWaived,
    ReceivablePaid,
    RefundsAsked,
    SnapshotsKept,
    TokenLimited,
    TokenLimitEnded,
    TokenUnlimited,
    VpsAdmitted,
    VpsLimitsSet,
    VpsPlanChanged,
    VpsReleased,
    WalletClosed,
    WalletOpened,
)
from domain.wallet.limits import TokenLimit, counted
from domain.wallet.meter import Meter, admitted, released, used


class Wallet(msgspec.Struct, frozen=True, gc=False):
    """Prepaid funds of an account, in micro-USD, and the meters of its VPSs that are not deleted."""

    account_id: AccountId | None = None
    """None until the wallet is opened."""
    balance: MicroUsd = ZERO
    """Never below zero."""
    goodwill: MicroUsd = ZERO
    """The part of the balance that was given and not paid for; minutes use it first. It is never refunded."""
    receivable: MicroUsd = ZERO
    """What the account owes since more was clawed back than it had left; above zero, the balance is zero."""
    written_off: MicroUsd = ZERO
    """Of what it owed, what was given up and did not come back."""
    debts: Debts = Debts()
    """The same two by payment."""
    meters: dict[VpsId, Meter] = {}
    limits: dict[TokenId, TokenLimit] = {}
    """Of every token that is not revoked: those that have no limit are only counted."""
    corrected: dict[EventId, MicroUsd] = {}
    """By the event that was put right: by how much the balance moved for it, all corrections together."""
    boots: tuple[Boot, ...] = ()
    """Those of about the last hour that count, also of VPSs that are deleted."""
    refunds_asked: tuple[AskedRefunds, ...] = ()
    """By the customer, within about the last 30 days."""

    vps_max: int | None = None
    vps_disk_gb_max: int | None = None
    """How many VPSs it may keep, and of how much disk, GiB, together; None: as for every other account."""
    closed: bool = False
    """Nothing is admitted any more."""

    @property
    def frozen(self) -> bool:
        """Whether the account owes something: then nothing of it may be on."""
        return self.receivable > 0

    @property
    def refundable(self) -> MicroUsd:
        """What of the balance was paid for; it is the part that is deferred revenue, too."""
        return MicroUsd(self.balance - self.goodwill)

    def meters_on(self) -> Iterator[Meter]:
        """Return the meters of the VPSs that are on."""
        return (meter for meter in self.meters.values() if meter.on)


def evolve(wallet: Wallet, event: Event) -> Wallet:
    """Return the wallet after an event; events of other contexts change nothing."""
    match event:
        case WalletOpened():
            return msgspec.structs.replace(wallet, account_id=event.account_id)
        case MinutesMetered():
            paid = sum(line.amount for line in event.lines)
            wallet = msgspec.structs.replace(
                wallet,
                balance=MicroUsd(wallet.balance - paid),
                goodwill=MicroUsd(max(0, wallet.goodwill - paid)),
            )
            return _with_used(wallet, event.lines, paid=True)
        case MinutesWaived():
            return _with_used(wallet, event.lines, paid=False)
        case VpsAdmitted():
            return _with_meter(wallet, admitted(wallet.meters.get(event.vps_id), event))
        case MeterStarted():
            where = {"host_id": event.host_id, "start_id": event.start_id}
            return _with_meter(wallet, _changed(wallet, event.vps_id, run_from=event.at, **where))
        case VpsReleased():
            return _with_meter(wallet, released(wallet.meters[event.vps_id], event))
        case MeterClosed():
            return _with_meter(wallet, _changed(wallet, event.vps_id, closed=True))
        case VpsPlanChanged():
            return _with_meter(wallet, _changed(wallet, event.vps_id, plan_id=event.plan_id))
        case SnapshotsKept():
            return _with_meter(wallet, _changed(wallet, event.vps_id, snapshots_gb=event.disk_gb))
        case TokenLimited():
            limit = TokenLimit(limit=event.limit, window=event.window, expires_at=event.expires_at)
            return msgspec.structs.replace(wallet, limits={**wallet.limits, event.token_id: limit})
        case TokenUnlimited():
            limit = TokenLimit(limit=None, window="total", expires_at=event.expires_at)
            return msgspec.structs.replace(wallet, limits={**wallet.limits, event.token_id: limit})
        case TokenLimitEnded():
            limits = {token_id: limit for token_id, limit in wallet.limits.items() if token_id != event.token_id}
            return msgspec.structs.replace(wallet, limits=limits)
        case BootEnded():
            return msgspec.structs.replace(wallet, boots=with_boot(wallet.boots, event))
        case RefundsAsked():
            return msgspec.structs.replace(wallet, refunds_asked=with_asked(wallet.refunds_asked, event))
        case VpsLimitsSet():
            limits_set = {"vps_max": event.vps_max, "vps_disk_gb_max": event.vps_disk_gb_max}
            return msgspec.structs.replace(wallet, **limits_set)
        case WalletClosed():
            return msgspec.structs.replace(wallet, closed=True)
        case _:
            return _with_funds(wallet, event)


FOLD: Fold[Wallet] = Fold(initial=Wallet(), evolve=evolve, snapshot=Wallet, snapshot_version=10)


def wallet_ref(account_id: AccountId) -> AggregateRef[Wallet]:
    """Return the reference of an account's wallet."""
    return AggregateRef(wallet_stream(account_id), FOLD)


def _with_funds(wallet: Wallet, event: Event) -> Wallet:
    replace = msgspec.structs.replace
    match event:
        case FundsAdded():
            return _moved(wallet, event.amount)
        case FundsCredited():
            wallet = _moved(wallet, event.amount)
            return replace(wallet, goodwill=MicroUsd(wallet.goodwill + event.amount))
        case FundsTaken():
            wallet = replace(
                wallet,
                receivable=MicroUsd(wallet.receivable + event.owed),
                goodwill=MicroUsd(wallet.goodwill - event.goodwill),
                debts=owe(wallet.debts, event.payment_id, event.owed),
            )
            return _moved(wallet, MicroUsd(-event.taken))
        case FundsReturned():
            wallet = _moved(wallet, event.amount)
            debts = return_of(wallet.debts, event.payment_id)
            asked = without_failed(wallet.refunds_asked, event.key)
            goodwill = MicroUsd(wallet.goodwill + event.goodwill)
            return replace(wallet, goodwill=goodwill, debts=debts, refunds_asked=asked)
        case ReceivablePaid():
            receivable, debts = MicroUsd(wallet.receivable - event.amount), pay(wallet.debts, event.amount)
            wallet = replace(wallet, receivable=receivable, debts=debts)
            return _moved(wallet, MicroUsd(-event.amount))
        case DebtWrittenOff():
            return replace(
                wallet,
                receivable=MicroUsd(wallet.receivable - event.amount),
                written_off=MicroUsd(wallet.written_off + event.amount),
                debts=give_up(wallet.debts, event.amount),
            )
        case BadDebtRecovered():
            written_off, debts = MicroUsd(wallet.written_off - event.amount), recover(wallet.debts, event.amount)
            wallet = replace(wallet, written_off=written_off, debts=debts)
            return _moved(wallet, MicroUsd(-event.amount))
        case FundsCorrected():
            return _corrected(wallet, event)
        case _:
            return wallet


def _moved(wallet: Wallet, amount: MicroUsd) -> Wallet:
    """Move the balance; what is taken comes out of the part that was paid for, as long as there is any."""
    balance = MicroUsd(wallet.balance + amount)
    return msgspec.structs.replace(wallet, balance=balance, goodwill=min(wallet.goodwill, balance))


def _corrected(wallet: Wallet, event: FundsCorrected) -> Wallet:
    before = wallet.corrected.get(event.corrects, ZERO)
    corrected = {**wallet.corrected, event.corrects: MicroUsd(before + event.amount)}
    goodwill = wallet.goodwill
    if event.contra == "goodwill":
        goodwill = MicroUsd(max(0, goodwill + event.amount))
    wallet = msgspec.structs.replace(wallet, corrected=corrected, goodwill=goodwill)
    return _moved(wallet, event.amount)


def _with_used(wallet: Wallet, lines: tuple[MinuteLine, ...], *, paid: bool) -> Wallet:
    meters, limits = dict(wallet.meters), wallet.limits
    for line in lines:
        meter = meters[line.vps_id]
        meters[line.vps_id] = used(meter, line, paid=paid)
        if paid and limits:
            limits = counted(limits, meter.token_id, line)
    return msgspec.structs.replace(wallet, meters=meters, limits=limits)


def _changed(wallet: Wallet, vps_id: VpsId, **changes: object) -> Meter:
    return msgspec.structs.replace(wallet.meters[vps_id], **changes)


def _with_meter(wallet: Wallet, meter: Meter) -> Wallet:
    meters = {**wallet.meters, meter.vps_id: meter}
    if meter.closed and meter.deleted:
        del meters[meter.vps_id]
    return msgspec.structs.replace(wallet, meters=meters)
