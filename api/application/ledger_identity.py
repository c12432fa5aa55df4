"""The founding of the ledger, at the first start of all that drives hosts."""

from api.application.repository import Context, Ledger, Sight
from domain.deciding import Decision, recorded_in
from domain.events import Actor
from domain.ids import LEDGER_STREAM, LedgerId
from domain.ports import Ids
from domain.settings.founding import LEDGER_VIEW, found
from domain.time import Instant


async def ensure_founded(ledger: Ledger, ids: Ids) -> LedgerId:
    """Return the ledger's name, the same for ever; a backup of it has the same, an empty database another."""
    wanted = LedgerId(ids.new())

    def decide(sight: Sight, _now: Instant) -> Decision:
        return recorded_in(LEDGER_STREAM, *found(sight.of(LEDGER_VIEW), wanted))

    outcome = await ledger.execute([LEDGER_VIEW], decide, Context(actor=Actor(kind="service", part="start")))
    ledger_id = outcome.sight.of(LEDGER_VIEW)
    assert ledger_id is not None
    return ledger_id
