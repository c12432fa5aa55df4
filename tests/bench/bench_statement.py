"""Statements of an account that has had a year of minutes of ten VPSs, and the trial balance over all of it."""

import time

from adapters.embedded_postgres.server import SERVICE_ROLE
from adapters.postgres.event_store import PostgresEventStore
from api.application.audit.trial_balance import trial_balance
from api.application.statements.csv_form import csv_of
from api.application.statements.pdf_form import pdf_of
from api.application.statements.presentation import present_statement
from api.application.statements.source import StatementSource
from domain.ports import Sealer
from domain.statements.month import Month
from projections.entries import ENTRIES
from projections.generation import SCHEMA, rebuild
from projections.reading import ReadModels
from projections.statements import STATEMENTS
from projections.vps import VPS
from tests.bench.figures import Figure
from tests.bench.made_up_fleet import opened_sealer
from tests.bench.made_up_year import ACCOUNT, made_up_year
from tests.bench.own_postgres import own_postgres

MONTHS = [Month(2025, number) for number in range(1, 13)]
STATEMENT_LIMIT_S = 1.0
TRIAL_BALANCE_FLOOR = 30_000


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
                return await _measure(store, sealer, StatementSource(reading, store, sealer))
            finally:
                await reading.close()


async def _measure(store: PostgresEventStore, sealer: Sealer, statements: StatementSource) -> list[Figure]:
    drawn_s, whole_s, minutes = [], [], 0
    for month in MONTHS:
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
    began_s = time.perf_counter()
    balance = await trial_balance(store)
    took_s = time.perf_counter() - began_s
    assert balance.total == 0
    note = f"the slowest of 12 months of {minutes:,} minutes"
    return [
        Figure("a month's statement, drawn up", max(drawn_s), "s", target=STATEMENT_LIMIT_S, at_most=True, note=note),
        Figure("the same, as CSV and PDF too", max(whole_s), "s", target=STATEMENT_LIMIT_S, at_most=True, note=note),
        Figure(
            "trial balance by replay",
            balance.position / took_s,
            "events/s",
            target=TRIAL_BALANCE_FLOOR,
            note=f"{balance.position:,} events of ten lines each in {took_s:.1f} s",
        ),
    ]
