"""Balance transactions: each movement of our money at Stripe, and when it can be paid out."""

import msgspec

from domain.deciding import AggregateRef, Fold
from domain.errors import not_none
from domain.events import Event
from domain.ids import stripe_transaction_stream
from domain.money import MicroUsd
from domain.payments.events import StripeBalanceMoved, StripeFundsAvailable


class Transaction(msgspec.Struct, frozen=True):
    """What is recorded of a balance transaction."""

    transaction_id: str
    net: MicroUsd
    """What it brings after fees; below zero what it costs."""
    is_available: bool


def evolve(transaction: Transaction | None, event: Event) -> Transaction | None:
    """Return the balance transaction after an event."""
    match event:
        case StripeBalanceMoved():
            return Transaction(event.transaction_id, MicroUsd(event.amount - event.fee), event.is_available)
        case StripeFundsAvailable():
            seen = not_none(transaction, "what becomes available was seen before")
            return msgspec.structs.replace(seen, is_available=True)
        case _:
            return transaction


FOLD: Fold[Transaction | None] = Fold(initial=None, evolve=evolve)


def transaction_ref(transaction_id: str) -> AggregateRef[Transaction | None]:
    """Return the reference of a balance transaction; it is None until Stripe told of it."""
    return AggregateRef(stripe_transaction_stream(transaction_id), FOLD)


def apply_transaction(transaction: Transaction | None, seen: StripeBalanceMoved) -> tuple[Event, ...]:
    """Record whatever is new of a balance transaction; what is shown twice or late is not."""
    if transaction is None:
        return (seen,)
    if seen.is_available and not transaction.is_available:
        return (StripeFundsAvailable(transaction_id=transaction.transaction_id, net=transaction.net),)
    return ()
