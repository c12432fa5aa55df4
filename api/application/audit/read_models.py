"""The check of the read models: all are folded anew in temporary tables and compared with the live ones, row by row."""

from collections.abc import Sequence

from api.application.audit.findings import Check
from projections.generation import differences, fresh_folding
from projections.read_model import Connection, ReadModel
from projections.runner import Feed, Folding, connect

SCRATCH_SCHEMA = "pg_temp"
"""Temporary tables need no right to create any, and go with the connection."""
_LIVE = "SELECT name, position, failed_at, failure FROM read_models.projection ORDER BY name"
_HOLD = "SELECT position FROM read_models.projection WHERE name = %s FOR SHARE"


async def check_read_models(database_url: str, feed: Feed, read_models: Sequence[ReadModel]) -> Check:
    """Return whether the live read models are what the events fold into, each at the position it has."""
    check = Check("every read model is what the events fold into")
    async with await connect(database_url, SCRATCH_SCHEMA) as connection:
        sound = await _sound(connection, read_models, check)
        if not sound:
            return check
        folding = await fresh_folding(connection, feed, list(sound))
        while await folding.advance(min(sound.values())):
            pass
        for failure in folding.failures:
            check.fault(failure)
        for model in sound:
            if model.name in folding.positions:
                await _compare(connection, feed, model, check)
    return check


async def _sound(connection: Connection, read_models: Sequence[ReadModel], check: Check) -> dict[ReadModel, int]:
    """Return the read models that can be compared, and how far each is."""
    live = {row[0]: row[1:] for row in await (await connection.execute(_LIVE)).fetchall()}
    sound = {}
    for model in read_models:
        position, failed_at, failure = live.get(model.name, (None, None, None))
        check.expect(position is not None, f"{model.name}: it has no tables")
        if failed_at is not None:
            check.fault(f"{model.name}: stopped at position {failed_at}: {failure}")
        elif position is not None:
            sound[model] = position
    return sound


async def _compare(connection: Connection, feed: Feed, model: ReadModel, check: Check) -> None:
    async with connection.transaction():
        # The live runner waits for this row while the last few events are folded and compared.
        cursor = await connection.execute(_HOLD, [model.name])
        row = await cursor.fetchone()
        assert row is not None, "nobody takes a read model out of the table"
        last_few = Folding(connection, feed, [model])
        await last_few.find_positions()
        while await last_few.advance(until=row[0]):
            pass
        for failure in last_few.failures:
            check.fault(failure)
        for table, rows in (await differences(connection, model, SCRATCH_SCHEMA)).items():
            if rows:
                check.fault(f"{model.name}: {rows} rows of {table} differ from those folded anew")
