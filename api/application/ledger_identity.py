"""The founding of the ledger, at the first start of all that drives hosts."""

from api.application.repository import AggregateRepository, CommandContext, Loaded
from domain.deciding import Decision, recorded_in
from domain.events import Actor
from domain.ids import LEDGER_STREAM, LedgerId
from domain.ports import Ids
from domain.settings.founding import LEDGER_REF, found
from domain.time import Instant


async def ensure_founded(aggregates: AggregateRepository, ids: Ids) -> LedgerId:
    """Return the ledger's name, the same for ever; a backup of it has the same, an empty database another."""
    wanted = LedgerId(ids.new())

    def decide(loaded: Loaded, _now: Instant) -> Decision:
        return recorded_in(LEDGER_STREAM, *found(loaded.of(LEDGER_REF), wanted))

    outcome = await aggregates.execute([LEDGER_REF], decide, CommandContext(actor=Actor(kind="service", part="start")))
    ledger_id = outcome.loaded.of(LEDGER_REF)
    assert ledger_id is not None
    return ledger_id
