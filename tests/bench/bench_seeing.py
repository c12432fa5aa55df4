"""What a customer who has been there long sees over HTTP: balances, transactions, usage, explanations.

``LITEVPS_BENCH_YEAR`` names a folder made by ``python -m tests.bench.made_up_year`` to be measured in.
"""

import base64
import logging
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import psycopg
from httpx import ASGITransport, AsyncClient
from litestar import Litestar, Response, get

from adapters.embedded_postgres.server import SERVICE_ROLE
from adapters.postgres.event_store import PostgresEventStore
from api.application.runtime import Runtime
from api.application.settings import Settings
from api.bootstrap import runtime as bootstrap
from api.bootstrap.runtime import Database
from api.http.app import create_app
from domain.accounts.account import account_ref
from domain.money import charge_for_minutes
from domain.time import MINUTE, Instant, to_rfc3339
from domain.wallet.forecast import exhausts_at
from domain.wallet.wallet import wallet_ref
from projections.entries import ENTRIES
from projections.generation import SCHEMA
from projections.runner import Folding, connect
from projections.vps import VPS
from tests.bench.figures import Figure, interleaved, percentile
from tests.bench.floors import FOLDED, decoded_s, rows_copied_s
from tests.bench.made_up_fleet import book_of
from tests.bench.made_up_ledger import HOURLY
from tests.bench.made_up_year import ACCOUNT, BEGINS, ENDS, MINUTES, YEAR, made_up_year
from tests.bench.own_postgres import own_postgres

BALANCES_ASKED = 1_000
PAGES_ASKED = 100
USAGES_ASKED = 5
FORECASTS = 100
CENTURY_MINUTES = 100 * 366 * 24 * 60
WARM_UP = 10
FOLDED_MIN = 0.08
BALANCE_MAX = 6
PAGE_MAX = 9
USAGE_MAX = 12
EXPLAINED_MAX = 24
FORECAST_MAX = 2
READ = "a bare look-up by psycopg, and the same answer from a bare Litestar application"
_ROW = """
    SELECT balance_after FROM read_models.entry WHERE account_id = %s AND recorded_at <= %s
    ORDER BY recorded_at DESC, position DESC LIMIT 1
"""
_HUNDRED = """
    SELECT * FROM read_models.charge WHERE account_id = %s AND first_recorded_at <= %s
    ORDER BY first_position DESC, place DESC LIMIT 100
"""
_SUM = """
    SELECT vps_id, hour / 24, sum(minutes), sum(amount) FROM read_models.charge
    WHERE account_id = %s AND first_recorded_at <= %s GROUP BY vps_id, hour / 24
"""

Ask = Callable[..., Any]


async def run() -> list[Figure]:
    """Measure on a PostgreSQL of its own."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # It would write a line for each request.
    async with own_postgres("LITEVPS_BENCH_YEAR") as server:
        service_url = server.url(SERVICE_ROLE)
        async with PostgresEventStore(service_url) as store:
            is_empty = await store.head() == 0
        if is_empty:
            await made_up_year(service_url, server.owner_url)
        return [*await _fold(service_url, server.owner_url), *await _asked(service_url)]


async def _fold(service_url: str, owner_url: str) -> list[Figure]:
    async with PostgresEventStore(service_url) as store, await connect(service_url, SCHEMA) as connection:
        await connection.execute("SET synchronous_commit = off")
        folding = Folding(connection, store, [ENTRIES, VPS])
        await folding.find_positions()
        events = await store.head() - folding.positions[ENTRIES.name]
        began_s = time.perf_counter()
        while await folding.advance():
            pass
        took_s = time.perf_counter() - began_s
        assert not folding.failures, folding.failures
        recorded = [event async for batch in store.replay() for event in batch] if events else []
    async with await connect(owner_url, SCHEMA) as owner:
        for table in (*ENTRIES.tables, *VPS.tables):
            await owner.execute(f"VACUUM ANALYZE {table}".encode())
    if not events:
        return []
    tables = (*ENTRIES.tables, *VPS.tables)
    floor_s = decoded_s(recorded) + sum(rows_copied_s(owner_url, table) for table in tables)
    lines = events * YEAR.vpss_per_account
    return [
        Figure(
            name="a long life folded into entries",
            measured=lines / took_s,
            unit="lines/s",
            floor=lines / floor_s,
            floor_is=FOLDED,
            target=FOLDED_MIN,
            note=f"{lines:,} lines in {took_s:.0f} s",
        )
    ]


async def _asked(service_url: str) -> list[Figure]:
    dice = random.Random(3)
    hours = MINUTES * YEAR.vpss_per_account // 60
    whole = {"from": to_rfc3339(BEGINS), "to": to_rfc3339(ENDS)}
    figures: list[Figure] = []
    async with (
        _customer(service_url) as (ask, runtime),
        _least(service_url) as least,
    ):

        async def measured(
            name: str, count: int, path: str, asked: Callable[[], dict[str, Any]], query: str, target: float | None
        ) -> None:
            took_ms, least_ms = [], []
            for _ in range(count + WARM_UP):
                parameters, at = asked(), Instant(dice.randrange(BEGINS, ENDS))
                began_s = time.perf_counter()
                content = await ask(path, **parameters)
                took_ms.append((time.perf_counter() - began_s) * 1000)
                least_ms.append(await least(query, at, content))
            for share, told in ((0.5, "median"), *(((0.99, "p99"),) if count >= BALANCES_ASKED else ())):
                figures.append(
                    Figure(
                        name=f"{name}, {told}",
                        measured=percentile(took_ms[WARM_UP:], share),
                        unit="ms",
                        floor=percentile(least_ms[WARM_UP:], share),
                        floor_is=READ,
                        target=target,
                        at_most=True,
                        note=f"of {count}",
                    )
                )

        await measured(
            "balance at any instant",
            BALANCES_ASKED,
            "balance",
            lambda: {"at": to_rfc3339(Instant(dice.randrange(BEGINS, ENDS)))},
            _ROW,
            BALANCE_MAX,
        )
        await measured(
            "the newest 100 transactions", PAGES_ASKED, "transactions", lambda: {"limit": 100}, _HUNDRED, PAGE_MAX
        )
        await measured(
            "100 transactions anywhere by offset",
            PAGES_ASKED,
            "transactions",
            lambda: {"limit": 100, "offset": dice.randrange(hours - 100)},
            _HUNDRED,
            None,  # To count as far as the offset is what an offset asks for.
        )
        await measured(
            "100 single minutes anywhere",
            PAGES_ASKED,
            "transactions",
            lambda: {"detail": "minute", "limit": 100, "offset": dice.randrange(hours * 60 - 100)},
            _HUNDRED,
            PAGE_MAX,
        )
        await measured(
            "usage of all the time by VPS and day",
            USAGES_ASKED,
            "usage",
            lambda: whole | {"group_by": "vps,day"},
            _SUM,
            USAGE_MAX,
        )
        await measured(
            "a minute explained",
            PAGES_ASKED,
            "charges",
            lambda: {"of": f"{YEAR.vps_id(0)}:{dice.randrange(1, MINUTES)}"},
            _ROW,
            EXPLAINED_MAX,
        )
        figures.append(await _forecast(runtime))
    return figures


@asynccontextmanager
async def _least(service_url: str) -> AsyncIterator[Callable[[str, Instant, bytes], Awaitable[float]]]:
    """Give what tells how long it takes, in ms, to look up the rows that an answer is of, and to answer its bytes."""
    content = b""

    @get("/static")
    async def static() -> Response[bytes]:
        return Response(content, media_type="application/json")

    app = Litestar([static], openapi_config=None, logging_config=None)
    async with (
        await psycopg.AsyncConnection.connect(service_url, autocommit=True) as connection,
        AsyncClient(transport=ASGITransport(app=cast("Any", app)), base_url="http://litevps.test") as client,
    ):

        async def least_ms(query: str, at: Instant, answered: bytes) -> float:
            nonlocal content
            content = answered
            began_s = time.perf_counter()
            await (await connection.execute(query.encode(), [ACCOUNT, at], prepare=True)).fetchall()
            answer = await client.get("/static")
            took_ms = (time.perf_counter() - began_s) * 1000
            assert answer.content == answered
            return took_ms

        yield least_ms


async def _forecast(runtime: Runtime) -> Figure:
    ref, book = wallet_ref(ACCOUNT), book_of(YEAR)
    wallet = (await runtime.aggregates.load(ref)).of(ref)

    async def forecast() -> float:
        began_s = time.perf_counter()
        for _ in range(FORECASTS):
            assert exhausts_at(wallet, book, ENDS) is not None
        return (time.perf_counter() - began_s) * 1000 / FORECASTS

    async def searched() -> float:
        meters = [(meter.used_n, HOURLY) for meter in wallet.meters.values()]
        began_s = time.perf_counter()
        for _ in range(FORECASTS):
            low, high = 0, CENTURY_MINUTES
            while low < high:
                middle = (low + high) // 2
                cost = sum(charge_for_minutes(price, used_n + 1, used_n + 1 + middle) for used_n, price in meters)
                low, high = (middle + 1, high) if cost <= wallet.balance else (low, middle)
        return (time.perf_counter() - began_s) * 1000 / FORECASTS

    forecast_ms, searched_ms = await interleaved(5, forecast, searched)
    return Figure(
        name="how long the balance lasts, 10 VPSs",
        measured=forecast_ms,
        unit="ms",
        floor=searched_ms,
        floor_is="a binary search over a century's minutes, those of all VPSs beginning at once",
        target=FORECAST_MAX,
        at_most=True,
    )


@asynccontextmanager
async def _customer(service_url: str) -> AsyncIterator[tuple[Ask, Runtime]]:
    home = tempfile.mkdtemp(prefix="litevps-bench-")
    settings = Settings(
        home=home,
        development=True,
        compute="simulated",
        requests_per_minute=1_000_000,
        master_key=base64.b64encode(bytes(32)).decode(),
    )
    try:
        async with bootstrap.opened_runtime(
            settings, Database(service_url, None), with_hosts=False, on_progress=lambda _: None
        ) as runtime:
            ref = account_ref(ACCOUNT)
            account = (await runtime.aggregates.load(ref)).of(ref)
            token, _ = runtime.sessions.issue(ACCOUNT, account.password_number, Instant(runtime.clock.now() - MINUTE))
            given = {"authorization": f"Bearer {token}"}
            async with AsyncClient(
                transport=ASGITransport(app=create_app(runtime)), base_url="http://litevps.test"
            ) as client:

                async def ask(path: str, **asked: Any) -> Any:
                    if path == "charges":
                        path, asked = f"charges/{asked['of']}/explain", {}
                    answer = await client.get(f"/api/billing/{path}", headers=given, params=asked)
                    assert answer.status_code == 200, answer.text
                    return answer.content

                yield ask, runtime
    finally:
        shutil.rmtree(home)
