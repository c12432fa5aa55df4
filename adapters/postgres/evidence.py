"""What PostgreSQL keeps beside the events and what guards them, gathered for audits."""

from collections import defaultdict
from typing import Any
from uuid import UUID

import psycopg

from domain.evidence import Evidence
from domain.ids import AccountId, StreamId, VpsId
from domain.time import Instant

_HEAD = "SELECT position, recorded_at FROM ledger.head"
_STREAM_HEADS = "SELECT stream, version FROM ledger.stream_head"
_MINUTE_HEADS = "SELECT vps, n FROM ledger.minute_head"
_CLAIMS = "SELECT scope, holder FROM ledger.claim WHERE expires_at IS NULL"
# The output of jobs is told of by no digest of what is kept.
_BLOBS = """
    SELECT stream, field, account_id, encode(sha256(convert_to(sealed, 'UTF8')), 'hex') FROM work.blob
    WHERE field NOT IN ('stdout', 'stderr')
"""
_TRIGGERS = """
    SELECT t.tgname FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
    WHERE t.tgrelid = 'ledger.event'::regclass AND t.tgenabled = 'A'
        AND p.proname = 'refuse_change' AND p.prosrc LIKE '%RAISE EXCEPTION%'
"""
_WANTED_TRIGGERS = {
    "event_never_updated_or_deleted": "the trigger that refuses UPDATE and DELETE on events is not in force",
    "event_never_truncated": "the trigger that refuses TRUNCATE on events is not in force",
}
_RIGHTS = """
    SELECT privilege FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS privilege
    WHERE has_table_privilege('litevps_service', 'ledger.event', privilege)
"""
_OWNED = """
    SELECT c.oid::regclass::text FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner
    WHERE r.rolname = 'litevps_service' AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relpersistence <> 't'
"""

_Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class PostgresEvidence:
    """Implements ``domain.evidence.EvidenceSource``; ``url`` is that of the service's role."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def gather(self) -> Evidence:
        """Return the evidence of this moment, all of it from one snapshot of the database."""
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
            await connection.set_read_only(True)
            [(position, recorded_at)] = await _rows(connection, _HEAD)
            holders: defaultdict[str, list[UUID]] = defaultdict(list)
            for scope, holder in await _rows(connection, _CLAIMS):
                holders[scope].append(holder)
            blobs: defaultdict[StreamId, dict[str, tuple[AccountId, str]]] = defaultdict(dict)
            for stream, field, account_id, sha256 in await _rows(connection, _BLOBS):
                blobs[StreamId(stream)][field] = AccountId(account_id), sha256
            return Evidence(
                position=position,
                recorded_at=Instant(recorded_at),
                stream_heads={StreamId(stream): version for stream, version in await _rows(connection, _STREAM_HEADS)},
                minute_heads={VpsId(vps): n for vps, n in await _rows(connection, _MINUTE_HEADS)},
                claim_holders={scope: tuple(of_scope) for scope, of_scope in holders.items()},
                blobs=blobs,
                missing_guards=await _missing_guards(connection),
            )


async def _missing_guards(connection: _Connection) -> tuple[str, ...]:
    there = {name for (name,) in await _rows(connection, _TRIGGERS)}
    missing = [says for name, says in _WANTED_TRIGGERS.items() if name not in there]
    missing += [f"the service's role may {right} events" for (right,) in await _rows(connection, _RIGHTS)]
    missing += [f"the service's role owns {table}" for (table,) in await _rows(connection, _OWNED)]
    return tuple(missing)


async def _rows(connection: _Connection, query: str) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(query.encode())
    return await cursor.fetchall()
