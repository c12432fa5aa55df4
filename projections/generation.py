"""Generations: the tables of the read models being made, rebuilt beside the live ones, and swapped in."""

import asyncio
from collections.abc import Callable, Collection

import msgspec
import psycopg
from psycopg import sql

from projections.read_model import Connection, ReadModel
from projections.runner import Feed, Folding, connect

SCHEMA = "read_models"
SERVICE_ROLE = "litevps_service"
SWAP_ATTEMPTS_MAX = 10
SWAP_LOCK_TIMEOUT_S = 2
"""How long a swap waits for readers of the old tables; those that come after it wait as long."""
_REBUILD_SCHEMA = "read_models_rebuild"
_ENTER = "INSERT INTO projection (name, shape) VALUES (%s, %s)"
_INSTALL = 0x6C697470  # The advisory lock of whoever makes or swaps tables.
_PROJECTION_LIKE_LIVE = "CREATE TABLE projection (LIKE read_models.projection INCLUDING ALL)"


class Reached(msgspec.Struct, frozen=True):
    """How far a rebuild has come."""

    position: int
    goal: int


def install(owner_url: str, read_models: Collection[ReadModel]) -> list[str]:
    """Make the tables of read models that have none, at position 0, and return which need a rebuild.

    Those are the ones whose tables were made from another shape; they stay as they are until then.
    """
    changed = []
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_INSTALL])
        shapes: dict[str, str] = dict(connection.execute("SELECT name, shape FROM read_models.projection").fetchall())
        for model in read_models:
            if model.name not in shapes:
                _make(connection, model)
            elif shapes[model.name] != model.shape:
                changed.append(model.name)
    return changed


def _make(connection: psycopg.Connection, model: ReadModel) -> None:
    with connection.transaction():
        connection.execute("SET LOCAL search_path = read_models")
        connection.execute(model.sql.encode())
        connection.execute(_ENTER, [model.name, model.shape])
        for table in model.tables:
            connection.execute(_granted(table))


async def rebuild(
    owner_url: str,
    feed: Feed,
    read_models: Collection[ReadModel],
    reached: Callable[[Reached], None] | None = None,
) -> int:
    """Fold all events anew beside the live tables, swap the new ones in at once, return their position.

    Only one rebuild runs at a time; another one waits. Live reads and the live runner go on meanwhile.
    Raises RebuildFailed if an event cannot be folded; the live tables stay as they were.
    """
    async with await connect(owner_url, _REBUILD_SCHEMA) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", [_INSTALL])
        await connection.execute("SET synchronous_commit = off")
        await connection.execute(f"DROP SCHEMA IF EXISTS {_REBUILD_SCHEMA} CASCADE")
        await connection.execute(f"CREATE SCHEMA {_REBUILD_SCHEMA}")
        folding = await fresh_folding(connection, feed, read_models)
        await fold_all(folding, reached)
        position = await _swap_in(connection, folding, read_models)
        await connection.execute(f"DROP SCHEMA {_REBUILD_SCHEMA} CASCADE")
        return position


class RebuildFailed(Exception):
    """An event could not be folded; the live read models are as they were."""


async def fresh_folding(connection: Connection, feed: Feed, read_models: Collection[ReadModel]) -> Folding:
    """Make empty tables in the schema of the connection, and return what folds events into them."""
    await connection.execute(_PROJECTION_LIKE_LIVE)
    for model in read_models:
        await connection.execute(model.sql.encode())
        await connection.execute("INSERT INTO projection (name, shape) VALUES (%s, %s)", [model.name, model.shape])
    folding = Folding(connection, feed, read_models)
    await folding.find_positions()
    return folding


async def fold_all(
    folding: Folding, reached: Callable[[Reached], None] | None = None, until: int | None = None
) -> None:
    """Fold up to the head of the feed, or up to a position. Raises RebuildFailed."""
    goal = until or await folding.feed.head()
    while await folding.advance(until):
        if folding.failures:
            raise RebuildFailed("; ".join(folding.failures))
        if reached is not None:
            reached(Reached(folding.furthest, max(goal, folding.furthest)))


async def _swap_in(connection: Connection, folding: Folding, read_models: Collection[ReadModel]) -> int:
    await connection.execute(f"SET lock_timeout = '{SWAP_LOCK_TIMEOUT_S}s'")
    for attempt in range(1, SWAP_ATTEMPTS_MAX + 1):
        try:
            async with connection.transaction():
                return await _swap_in_once(connection, folding, read_models)
        except psycopg.errors.LockNotAvailable:
            if attempt == SWAP_ATTEMPTS_MAX:
                raise
            await folding.find_positions()
            await asyncio.sleep(attempt * 0.1)
    raise AssertionError("unreachable")


async def _swap_in_once(connection: Connection, folding: Folding, read_models: Collection[ReadModel]) -> int:
    names = [model.name for model in read_models]
    live = await connection.execute(
        "SELECT name, position FROM read_models.projection WHERE name = ANY(%s) ORDER BY name FOR UPDATE", [names]
    )
    # The live runner waits for these rows, so nothing shown before is missing after.
    live_position = max((position for _, position in await live.fetchall()), default=0)
    await fold_all(folding)
    position = folding.furthest
    assert position >= live_position, "the feed has everything that the live tables show"
    for model in read_models:
        for table in model.tables:
            old = sql.Identifier(SCHEMA, table)
            new = sql.Identifier(_REBUILD_SCHEMA, table)
            await connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(old))
            await connection.execute(sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(new, sql.Identifier(SCHEMA)))
            await connection.execute(_granted(table))
    await connection.execute(
        "INSERT INTO read_models.projection AS live SELECT * FROM projection"
        " ON CONFLICT (name) DO UPDATE SET shape = excluded.shape, position = excluded.position,"
        " failed_at = NULL, failure = NULL"
    )
    return position


def _granted(table: str) -> sql.Composed:
    return sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {}").format(
        sql.Identifier(SCHEMA, table), sql.Identifier(SERVICE_ROLE)
    )


async def differences(connection: Connection, read_model: ReadModel, scratch: str) -> dict[str, int]:
    """Return by table how many rows are in the live tables or in the scratch ones, but not in both."""
    counts = {}
    for table in read_model.tables:
        live, other = sql.Identifier(SCHEMA, table), sql.Identifier(scratch, table)
        query = sql.SQL(
            "SELECT count(*) FROM ((TABLE {live} EXCEPT ALL TABLE {other})"
            " UNION ALL (TABLE {other} EXCEPT ALL TABLE {live})) AS difference"
        ).format(live=live, other=other)
        row = await (await connection.execute(query)).fetchone()
        assert row is not None
        counts[table] = int(row[0])
    return counts
