"""Statements of an account with ten VPSs that has been there long, and the trial balance over all of it."""

import gc
import statistics
import time
from functools import partial

import psycopg

from adapters.embedded_postgres.server import SERVICE_ROLE
from adapters.postgres.event_store import PostgresEventStore
from api.application.audit.trial_balance import MONEY_NAMES, trial_balance
from api.application.statements.csv_form import csv_of
from api.application.statements.pdf_form import pdf_of
from api.application.statements.presentation import present_statement
from api.application.statements.source import StatementSource
from domain.ports import Sealer
from domain.statements.month import Month
from projections.charges import recorded_month
from projections.entries import ENTRIES
from projections.generation import SCHEMA, rebuild
from projections.reading import ReadModels
from projections.statements import STATEMENTS
from projections.vps import VPS
from tests.bench.figures import Figure, interleaved
from tests.bench.floors import DECODED, READ_BY_COPY, decoded_s, in_thread, read_by_copy_s
from tests.bench.made_up_fleet import opened_sealer
from tests.bench.made_up_year import ACCOUNT, ENDS, made_up_year
from tests.bench.own_postgres import own_postgres

MONTHS = [month for number in range(1, 13) if (month := Month(2025, number)).begins < ENDS]
DRAWN_MAX = 7
WRITTEN_MAX = 28
TRIAL_BALANCE_MIN = 0.25
ROUNDS = 3
SUMMED = "its charges summed by one statement on a connection of psycopg"
_SUM = "SELECT sum(minutes), sum(amount), count(*) FROM read_models.charge WHERE account_id = %s AND month = %s"


async def run() -> list[Figure]:
    """Measure on a PostgreSQL of its own; ``LITEVPS_BENCH_YEAR`` keeps the year for the next time."""
    async with own_postgres("LITEVPS_BENCH_YEAR") as server:
        url = server.url(SERVICE_ROLE)
        async with PostgresEventStore(url) as store, opened_sealer(url) as sealer:
            if await store.head() == 0:
                await made_up_year(url, server.owner_url)
            await rebuild(server.owner_url, store, [ENTRIES, STATEMENTS, VPS])
            reading = ReadModels(url, schema=SCHEMA)
            await reading.open()
            try:
                return [
                    *await _of_months(url, sealer, StatementSource(reading, store, sealer)),
                    await _balanced(server.owner_url, store),
                ]
            finally:
                await reading.close()


async def _of_months(url: str, sealer: Sealer, statements: StatementSource) -> list[Figure]:
    drawn_s, whole_s, summed_s, minutes = [], [], [], 0
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for month in MONTHS * ROUNDS:
            began_s = time.perf_counter()
            await (await connection.execute(_SUM, [ACCOUNT, recorded_month(month.begins)])).fetchall()
            summed_s.append(time.perf_counter() - began_s)
            began_s = time.perf_counter()
            drawn = await statements.compute(ACCOUNT, month)
            assert drawn is not None
            drawn_s.append(time.perf_counter() - began_s)
            vps_ids = {line.vps_id for line in drawn.statement.charged}
            names = await statements.names(ACCOUNT, vps_ids, month)
            told = present_statement(drawn, email="", issuer="", taxes=(), vps_names=names, plan_names={})
            assert pdf_of(told)
            assert csv_of(told)
            whole_s.append(time.perf_counter() - began_s)
            minutes += sum(line.minutes for line in drawn.statement.charged)
    note = f"of {len(MONTHS)} months of {minutes // ROUNDS:,} minutes"
    took = partial(Figure, unit="s", floor=statistics.median(summed_s), floor_is=SUMMED, at_most=True, note=note)
    return [
        took(name="a month's statement, drawn up", measured=statistics.median(drawn_s), target=DRAWN_MAX),
        took(name="the same, as CSV and PDF too", measured=statistics.median(whole_s), target=WRITTEN_MAX),
    ]


async def _balanced(owner_url: str, store: PostgresEventStore) -> Figure:
    events = [event async for batch in store.replay() for event in batch if event.type in MONEY_NAMES]
    count = await store.head()

    async def balanced() -> float:
        began_s = time.perf_counter()
        balance = await trial_balance(store)
        took_s = time.perf_counter() - began_s
        assert balance.total == 0
        return count / took_s

    def least() -> float:
        return count / (read_by_copy_s(owner_url) + decoded_s(events))

    gc.freeze()
    rate, floor = await interleaved(ROUNDS, balanced, in_thread(least))
    gc.unfreeze()
    return Figure(
        name="trial balance by replay",
        measured=rate,
        unit="events/s",
        floor=floor,
        floor_is=f"{READ_BY_COPY} and {DECODED}",
        target=TRIAL_BALANCE_MIN,
        note=f"{count:,} events of ten lines each",
    )
