"""`litevps demo`: the quick start against a running service, each request and answer shown."""

import asyncio
import contextlib
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import click
import httpx
import msgspec

from api.application.audit.findings import Report
from api.application.audit.verify import verify
from api.application.operators import credit, find_account
from api.application.settings import Settings, SettingsInForce
from api.bootstrap.hosts import EMBEDDED, SIMULATED, embedded_host
from api.cli.flags import flags_for_reuse, with_settings
from api.cli.output import stdout
from api.cli.sessions import no_progress, opened_ledger, opened_runtime
from api.cli.smoke_test import PromiseBroken, SmokeTest
from domain.money import MicroUsd, exact_usd
from projections.catalogue import READ_MODELS

START_TIMEOUT_S = 600.0
"""Long enough to build a guest image and to install a PostgreSQL."""
END_TIMEOUT_S = 60.0
POLL_S = 0.5


@click.command()
@with_settings(shown=True)
def demo(in_force: SettingsInForce) -> None:
    """Do the quick start against the service at this address; one is started for it if none answers.

    Ends with 0 only if every step did what is promised and the ledger is sound afterwards.
    """
    try:
        asyncio.run(_demonstrate(in_force.settings))
    except PromiseBroken as broken:
        raise click.ClickException(str(broken)) from broken


async def _demonstrate(settings: Settings) -> None:
    console = stdout()
    if await _answers(settings.url):
        await _run_smoke_test(settings)
    else:
        console.print(f"nothing answers at {settings.url}: starting a service in a folder of its own …", style="dim")
        async with _own_service(settings) as own:
            await _run_smoke_test(own)


async def _run_smoke_test(settings: Settings) -> None:
    console = stdout()

    async def give(email: str, amount: MicroUsd) -> None:
        again = flags_for_reuse(settings, "home")
        usd, reason = exact_usd(amount), "to try it"
        console.print(f'\n$ litevps account credit{again} {email} {usd} --reason "{reason}"', style="cyan")
        async with opened_runtime(settings) as runtime:
            balance = await credit(runtime, await find_account(runtime, email), amount, reason)
        console.print(f"the balance is {exact_usd(balance)} USD")

    async with httpx.AsyncClient(base_url=settings.url) as client:
        await SmokeTest(client, console, give).go()
    console.rule("8. Have the ledger checked", align="left")
    console.print(f"\n$ litevps audit verify{flags_for_reuse(settings, 'home')}", style="cyan")
    async with opened_ledger(settings) as access:
        report = await verify(access.store, access.evidence, access.database_url, READ_MODELS)
    _show(report)


def _show(report: Report) -> None:
    for check in report.checks:
        stdout().print(f"{'FAULTY' if check.faults else 'ok':6} {check.promise} ({check.seen:,} seen)")
        for finding in check.findings:
            stdout().print(f"       {finding}")
    if not report.ok:
        raise PromiseBroken("the ledger is not sound")
    stdout().print(f"sound up to position {report.position:,}", style="green")


@contextlib.asynccontextmanager
async def _own_service(settings: Settings) -> AsyncIterator[Settings]:
    """Start a service in a temporary home, and leave nothing of it behind. Raises ClickException."""
    if settings.compute not in (EMBEDDED, SIMULATED):
        # Guests on a host that is somebody's would be left there, without the ledger that knows them.
        raise click.ClickException(f"a service is started for the demo on its own host only, not on {settings.compute}")
    home = await asyncio.to_thread(_temporary_home)
    own = msgspec.structs.replace(
        settings, home=str(home), development=True, host="127.0.0.1", port=_free_port(), public_url=None
    )
    service = await _started(own)
    try:
        await _until_it_answers(own, service)
        yield own
    finally:
        if service.returncode is None:
            service.send_signal(signal.SIGINT)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(service.wait(), END_TIMEOUT_S)
        if service.returncode is None:
            service.kill()
        if own.compute == EMBEDDED:
            await asyncio.to_thread(embedded_host(own, None, no_progress).remove)
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


def _temporary_home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="litevps-demo-"))
    home.chmod(0o711)
    return home


def _log_of(settings: Settings) -> Path:
    return settings.home_folder / "service.log"


async def _started(settings: Settings) -> asyncio.subprocess.Process:
    flags = ["--home", settings.home, "--compute", settings.compute, "--port", str(settings.port)]
    with _log_of(settings).open("wb") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "api.cli.program", "serve", "--development", *flags), stdout=log, stderr=log
        )


async def _until_it_answers(settings: Settings, service: asyncio.subprocess.Process) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not await _answers(settings.url):
        if service.returncode is not None or time.monotonic() > deadline_s:
            raise PromiseBroken(f"the service did not start:\n{_log_of(settings).read_text()[-2000:]}")
        await asyncio.sleep(POLL_S)


async def _answers(url: str) -> bool:
    async with httpx.AsyncClient(base_url=url, timeout=5) as client:
        try:
            return (await client.get("/api/health")).status_code == 200
        except httpx.TransportError:
            return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
