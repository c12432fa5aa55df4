"""Verifying: every promise that can be told from the events and the database is looked at in one pass."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from api.application.audit.findings import Report
from api.application.audit.integrity import IntegrityChecks
from api.application.audit.read_models import check_read_models
from api.application.audit.semantics import SemanticChecks
from domain.evidence import EvidenceSource
from domain.ports import Recorded
from projections.read_model import ReadModel
from projections.runner import Feed


class EventReader(Feed, Protocol):
    """An event store that can be read from end to end."""

    def replay(self, after: int = 0) -> AsyncIterator[list[Recorded]]:
        """Yield all events past a position, in lists."""
        ...


Reached = Callable[[int, int], None]
"""Is told how many events were looked at, and how many there are."""


async def verify(
    event_reader: EventReader,
    evidence_source: EvidenceSource,
    database_url: str,
    read_models: Sequence[ReadModel],
    reached: Reached | None = None,
) -> Report:
    """Look at everything up to the present position. The service may go on working meanwhile.

    ``database_url``: as the service's role; its read models are folded anew in temporary tables.
    """
    began_s = time.monotonic()
    evidence = await evidence_source.gather()
    integrity_checks, semantic_checks = IntegrityChecks(), SemanticChecks()
    async for events in event_reader.replay():
        # What was recorded since the evidence was gathered is left for the next audit.
        batch = [event for event in events if event.position <= evidence.position]
        integrity_checks.visit(batch)
        semantic_checks.visit(batch)
        if reached is not None and batch:
            reached(batch[-1].position, evidence.position)
        if len(batch) < len(events):
            break
    if semantic_checks.corrections.are_open:
        await _check_corrected(event_reader, semantic_checks, evidence.position)
    integrity_checks.finish(evidence)
    semantic_checks.finish(evidence)
    read_model_check = await check_read_models(database_url, event_reader, read_models)
    return Report(
        position=evidence.position,
        duration_s=round(time.monotonic() - began_s, 3),
        checks=(*integrity_checks.checks, *semantic_checks.checks, read_model_check),
        open_items=semantic_checks.open_items,
    )


async def _check_corrected(event_reader: EventReader, semantic_checks: SemanticChecks, position: int) -> None:
    async for events in event_reader.replay():
        semantic_checks.corrections.visit_again([event for event in events if event.position <= position])
        if events[-1].position >= position:
            return
