"""Floors: the least that several measurements could cost on this machine, by the libraries alone."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Self
from uuid import UUID, uuid4

import msgspec
import psycopg

from adapters.postgres.group_writer import LOW_PRIORITY_ITEMS_MAX
from domain.events import Actor, Event, Metadata, all_events
from domain.ids import AccountId, EventId, VpsId, wallet_stream
from domain.leaf_hash import leaf_hash
from domain.money import charge_for_minutes
from domain.ports import Recorded
from domain.time import Instant
from domain.wallet.events import MinuteLine, MinutesMetered
from projections.generation import SCHEMA
from tests.bench.made_up_ledger import HOURLY, PLAN

READ_BY_COPY = "COPY of the ledger in binary"
DECODED = "msgspec decoding of the same events"
FOLDED = f"{DECODED}, and COPY of the rows that they come to into tables without indexes"
INSERT = "a bare INSERT of the same bytes, as many at once, each on a connection of its own"
RECORDED_BY_COPY = "their charges computed, events encoded and hashed, the rows put in by COPY, as many a commit"
PAYLOAD = '{"type":"wallet.funds-added.v1","amount":5000000,"reference":"bench"}'
METADATA = '{"id":"0198c1f2-7a54-7c3e-9f4b-0a1b2c3d4e5f","actor":{"kind":"service","part":"bench"}}'
_PLAIN_EVENTS = """
    CREATE SCHEMA IF NOT EXISTS plain;
    DROP TABLE IF EXISTS plain.event;
    CREATE TABLE plain.event (
        position bigint PRIMARY KEY, stream uuid NOT NULL, version integer NOT NULL, type text NOT NULL,
        payload text NOT NULL, metadata text NOT NULL, happened_at bigint NOT NULL, recorded_at bigint NOT NULL,
        leaf_hash bytea NOT NULL, UNIQUE (stream, version)
    )
"""
_COPY_EVENTS = "COPY plain.event FROM STDIN"


def read_by_copy_s(owner_url: str) -> float:
    """Return how long it takes to have every row of the ledger's events sent, nothing of them looked at."""
    began_s = time.perf_counter()
    with (
        psycopg.connect(owner_url) as owner,
        owner.cursor() as cursor,
        cursor.copy("COPY ledger.event TO STDOUT (FORMAT binary)") as copy,
    ):
        for _ in copy:
            pass
    return time.perf_counter() - began_s


def decoded_s(events: Iterable[Recorded]) -> float:
    """Return how long it takes to decode the payloads of these events."""
    kinds = all_events()
    decoders: dict[str, Callable[[str], Event]] = {}
    began_s = time.perf_counter()
    for event in events:
        decode = decoders.get(event.type)
        if decode is None:
            decode = decoders[event.type] = msgspec.json.Decoder(kinds[event.type]).decode
        decode(event.payload)
    return time.perf_counter() - began_s


def rows_copied_s(owner_url: str, table: str) -> float:
    """Return how long it takes to put in what a table holds, ready as PostgreSQL takes it."""
    with psycopg.connect(owner_url, autocommit=True) as owner, owner.cursor() as cursor:
        owner.execute(f"SET search_path = {SCHEMA}; SET synchronous_commit = off")
        with cursor.copy(f"COPY {table} TO STDOUT (FORMAT binary)".encode()) as copy:
            rows = [bytes(part) for part in copy]
        owner.execute(f"CREATE TABLE plain (LIKE {table})".encode())
        began_s = time.perf_counter()
        with cursor.copy("COPY plain FROM STDIN (FORMAT binary)") as copy:
            for row in rows:
                copy.write(row)
        took_s = time.perf_counter() - began_s
        owner.execute("DROP TABLE plain")
    return took_s


def recorded_by_copy_s(owner_url: str, accounts: Sequence[tuple[AccountId, Sequence[VpsId]]], n: int) -> float:
    """Return how long it takes to record minute ``n`` of all VPSs with nothing read, decided or kept in order.

    What is committed together is as much as of appends for which nobody waits: a disk that is slow to sync is as slow
    for either.
    """
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute(_PLAIN_EVENTS)
    encode, name = msgspec.json.Encoder().encode, "wallet.minutes-metered.v1"
    actor, at = Actor(kind="service", part="metering"), Instant(1_700_000_000_000_000)
    at_once = LOW_PRIORITY_ITEMS_MAX // (1 + len(accounts[0][1]))
    began_s = time.perf_counter()
    with psycopg.connect(owner_url, autocommit=True) as owner, owner.cursor() as cursor:
        for first in range(0, len(accounts), at_once):
            with cursor.copy(_COPY_EVENTS) as copy:
                for position, (account_id, vps_ids) in enumerate(accounts[first : first + at_once], first):
                    lines = tuple(
                        MinuteLine(vps_id, n, n, at, PLAN, 1, HOURLY, charge_for_minutes(HOURLY, n, n))
                        for vps_id in vps_ids
                    )
                    payload = encode(MinutesMetered(account_id, lines)).decode()
                    metadata = encode(Metadata(EventId(UUID(int=position)), actor, account_id)).decode()
                    stream = wallet_stream(account_id)
                    digest = leaf_hash(position, stream, n, name, at, at, metadata, payload)
                    copy.write_row((position, stream, n, name, payload, metadata, at, at, digest))
    took_s = time.perf_counter() - began_s
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("DROP SCHEMA plain CASCADE")
    return took_s


def in_thread(measure: Callable[[], float]) -> Callable[[], Awaitable[float]]:
    """Return a measurement that blocks as one that can be awaited."""
    return lambda: asyncio.to_thread(measure)


class Inserts:
    """So many connections, each of which inserts a row as long as an event's, and waits for the disk."""

    def __init__(self, url: str, concurrency: int) -> None:
        self._url = url
        self._concurrency = concurrency
        self._connections: list[psycopg.AsyncConnection[Any]] = []

    async def __aenter__(self) -> Self:
        """Connect."""
        for _ in range(self._concurrency):
            self._connections.append(await psycopg.AsyncConnection.connect(self._url, autocommit=True))
        await self._connections[0].execute(
            "CREATE SCHEMA IF NOT EXISTS plain; CREATE TABLE IF NOT EXISTS plain.inserted ("
            "stream uuid, version integer, type text, payload text, metadata text, happened_at bigint,"
            " PRIMARY KEY (stream, version))"
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave nothing behind."""
        await self._connections[0].execute("DROP SCHEMA plain CASCADE")
        for connection in self._connections:
            await connection.close()

    async def rate(self, duration_s: float, latencies_s: list[float]) -> float:
        """Return how many rows a second were inserted."""
        ends_at = time.perf_counter() + duration_s
        row = (1, "wallet.funds-added.v1", PAYLOAD, METADATA, 1)

        async def call(connection: psycopg.AsyncConnection[Any]) -> int:
            for done in itertools.count():
                began_at = time.perf_counter()
                if began_at > ends_at:
                    return done
                await connection.execute(
                    "INSERT INTO plain.inserted VALUES (%s, %s, %s, %s, %s, %s)", (uuid4(), *row), prepare=True
                )
                latencies_s.append(time.perf_counter() - began_at)
            raise AssertionError

        began_at = time.perf_counter()
        counts = await asyncio.gather(*map(call, self._connections))
        return sum(counts) / (time.perf_counter() - began_at)
