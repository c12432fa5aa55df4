"""Servers to be loaded, each in a process of its own: a bare Litestar application, and the whole service.

``python -m tests.bench.http_servers bare|full URL PORT TOKENS``; prints "ready" once it answers.
"""

import asyncio
import gc
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvloop
from litestar import Litestar, get, post

from adapters.postgres.event_store import PostgresEventStore
from api.application.repository import CommandContext
from api.application.runtime import Runtime
from api.application.settings import Settings
from api.bootstrap import runtime as bootstrap
from api.bootstrap.runtime import Database
from api.http.app import create_app
from api.http.server import http_server, listen
from domain.accounts import account as accounts
from domain.accounts.commands import RegisterAccount
from domain.events import Actor
from domain.ids import AccountId, StreamId
from domain.ports import Append, NewEvent
from domain.time import Instant
from domain.wallet.wallet import wallet_ref
from projections.catalogue import READ_MODELS
from projections.generation import SCHEMA
from projections.runner import Runner

ACCOUNTS = 1_000
AT_ONCE = 100
PAYLOAD = '{"type":"wallet.funds-added.v1","amount":5000000,"reference":"bench"}'
METADATA = '{"id":"0198c1f2-7a54-7c3e-9f4b-0a1b2c3d4e5f","actor":{"kind":"service","part":"bench"}}'


async def bare(url: str, port: int) -> None:
    """Serve JSON that never changes, and an append with nothing around it."""
    async with PostgresEventStore(url) as store:

        @get("/static")
        async def static() -> dict[str, str]:
            return {"status": "ok"}

        @post("/append")
        async def append() -> dict[str, int]:
            event = NewEvent(StreamId(uuid4()), 1, "wallet.funds-added.v1", PAYLOAD, METADATA, Instant(1))
            return {"position": (await store.append(Append((event,)))).last_position}

        await _serve(Litestar([static, append], openapi_config=None), port)


async def full(url: str, port: int, tokens: Path) -> None:
    """Serve everything, read models kept current in the same process as ``litevps serve`` has it."""
    settings = Settings(
        home=str(tokens.parent / "home"), development=True, compute="simulated", requests_per_minute=10_000_000
    )
    async with bootstrap.opened_runtime(
        settings, Database(url, None), with_hosts=False, on_progress=lambda _: None
    ) as runtime:
        tokens.write_text("\n".join(await _accounts(runtime)))  # noqa: ASYNC240 — nobody is served yet.
        assert runtime.read_models is not None
        runner = Runner(runtime.store, url, READ_MODELS, schema=SCHEMA, moved=runtime.read_models.moved)
        following = asyncio.create_task(runner.run())
        await _serve(create_app(runtime), port)
        following.cancel()


async def _accounts(runtime: Runtime) -> list[str]:
    """Make accounts without the work that a password is, and return a session of each."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def make() -> str:
        account_id = AccountId(runtime.ids.new())
        command = RegisterAccount(account_id, f"{account_id}@example.com", account_id.bytes, "no password")
        context = CommandContext(actor=Actor("service", part="bench"), account_id=account_id)
        refs = (accounts.account_ref(account_id), wallet_ref(account_id))
        async with limit:
            await runtime.aggregates.execute(refs, lambda _loaded, _now: accounts.register(command), context)
        return runtime.sessions.issue(account_id, 1, runtime.clock.now())[0]

    return await asyncio.gather(*(make() for _ in range(ACCOUNTS)))


async def _serve(app: Any, port: int) -> None:
    _, run = http_server(app, listen("127.0.0.1", port))
    gc.freeze()
    print("ready", flush=True)
    await run()


if __name__ == "__main__":
    what, database_url, server_port, tokens_file = sys.argv[1:]
    if what == "bare":
        uvloop.run(bare(database_url, int(server_port)))
    else:
        uvloop.run(full(database_url, int(server_port), Path(tokens_file)))
