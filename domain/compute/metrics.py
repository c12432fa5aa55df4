"""Metrics of a guest as its host sees them: counters that are kept for an hour, and what they came to in between.

No facts of the ledger: nothing is charged or decided by them, and losing them loses a curve.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from domain.ids import HostId, VpsId
from domain.time import Instant, seconds

GRAIN_S = 10
"""How often hosts are asked."""
KEPT_S = 3_600
SLOTS = KEPT_S // GRAIN_S
"""How many samples of one VPS are kept; a later one takes the place of the one an hour before."""
GAP = seconds(3 * GRAIN_S)
"""Between two samples that are further apart, somebody did not look: nothing is said of the time between them."""


class GuestMetrics(msgspec.Struct, frozen=True):
    """What a host shows of one guest that is on; counters since the start of its machine."""

    vps_id: VpsId
    generation: int
    cpu_ns: int
    memory_bytes: int
    """What the guest's machine takes of the host's memory."""
    disk_read_bytes: int
    disk_written_bytes: int
    network_received_bytes: int | None
    network_sent_bytes: int | None
    """By the guest; None where its card ends in its own machine and the host sees nothing of it."""


class HostMetrics(msgspec.Struct, frozen=True):
    """What a host showed of all its guests at one instant."""

    collected_at: Instant
    guests: tuple[GuestMetrics, ...]


class Sample(msgspec.Struct, frozen=True):
    """What one look at a host showed of one guest."""

    host_id: HostId
    at: Instant
    metrics: GuestMetrics


class Rates(msgspec.Struct, frozen=True):
    """What a guest used between two looks, told at the later one; None: not known."""

    at: Instant
    memory_bytes: int
    cpu_permille: int | None
    """Thousandths of one processor: a guest with two can use 2,000."""
    disk_read: int | None
    disk_written: int | None
    network_received: int | None
    network_sent: int | None
    """Bytes a second."""


class MetricsStore(Protocol):
    """Where samples are kept for ``KEPT_S``, by whoever drives a host, for every process. A ring: it never grows."""

    async def keep(self, host_id: HostId, shown: HostMetrics) -> None:
        """Keep what a host showed. Told twice, or late, true once. Raises StoreUnavailable."""
        ...

    async def of_vps(self, vps_id: VpsId, since: Instant) -> Sequence[Sample]:
        """Return the samples of a VPS after an instant, oldest first. Raises StoreUnavailable."""
        ...

    async def newest(self, now: Instant) -> Sequence[Sample]:
        """Return the newest sample of each VPS that was on within about the last ``GAP``. Raises StoreUnavailable."""
        ...

    async def sweep(self, before: Instant) -> None:
        """Drop what is older, such as of VPSs that are gone. Raises StoreUnavailable."""
        ...


def slot_of(at: Instant) -> int:
    """Return the place of a sample in the ring."""
    return at // seconds(GRAIN_S) % SLOTS


def rates(samples: Iterable[Sample]) -> list[Rates]:
    """Return what a guest used between each sample and the one before; ``samples``: of one VPS, oldest first."""
    told: list[Rates] = []
    before: Sample | None = None
    for sample in samples:
        told.append(_rates(before, sample))
        before = sample
    return told


def _rates(before: Sample | None, sample: Sample) -> Rates:
    now = sample.metrics
    passed = 0 if before is None else sample.at - before.at
    if before is None or not 0 < passed <= GAP or not _same_start(before.metrics, now):
        return Rates(sample.at, now.memory_bytes, None, None, None, None, None)
    then = before.metrics

    def per_second(later: int | None, earlier: int | None) -> int | None:
        return None if later is None or earlier is None else max(0, later - earlier) * seconds(1) // passed

    return Rates(
        at=sample.at,
        memory_bytes=now.memory_bytes,
        cpu_permille=(now.cpu_ns - then.cpu_ns) // passed,  # Nanoseconds a microsecond.
        disk_read=per_second(now.disk_read_bytes, then.disk_read_bytes),
        disk_written=per_second(now.disk_written_bytes, then.disk_written_bytes),
        network_received=per_second(now.network_received_bytes, then.network_received_bytes),
        network_sent=per_second(now.network_sent_bytes, then.network_sent_bytes),
    )


def _same_start(before: GuestMetrics, now: GuestMetrics) -> bool:
    # A start that was made again as the same generation begins at zero.
    return before.generation == now.generation and before.cpu_ns <= now.cpu_ns
