"""The inbox: what Stripe told of, kept before anything is made of it."""

import msgspec

from domain.deciding import AggregateRef, Fold
from domain.events import Event
from domain.ids import AccountId, PaymentId, stripe_event_stream
from domain.payments.events import StripeEventApplied, StripeEventReceived
from domain.payments.ports import StripeEvent


class Inbox(msgspec.Struct, frozen=True):
    """One event of Stripe: whether it came in, and whether what it is about was looked up."""

    received: bool = False
    applied: bool = False
    account_id: AccountId | None = None
    kind: str = ""
    raw: str = ""
    """The body as it came, to be read again after a crash; forgotten once it is applied."""


def evolve(inbox: Inbox, event: Event) -> Inbox:
    """Return the inbox after an event."""
    match event:
        case StripeEventReceived():
            return Inbox(received=True, account_id=event.account_id, kind=event.kind, raw=event.raw)
        case StripeEventApplied():
            return msgspec.structs.replace(inbox, applied=True, raw="")
        case _:
            return inbox


FOLD = Fold(initial=Inbox(), evolve=evolve)


def inbox_ref(stripe_event_id: str) -> AggregateRef[Inbox]:
    """Return the reference of one event of Stripe."""
    return AggregateRef(stripe_event_stream(stripe_event_id), FOLD)


def receive(inbox: Inbox, told: StripeEvent, account_id: AccountId) -> tuple[Event, ...]:
    """Keep what Stripe told; told again, nothing is kept. ``account_id``: whose payment it is, or UNKNOWN_PAYER."""
    if inbox.received:
        return ()
    return (
        StripeEventReceived(
            account_id=account_id,
            stripe_event_id=told.stripe_event_id,
            kind=told.kind,
            raw=told.raw,
            happened_at=told.happened_at,
        ),
    )


def note_applied(inbox: Inbox, stripe_event_id: str, payment_id: PaymentId | None) -> tuple[Event, ...]:
    """Note that what an event is about was looked up and recorded."""
    if inbox.applied:
        return ()
    return (StripeEventApplied(stripe_event_id=stripe_event_id, payment_id=payment_id),)
