"""The founding of the ledger: it is given a name, once, by which what is made for it is known again."""

from domain.deciding import AggregateRef, Fold
from domain.events import Event
from domain.ids import LEDGER_STREAM, LedgerId
from domain.settings.events import LedgerFounded


def evolve(ledger_id: LedgerId | None, event: Event) -> LedgerId | None:
    """Return the ledger's name after an event of its stream."""
    return event.ledger_id if isinstance(event, LedgerFounded) else ledger_id


LEDGER_REF: AggregateRef[LedgerId | None] = AggregateRef(LEDGER_STREAM, Fold(initial=None, evolve=evolve))


def found(ledger_id: LedgerId | None, wanted: LedgerId) -> tuple[Event, ...]:
    """Return what is recorded of a ledger that has no name yet; one that has keeps it for ever."""
    return (LedgerFounded(wanted),) if ledger_id is None else ()
