"""What a customer of a year sees of five million minutes: balances, transactions, usage, explanations, over HTTP.

``LITEVPS_BENCH_YEAR`` names a folder made by ``python -m tests.bench.made_up_year`` to be measured in; without it,
the year is made anew, which takes some minutes.
"""

import base64
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from httpx import ASGITransport, AsyncClient

from adapters.embedded_postgres.server import SERVICE_ROLE
from adapters.postgres.event_store import PostgresEventStore
from api.application.runtime import Runtime
from api.application.settings import Settings
from api.bootstrap import runtime as bootstrap
from api.bootstrap.runtime import Database
from api.http.app import create_app
from domain.accounts.account import account_ref
from domain.time import MINUTE, Instant, to_rfc3339
from domain.wallet.forecast import exhausts_at
from domain.wallet.wallet import wallet_ref
from projections.entries import ENTRIES
from projections.generation import SCHEMA
from projections.runner import Folding, connect
from projections.vps import VPS
from tests.bench.figures import Figure, percentile
from tests.bench.made_up_fleet import book_of
from tests.bench.made_up_year import ACCOUNT, BEGINS, ENDS, MINUTES, YEAR, made_up_year
from tests.bench.own_postgres import own_postgres

BALANCES_ASKED = 1_000
BALANCE_P99_MS_MAX = 50
PAGES_ASKED = 100
USAGES_ASKED = 5
FORECAST_MS_MAX = 0.2
FORECASTS = 200

Ask = Callable[..., Any]


async def run() -> list[Figure]:
    """Measure on a PostgreSQL of its own."""
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
    async with await connect(owner_url, SCHEMA) as owner:
        for table in (*ENTRIES.tables, *VPS.tables):
            await owner.execute(f"VACUUM ANALYZE {table}".encode())
    if not events:
        return []
    lines = events * YEAR.vpss_per_account
    return [Figure("a year folded into entries", lines / took_s, "lines/s", note=f"{lines:,} lines in {took_s:.0f} s")]


async def _asked(service_url: str) -> list[Figure]:
    dice = random.Random(3)
    async with _customer(service_url) as (ask, runtime):

        def instant() -> str:
            return to_rfc3339(Instant(dice.randrange(BEGINS, ENDS)))

        async def timed(count: int, path: str, asked: Callable[[], dict[str, Any]]) -> list[float]:
            took = []
            for _ in range(count + 10):
                query = asked()
                began_s = time.perf_counter()
                await ask(path, **query)
                took.append((time.perf_counter() - began_s) * 1000)
            return took[10:]

        balances = await timed(BALANCES_ASKED, "balance", lambda: {"at": instant()})
        by_hour = await timed(PAGES_ASKED, "transactions", lambda: {"limit": 100, "offset": dice.randrange(87_000)})
        newest = await timed(PAGES_ASKED, "transactions", lambda: {"limit": 100})
        singly = await timed(
            PAGES_ASKED,
            "transactions",
            lambda: {"detail": "minute", "limit": 100, "offset": dice.randrange(5_000_000)},
        )
        whole = {"from": to_rfc3339(BEGINS), "to": to_rfc3339(ENDS)}
        usage = await timed(USAGES_ASKED, "usage", lambda: whole | {"group_by": "vps,day"})
        explained = await timed(
            PAGES_ASKED, "charges", lambda: {"of": f"{YEAR.vps_id(0)}:{dice.randrange(1, MINUTES)}"}
        )
        forecast = await _forecast(runtime)
    return [
        _figure("balance at any instant of the year, p99", balances, 0.99, BALANCE_P99_MS_MAX),
        _figure("balance at any instant of the year, median", balances, 0.5),
        _figure("the newest 100 transactions, median", newest, 0.5),
        _figure("100 transactions anywhere in the year by offset, median", by_hour, 0.5),
        _figure("100 single minutes anywhere in the year, median", singly, 0.5),
        _figure("usage of the year by VPS and day, median", usage, 0.5),
        _figure("a minute of the year explained, median", explained, 0.5),
        Figure("how long the balance lasts, 10 VPSs", forecast, "ms", target=FORECAST_MS_MAX, at_most=True),
    ]


async def _forecast(runtime: Runtime) -> float:
    ref = wallet_ref(ACCOUNT)
    wallet = (await runtime.aggregates.load(ref)).of(ref)
    began_s = time.perf_counter()
    for _ in range(FORECASTS):
        assert exhausts_at(wallet, book_of(YEAR), ENDS) is not None
    return (time.perf_counter() - began_s) * 1000 / FORECASTS


def _figure(name: str, took_ms: list[float], share: float, most_ms: float | None = None) -> Figure:
    return Figure(name, percentile(took_ms, share), "ms", target=most_ms, at_most=True, note=f"of {len(took_ms)}")


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
                    return answer.json()

                yield ask, runtime
    finally:
        shutil.rmtree(home)
