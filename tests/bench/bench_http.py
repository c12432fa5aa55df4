"""HTTP: a bare append, and a request that changes something through the whole stack."""

import asyncio
import json
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from functools import partial
from pathlib import Path

from adapters.embedded_postgres.server import SERVICE_ROLE, EmbeddedPostgres
from adapters.postgres.migrate import migrate
from projections.catalogue import READ_MODELS
from projections.generation import install
from tests.bench.figures import Figure, interleaved
from tests.ports import free_port

ROUNDS = 5
ROUND_S = 2.0
CONNECTIONS = 64
APPEND_MIN = 0.30
FULL_STACK_MIN = 0.15
STATIC = "JSON that never changes, from a bare Litestar application"


async def run() -> list[Figure]:
    """Load each in turn with the same clients."""
    folder = Path(tempfile.mkdtemp(prefix="litevps-bench-"))
    folder.chmod(0o711)  # noqa: ASYNC240 — nothing else runs yet.
    server = EmbeddedPostgres(folder / "postgres")
    started: list[Process] = []
    try:
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(migrate, server.owner_url, server.service_password)
        await asyncio.to_thread(install, server.owner_url, READ_MODELS)
        url, tokens = server.url(SERVICE_ROLE), folder / "tokens"
        ports = {what: free_port() for what in ("bare", "full")}
        for what, port in ports.items():
            started.append(await _server(what, url, port, tokens))
        return await _figures(ports["bare"], ports["full"], tokens)
    finally:
        for process in started:
            process.kill()
            await process.wait()
        await asyncio.to_thread(server.stop)
        shutil.rmtree(folder)


async def _figures(bare: int, full: int, tokens: Path) -> list[Figure]:
    async def static() -> float:
        return await _rate(bare, "static")

    async def append() -> float:
        return await _rate(bare, "append")

    async def ssh_keys() -> float:
        return await _rate(full, "ssh-keys", str(tokens))

    for warm_up in (static, append, ssh_keys):
        await warm_up()
    static_rate, append_rate, full_rate = await interleaved(ROUNDS, static, append, ssh_keys)
    rate = partial(Figure, unit="/s", floor=static_rate, floor_is=STATIC, note=f"{CONNECTIONS} connections")
    return [
        rate(name="HTTP: bare append", measured=append_rate, target=APPEND_MIN),
        rate(name="HTTP: POST /api/ssh-keys, full stack", measured=full_rate, target=FULL_STACK_MIN),
    ]


async def _rate(port: int, kind: str, *more: str) -> float:
    arguments = (str(port), kind, str(ROUND_S), str(CONNECTIONS), *more)
    load = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.http_load", *arguments, stdout=PIPE)
    told, _ = await load.communicate()
    result = json.loads(told)
    assert not result["wrong"], f"{result['wrong']} wrong answers to {kind}"
    return float(result["rate"])


async def _server(what: str, url: str, port: int, tokens: Path) -> Process:
    arguments = (what, url, str(port), str(tokens))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.http_servers", *arguments, stdout=PIPE
    )
    assert process.stdout is not None
    assert (await process.stdout.readline()).strip() == b"ready", f"the {what} server did not start"
    return process
