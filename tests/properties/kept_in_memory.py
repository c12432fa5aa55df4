"""What a service keeps, in memory: for time that is played, which no database can keep up with."""

from uuid import UUID

from adapters.memory.blobs import MemoryBlobs
from adapters.memory.event_store import MemoryEventStore
from adapters.memory.leases import LeaseTable, MemoryLeases
from adapters.sealing.key_tables import MemoryKeyTable
from domain.ports import Clock
from tests.properties.open_work import MemoryOpenWork


class KeptInMemory:
    """Implements ``tests.api.compute_world.Kept``."""

    def __init__(self, clock: Clock) -> None:
        self.store = MemoryEventStore(clock)
        self.keys = MemoryKeyTable()
        self.blobs = MemoryBlobs(self.store, clock)
        self._leases = LeaseTable(clock)
        self.work = MemoryOpenWork(self.store, self._leases)

    def leases(self, holder: UUID) -> MemoryLeases:
        """Return the leases of one process."""
        return MemoryLeases(self._leases, holder)
