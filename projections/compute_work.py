"""Work to do: VPSs for which a step is to be taken, and what is placed on which host."""

from collections.abc import Sequence
from typing import get_args
from uuid import UUID

import msgspec

from domain.compute import events
from domain.compute.steps import next_step
from domain.compute.vps import FOLD, Vps, without_names
from domain.ids import HostId, JobId, VpsId
from domain.time import Instant
from projections.jobs import JOBS
from projections.read_model import Connection, Entry, ReadModel, columns_of
from projections.reading import ReadModels

_SQL = """
CREATE TABLE compute_work (
    vps_id uuid PRIMARY KEY,
    step text,
    since bigint NOT NULL,
    host_id uuid,
    awaits_user_data boolean NOT NULL,
    expires_at bigint,
    expiry_warned boolean NOT NULL,
    folded text NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX compute_work_due ON compute_work (since) WHERE step IS NOT NULL;
CREATE INDEX compute_work_user_data ON compute_work (vps_id) WHERE awaits_user_data;
CREATE INDEX compute_work_of_host ON compute_work (host_id);
CREATE INDEX compute_work_expiring ON compute_work (expires_at) WHERE expires_at IS NOT NULL;
"""
_READ = "SELECT vps_id, folded FROM compute_work WHERE vps_id = ANY(%b::uuid[])"
_WRITE = """
    INSERT INTO compute_work (vps_id, step, since, host_id, awaits_user_data, expires_at, expiry_warned, folded)
    SELECT * FROM unnest(
        %b::uuid[], %b::text[], %b::bigint[], %b::uuid[], %b::boolean[], %b::bigint[], %b::boolean[], %b::text[]
    )
    ON CONFLICT (vps_id) DO UPDATE
    SET step = excluded.step, since = excluded.since, host_id = excluded.host_id,
        awaits_user_data = excluded.awaits_user_data, expires_at = excluded.expires_at,
        expiry_warned = excluded.expiry_warned, folded = excluded.folded
"""
_REMOVE = "DELETE FROM compute_work WHERE vps_id = ANY(%b::uuid[])"
# What is leased or postponed is left out, or what cannot be done just now would stand before what can. The first of
# each account come before the second of any, so that nobody's many keep others waiting.
_DUE = """
    SELECT vps_id FROM compute_work AS due
    WHERE step IS NOT NULL AND (host_id IS NULL OR host_id = ANY(%s::uuid[])) AND NOT EXISTS (
        SELECT FROM work.lease WHERE scope = 'vps' AND key = due.vps_id AND leased_until > clock_timestamp()
    )
    ORDER BY row_number() OVER (PARTITION BY folded::json ->> 'account_id' ORDER BY since), since LIMIT %s
"""
_AWAITING_USER_DATA = """
    SELECT vps_id FROM compute_work AS waiting
    WHERE awaits_user_data AND host_id = ANY(%s::uuid[]) AND (%s::uuid IS NULL OR vps_id > %s) AND NOT EXISTS (
        SELECT FROM work.lease
        WHERE scope = 'user-data' AND key = waiting.vps_id AND leased_until > clock_timestamp()
    )
    ORDER BY vps_id LIMIT %s
"""
_ON_HOST = "SELECT vps_id FROM compute_work WHERE host_id = %s"
_EXPIRING = """
    SELECT vps_id FROM compute_work
    WHERE expires_at <= %s AND (NOT expiry_warned OR expires_at <= %s) AND vps_id > %s ORDER BY vps_id LIMIT %s
"""
_OPEN_JOBS = """
    SELECT id FROM job AS open
    WHERE status = 'running' AND requested_at < %s AND NOT EXISTS (
        SELECT FROM work.lease WHERE scope = 'job' AND key = open.id AND leased_until > clock_timestamp()
    )
    ORDER BY row_number() OVER (PARTITION BY account_id ORDER BY requested_at), requested_at LIMIT %s
"""

_BEFORE_ALL = UUID(int=0)

_to_json = msgspec.json.Encoder()
_from_json = msgspec.json.Decoder(Vps)


class TabledWork:
    """Implements ``domain.compute.work.OpenWork`` by the read models."""

    def __init__(self, read_models: ReadModels) -> None:
        self._read_models = read_models

    async def due_vpss(self, host_ids: Sequence[HostId], limit: int) -> list[VpsId]:
        """Return VPSs for which a step is to be taken; see ``OpenWork.due_vpss``."""
        async with self._read_models.at(0, COMPUTE_WORK) as connection:
            cursor = await connection.execute(_DUE, [list(host_ids), limit])
            return [VpsId(vps_id) for (vps_id,) in await cursor.fetchall()]

    async def awaiting_user_data(self, host_ids: Sequence[HostId], after: VpsId | None, limit: int) -> list[VpsId]:
        """Return VPSs whose user data may have ended; see ``OpenWork.awaiting_user_data``."""
        async with self._read_models.at(0, COMPUTE_WORK) as connection:
            cursor = await connection.execute(_AWAITING_USER_DATA, [list(host_ids), after, after, limit])
            return [VpsId(vps_id) for (vps_id,) in await cursor.fetchall()]

    async def vpss_on(self, host_id: HostId) -> list[VpsId]:
        """Return every VPS placed on a host that is not deleted."""
        async with self._read_models.at(0, COMPUTE_WORK) as connection:
            cursor = await connection.execute(_ON_HOST, [host_id])
            return [VpsId(vps_id) for (vps_id,) in await cursor.fetchall()]

    async def expiring(self, before: Instant, now: Instant, after: VpsId | None, limit: int) -> list[VpsId]:
        """Return VPSs of which the expiry is to be told, or done; see ``OpenWork.expiring``."""
        async with self._read_models.at(0, COMPUTE_WORK) as connection:
            cursor = await connection.execute(_EXPIRING, [max(before, now), now, after or _BEFORE_ALL, limit])
            return [VpsId(vps_id) for (vps_id,) in await cursor.fetchall()]

    async def open_jobs(self, requested_before: Instant, limit: int) -> list[JobId]:
        """Return jobs that are not finished and nobody is at; see ``OpenWork.open_jobs``."""
        async with self._read_models.at(0, JOBS) as connection:
            cursor = await connection.execute(_OPEN_JOBS, [requested_before, limit])
            return [JobId(job_id) for (job_id,) in await cursor.fetchall()]


async def _apply(connection: Connection, batch: Sequence[Entry]) -> None:
    streams = list({entry.recorded.stream for entry in batch})
    cursor = await connection.execute(_READ, [streams])
    folded: dict[UUID, Vps | None] = {vps_id: _from_json.decode(text) for vps_id, text in await cursor.fetchall()}
    for entry in batch:
        stream = entry.recorded.stream
        folded[stream] = FOLD.evolve(folded.get(stream), entry.event)
    there = [vps for vps in folded.values() if vps is not None and not vps.deleted]
    gone = [vps.vps_id for vps in folded.values() if vps is not None and vps.deleted]
    if there:
        await connection.execute(_WRITE, columns_of(_row(vps) for vps in there))
    if gone:
        await connection.execute(_REMOVE, [gone])


def _row(vps: Vps) -> tuple[object, ...]:
    step = next_step(vps)
    # Nothing of what its owner said is needed here, sealed or not.
    sealed = {"name": "", "labels": None, "egress": None, "template": None, "user_data_output": None}
    kept = msgspec.structs.replace(without_names(vps), **sealed, authorized_keys=(), user_data=None)
    name = None if step is None else step.name
    expires_at = None if vps.gone else vps.expires_at
    text = _to_json.encode(kept).decode()
    due = vps.awaits_user_data, expires_at, vps.expiry_warned
    return vps.vps_id, name, vps.since, vps.host_id, *due, text


COMPUTE_WORK = ReadModel(
    name="compute_work",
    tables=("compute_work",),
    sql=_SQL,
    events=(events.VpsRequested, *get_args(events.VpsEvent)),
    apply=_apply,
    keeps=(Vps,),
)
