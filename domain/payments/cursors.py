"""Cursors: up to where everything that Stripe tells of was looked through."""

from typing import Literal

import msgspec

from domain.deciding import AggregateRef, Fold
from domain.events import Event
from domain.ids import STRIPE_STREAM
from domain.payments.events import StripeSwept
from domain.time import Instant

What = Literal["events", "transactions"]


class Cursors(msgspec.Struct, frozen=True):
    """By what is looked through: until when that was done."""

    until: dict[What, Instant] = {}

    def of(self, what: What) -> Instant:
        """Return until when it was looked through; 0 where it never was."""
        return self.until.get(what, Instant(0))


def evolve(cursors: Cursors, event: Event) -> Cursors:
    """Return the cursors after an event."""
    if not isinstance(event, StripeSwept):
        return cursors
    return Cursors({**cursors.until, event.what: event.until})


CURSORS: AggregateRef[Cursors] = AggregateRef(STRIPE_STREAM, Fold(initial=Cursors(), evolve=evolve, snapshot=Cursors))


def note_swept(cursors: Cursors, what: What, cursor: str, until: Instant) -> tuple[Event, ...]:
    """Note how far one has come; who comes with less records nothing."""
    if until <= cursors.of(what):
        return ()
    return (StripeSwept(what=what, cursor=cursor, until=until),)
