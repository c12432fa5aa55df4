"""Money that was paid in: what adds it to a wallet, what claws it back, what an operator puts right."""

from collections.abc import Iterable
from functools import reduce
from uuid import UUID

import msgspec

from domain.errors import Invalid, InvariantBroken, Refusal
from domain.events import Event
from domain.ids import EventId, PaymentId
from domain.money import ZERO, MicroUsd, exact_usd
from domain.time import Instant
from domain.wallet.events import (
    BadDebtRecovered,
    DebtWrittenOff,
    FundsAdded,
    FundsCorrected,
    FundsCredited,
    FundsReturned,
    FundsTaken,
    MinutesMetered,
    ReturnedCause,
    TakenCause,
    VpsReleased,
)
from domain.wallet.funds import InsufficientBalance, check_reason, owner, settle_debt
from domain.wallet.wallet import Wallet, evolve


class NothingOwed(Refusal):
    """An account owes nothing that could be written off."""

    code = "nothing_owed"
    sentence = "the account owes nothing"


class MoreThanRefundable(Refusal):
    """More is asked back than was paid for and not used; both facts in micro-USD."""

    code = "more_than_refundable"
    sentence = "more than can be refunded"

    def __init__(self, *, refundable: MicroUsd, requested: MicroUsd) -> None:
        super().__init__(refundable=refundable, requested=requested)


class Part(msgspec.Struct, frozen=True):
    """How an amount that goes back to the payer is borne; ``taken``, ``owed`` and ``absorbed`` are it together."""

    taken: MicroUsd
    owed: MicroUsd
    absorbed: MicroUsd
    goodwill: MicroUsd = ZERO
    """What of ``taken`` comes out of the part of the balance that was given."""

    @property
    def clawed(self) -> MicroUsd:
        """What the customer bears."""
        return MicroUsd(self.taken + self.owed)


def add_payment(wallet: Wallet, payment_id: PaymentId, amount: MicroUsd) -> tuple[Event, ...]:
    """Add a payment that was received. That it is added once is for the claim in the same append to see to."""
    if amount <= 0:
        raise InvariantBroken("a payment brings something")
    return _coming_in(wallet, FundsAdded(account_id=owner(wallet), payment_id=payment_id, amount=amount))


def part(wallet: Wallet, amount: MicroUsd, left_of_payment: MicroUsd) -> Part:
    """Return how an amount is borne that Stripe takes back, of a payment of which so much is not clawed back yet."""
    clawed = min(amount, left_of_payment)
    taken = min(clawed, wallet.balance)
    goodwill = MicroUsd(max(0, taken - wallet.refundable))
    return Part(taken, MicroUsd(clawed - taken), MicroUsd(amount - clawed), goodwill)


def take_refund(wallet: Wallet, payment_id: PaymentId, key: str, amount: MicroUsd) -> FundsTaken:
    """Take what the account wants back from its balance: only what was paid for. Raises MoreThanRefundable."""
    if amount > wallet.refundable:
        raise MoreThanRefundable(refundable=wallet.refundable, requested=amount)
    return _taken(wallet, payment_id, "refund", key, Part(amount, ZERO, ZERO))


def claw_back(
    wallet: Wallet, payment_id: PaymentId, cause: TakenCause, key: str, borne: Part, now: Instant
) -> tuple[Event, ...]:
    """Take what Stripe has taken from us; where that leaves a debt, everything of the account is released.

    The caller asks for the stop of each VPS that is released (``VpsReleased``) in the same append.
    """
    events: list[Event] = [_taken(wallet, payment_id, cause, key, borne)]
    if borne.owed:
        events += [
            VpsReleased(vps_id=meter.vps_id, generation=meter.generation, at=now, cause="frozen")
            for meter in wallet.meters_on()
        ]
    return tuple(events)


def give_back(wallet: Wallet, payment_id: PaymentId, cause: ReturnedCause, key: str, borne: Part) -> tuple[Event, ...]:
    """Undo what was taken for a refund that failed or a dispute that was won."""
    returned = FundsReturned(
        account_id=owner(wallet),
        payment_id=payment_id,
        cause=cause,
        key=key,
        amount=borne.clawed,
        absorbed=borne.absorbed,
        goodwill=borne.goodwill,
    )
    events = _coming_in(wallet, returned)
    after = evolved(wallet, events)
    # What was given up comes back first, as far as it was given up for want of just this money.
    recovered = min(after.debts.given_up.get(payment_id, ZERO), borne.owed, after.balance)
    if recovered:
        events = (*events, BadDebtRecovered(account_id=owner(wallet), amount=MicroUsd(recovered)))
    return events


def write_off(wallet: Wallet, reason: str) -> tuple[Event, ...]:
    """Give up what an account owes, so that it can be used again. Raises NothingOwed, Invalid."""
    check_reason(reason)
    if not wallet.receivable:
        raise NothingOwed
    return (DebtWrittenOff(account_id=owner(wallet), amount=wallet.receivable, reason=reason),)


def correct(
    wallet: Wallet, correction_id: UUID, corrects: EventId, earlier: Event, amount: MicroUsd, reason: str
) -> tuple[Event, ...]:
    """Put right what an earlier event of this wallet did: a charge too much, a credit that was a mistake.

    ``earlier``: the event of the id ``corrects``, of this very wallet. Together, all corrections of one event
    never undo more than it did. Raises Invalid, and InsufficientBalance where the balance does not cover it.
    """
    check_reason(reason)
    if isinstance(earlier, MinutesMetered):
        undoes = sum(line.amount for line in earlier.lines)
        low, high = 0, undoes
    elif isinstance(earlier, FundsCredited):
        low, high = -earlier.amount, 0
    else:
        raise Invalid(fields={"corrects": "must be an event that charged minutes or gave a credit"})
    so_far = wallet.corrected.get(corrects, ZERO)
    if amount == 0 or not low <= so_far + amount <= high:
        least, most = exact_usd(MicroUsd(low)), exact_usd(MicroUsd(high))
        raise Invalid(fields={"amount": f"all corrections of this event must be from {least} to {most} USD"})
    if amount < -wallet.balance:
        raise InsufficientBalance(balance=wallet.balance, required=MicroUsd(-amount))
    corrected = FundsCorrected(
        account_id=owner(wallet),
        correction_id=correction_id,
        corrects=corrects,
        contra="minutes" if isinstance(earlier, MinutesMetered) else "goodwill",
        amount=amount,
        reason=reason,
    )
    return _coming_in(wallet, corrected)


def evolved(wallet: Wallet, events: Iterable[Event]) -> Wallet:
    """Return the wallet after events."""
    return reduce(evolve, events, wallet)


def _coming_in(wallet: Wallet, event: Event) -> tuple[Event, ...]:
    """Return an event that brings money, and what of it goes at once to what the account owes."""
    return (event, *settle_debt(evolve(wallet, event)))


def _taken(wallet: Wallet, payment_id: PaymentId, cause: TakenCause, key: str, borne: Part) -> FundsTaken:
    return FundsTaken(
        account_id=owner(wallet),
        payment_id=payment_id,
        cause=cause,
        key=key,
        taken=borne.taken,
        owed=borne.owed,
        absorbed=borne.absorbed,
        goodwill=borne.goodwill,
    )
