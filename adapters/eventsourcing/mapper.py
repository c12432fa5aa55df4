"""The mapper: events of the ledger as the library hands them to applications and projections."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, NotSupportedError, StoredEvent


@dataclass(frozen=True)
class LedgerEvent:
    """An event as it was stored, whatever its type; personal text in it stays sealed."""

    originator_id: UUID
    """Its stream."""
    originator_version: int
    type: str
    """Its stored name and version, such as ``wallet.minutes-metered.v1``."""
    fields: dict[str, Any]
    """Its payload. Amounts are whole millionths of a US dollar, times microseconds since 1970 in UTC."""


class LedgerMapper(Mapper[UUID]):
    """Needs no classes: the types of the ledger are names, and no paths to code as those of the library are."""

    def to_domain_event(self, stored_event: StoredEvent) -> LedgerEvent:
        """Return the event; raises json.JSONDecodeError where it was not the service that stored it."""
        return LedgerEvent(
            UUID(str(stored_event.originator_id)),
            stored_event.originator_version,
            stored_event.topic,
            json.loads(stored_event.state),
        )

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """Raise NotSupportedError: what is in the ledger was decided by the service."""
        raise NotSupportedError(f"{domain_event!r} is no event of the ledger's own")
