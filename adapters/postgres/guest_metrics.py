"""Metrics of guests in a table that all processes share: a ring of an hour a VPS."""

from typing import Any

from psycopg_pool import AsyncConnectionPool

from adapters.pooled_connection import pooled_connection
from domain.compute.metrics import GAP, GRAIN_S, SLOTS, GuestMetrics, HostMetrics, Sample, slot_of
from domain.ids import HostId, VpsId
from domain.time import Instant, seconds

# One statement a host, however many guests it has; in the order of the key, so that two who say the same never wait for
# each other in a circle.
_KEEP = """
    INSERT INTO work.guest_metrics AS known (slot, vps_id, host_id, measured_at, generation, cpu_ns, memory_bytes,
        disk_read, disk_written, network_received, network_sent)
    SELECT %(slot)s, vps_id, %(host_id)s, %(at)s, generation, cpu_ns, memory_bytes, disk_read, disk_written, received,
        sent
    FROM unnest(%(vps_id)b::uuid[], %(generation)b::integer[], %(cpu_ns)b::bigint[], %(memory)b::bigint[],
        %(read)b::bigint[], %(written)b::bigint[], %(received)b::bigint[], %(sent)b::bigint[])
        AS shown (vps_id, generation, cpu_ns, memory_bytes, disk_read, disk_written, received, sent)
    ORDER BY vps_id
    ON CONFLICT (slot, vps_id) DO UPDATE SET host_id = excluded.host_id, measured_at = excluded.measured_at,
        generation = excluded.generation, cpu_ns = excluded.cpu_ns, memory_bytes = excluded.memory_bytes,
        disk_read = excluded.disk_read, disk_written = excluded.disk_written,
        network_received = excluded.network_received, network_sent = excluded.network_sent
    WHERE known.measured_at < excluded.measured_at
"""
_OF_VPS = """
    SELECT host_id, measured_at, vps_id, generation, cpu_ns, memory_bytes, disk_read, disk_written, network_received,
        network_sent FROM work.guest_metrics
    WHERE slot = ANY(%s::smallint[]) AND vps_id = %s AND measured_at > %s ORDER BY measured_at
"""
_NEWEST = """
    SELECT DISTINCT ON (vps_id) host_id, measured_at, vps_id, generation, cpu_ns, memory_bytes, disk_read,
        disk_written, network_received, network_sent FROM work.guest_metrics
    WHERE slot = ANY(%s::smallint[]) AND measured_at > %s ORDER BY vps_id, measured_at DESC
"""
_SWEEP = "DELETE FROM work.guest_metrics WHERE measured_at < %s"
_ALL_SLOTS = list(range(SLOTS))


class PostgresGuestMetrics:
    """Implements ``domain.compute.metrics.MetricsStore``."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        """``pool``: of connections in autocommit mode."""
        self._pool = pool

    async def keep(self, host_id: HostId, shown: HostMetrics) -> None:
        """Keep what a host showed; see ``MetricsStore.keep``."""
        guests = shown.guests
        if not guests:
            return
        async with pooled_connection(self._pool) as connection:
            await connection.execute(
                _KEEP,
                {
                    "slot": slot_of(shown.collected_at),
                    "host_id": host_id,
                    "at": shown.collected_at,
                    "vps_id": [one.vps_id for one in guests],
                    "generation": [one.generation for one in guests],
                    "cpu_ns": [one.cpu_ns for one in guests],
                    "memory": [one.memory_bytes for one in guests],
                    "read": [one.disk_read_bytes for one in guests],
                    "written": [one.disk_written_bytes for one in guests],
                    "received": [one.network_received_bytes for one in guests],
                    "sent": [one.network_sent_bytes for one in guests],
                },
            )

    async def of_vps(self, vps_id: VpsId, since: Instant) -> list[Sample]:
        """Return the samples of a VPS after an instant, oldest first; see ``MetricsStore.of_vps``."""
        async with pooled_connection(self._pool) as connection:
            cursor = await connection.execute(_OF_VPS, [_ALL_SLOTS, vps_id, since])
            return [_sample(row) for row in await cursor.fetchall()]

    async def newest(self, now: Instant) -> list[Sample]:
        """Return the newest sample of each VPS; see ``MetricsStore.newest``."""
        slots = [slot_of(Instant(now - seconds(back * GRAIN_S))) for back in range(-1, GAP // seconds(GRAIN_S) + 1)]
        async with pooled_connection(self._pool) as connection:
            cursor = await connection.execute(_NEWEST, [slots, now - GAP])
            return [_sample(row) for row in await cursor.fetchall()]

    async def sweep(self, before: Instant) -> None:
        """Drop what is older; see ``MetricsStore.sweep``."""
        async with pooled_connection(self._pool) as connection:
            await connection.execute(_SWEEP, [before])


def _sample(row: tuple[Any, ...]) -> Sample:
    host_id, at, *metrics = row
    return Sample(HostId(host_id), Instant(at), GuestMetrics(*metrics))
