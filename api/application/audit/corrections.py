"""Checks of corrections: each puts right an event that is there, of its own wallet, and undoes no more than it did."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from api.application.audit.findings import Check
from domain import codec
from domain.events import Event
from domain.ids import AccountId, EventId
from domain.ports import Recorded
from domain.wallet.events import FundsCorrected, FundsCredited, MinutesMetered

_CORRECTED = codec.names_read_as(MinutesMetered) | codec.names_read_as(FundsCredited)


class _Correction(msgspec.Struct, frozen=True):
    position: int
    event: FundsCorrected


class Corrections:
    """Sees every event once; if there were corrections, every event that might be corrected once more."""

    def __init__(self) -> None:
        self._corrections: dict[EventId, list[_Correction]] = defaultdict(list)
        self._found: set[EventId] = set()
        self.corrections = Check("every correction is of an event of its wallet, and undoes no more than that did")

    @property
    def checks(self) -> tuple[Check, ...]:
        """Return the checks that these are."""
        return (self.corrections,)

    @property
    def are_open(self) -> bool:
        """Whether the events that were corrected are to be looked up."""
        return bool(self._corrections)

    def visit(self, position: int, event: Event) -> None:
        """Look at the next event."""
        if isinstance(event, FundsCorrected):
            self.corrections.seen += 1
            self._corrections[event.corrects].append(_Correction(position, event))

    def visit_again(self, batch: Sequence[Recorded]) -> None:
        """Find the events that were corrected; that anything is remembered of every minute would take too much room."""
        for recorded in batch:
            if recorded.type not in _CORRECTED:
                continue
            event_id = EventId(codec.decode_metadata(recorded).id)
            if (corrections := self._corrections.get(event_id)) is not None:
                self._found.add(event_id)
                self._compare(recorded.position, codec.decode(recorded), corrections)

    def finish(self) -> None:
        """Tell what was corrected and is not there."""
        for event_id, corrections in self._corrections.items():
            if event_id not in self._found:
                self.corrections.fault(f"position {corrections[0].position} corrects {event_id}, which is not there")

    def _compare(self, earlier_position: int, earlier: Event, corrections: Sequence[_Correction]) -> None:
        assert isinstance(earlier, MinutesMetered | FundsCredited)
        account_id: AccountId = earlier.account_id
        if isinstance(earlier, MinutesMetered):
            contra, low, high = "minutes", 0, sum(line.amount for line in earlier.lines)
        else:
            contra, low, high = "goodwill", -earlier.amount, 0
        undone = 0
        for correction in corrections:
            where, event = f"position {correction.position}", correction.event
            undone += event.amount
            if correction.position < earlier_position or event.account_id != account_id or event.contra != contra:
                self.corrections.fault(f"{where} corrects position {earlier_position}, which it cannot")
            elif not low <= undone <= high:
                self.corrections.fault(f"{where}: {undone} micro-USD put right, where {low} to {high} can be")
