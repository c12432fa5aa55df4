"""`litevps serve`, `api` and `work`: HTTP and work in processes of their own, together or each by itself."""

import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import click
import uvloop

from api.application import closing, erasing, guest_metrics
from api.application.blobs import sweep_blobs
from api.application.expiry import EXPIRE_EVERY_S, expire_due
from api.application.runtime import Runtime
from api.application.seed_data import ensure_operator, ensure_plans, ensure_templates
from api.application.settings import Settings, SettingsInForce, SettingsRefused, check_servable
from api.application.statements.issuing import ISSUE_EVERY_S, issue_due
from api.application.user_data import EVERY_S as USER_DATA_EVERY_S
from api.application.user_data import user_data_queue
from api.bootstrap import runtime as bootstrap
from api.bootstrap.hosts import SIMULATED
from api.cli.flags import flags_for_reuse, given_flags, with_settings
from api.cli.output import stdout
from api.cli.sessions import migrated, print_progress
from api.cli.supervision import DidNotStart, Lifeline, ProcessSpec, Supervisor, program
from api.http.app import create_app
from api.http.pipeline.connections import Limits, room_for
from api.http.server import (
    GRACEFUL_S,
    BackgroundService,
    BackgroundServiceEnded,
    HttpServer,
    http_server,
    listen,
    run_services,
)
from api.workers import denials, gc_tuning, mail, payment_reconciliation
from api.workers.database_watch import watch_database
from api.workers.provisioning import Worker
from api.workers.reconciler import Reconciler
from api.workers.scheduler import HOSTS_EVERY_S, OBSERVE_EVERY_S, SETTLE_EVERY_S, SWEEP_EVERY_S, PeriodicTask, Scheduler
from domain.compute.metrics import GRAIN_S
from projections.catalogue import READ_MODELS
from projections.generation import SCHEMA
from projections.runner import Runner

_supervised = click.option("--supervised", type=int, default=None, hidden=True)
_listening = click.option("--listener", type=int, default=None, hidden=True)
"""File descriptors that a supervisor hands down."""


@click.command()
@with_settings(shown=True)
def serve(in_force: SettingsInForce) -> None:
    """Run the whole service, until Ctrl-C: HTTP and work, each in a process of its own."""
    settings = in_force.settings
    if settings.one_process or settings.compute == SIMULATED:
        # A played host is in the memory of whoever plays it.
        _run(settings, http=True, hosts=True)
        return
    try:
        check_servable(settings)
        uvloop.run(_supervise(in_force))
    except SettingsRefused as problem:
        raise click.ClickException(str(problem)) from problem
    except DidNotStart as problem:
        raise click.exceptions.Exit(1) from problem


@click.command()
@_supervised
@_listening
@with_settings(shown=True)
def api(in_force: SettingsInForce, supervised: int | None, listener: int | None) -> None:
    """Answer HTTP only; any number of these may run against one database."""
    _run(in_force.settings, http=True, hosts=False, supervised=supervised, listener=listener)


@click.command()
@_supervised
@with_settings(shown=True)
def work(in_force: SettingsInForce, supervised: int | None) -> None:
    """Drive hosts and settle what is due only; any number of these may run against one database."""
    _run(in_force.settings, http=False, hosts=True, supervised=supervised)


async def _supervise(in_force: SettingsInForce) -> None:
    settings, flags = in_force.settings, given_flags(in_force)
    async with AsyncExitStack() as stack:
        # Held here, so that clients of an HTTP process that died wait for the next one instead of being refused.
        listener = stack.enter_context(_listener(settings))
        database = await stack.enter_async_context(bootstrap.opened_database(settings, print_progress))
        await migrated(database)
        specs = (
            ProcessSpec("http", program("api", (*flags, "--listener", str(listener.fileno()))), (listener.fileno(),)),
            ProcessSpec("work", program("work", flags)),
        )

        async def started(said: dict[str, str]) -> None:
            stdout().print(said["http"])

        await Supervisor(specs).run(started)
    print_progress("ended; guests go on running")


def _run(
    settings: Settings, *, http: bool, hosts: bool, supervised: int | None = None, listener: int | None = None
) -> None:
    lifeline = None if supervised is None else Lifeline(supervised)
    try:
        check_servable(settings)
        uvloop.run(_serve(settings, http=http, hosts=hosts, lifeline=lifeline, inherited=listener))
    except (SettingsRefused, BackgroundServiceEnded) as problem:
        raise click.ClickException(str(problem)) from problem


async def _serve(
    settings: Settings, *, http: bool, hosts: bool, lifeline: Lifeline | None, inherited: int | None
) -> None:
    async with AsyncExitStack() as stack:
        if lifeline is not None:
            await stack.enter_async_context(lifeline.held())
        # Taken first: nothing is started for an address that another service has.
        listener = stack.enter_context(_listener(settings, inherited)) if http else None
        database = await stack.enter_async_context(bootstrap.opened_database(settings, print_progress))
        await migrated(database)
        runtime = await stack.enter_async_context(
            bootstrap.opened_runtime(settings, database, with_hosts=hosts, on_progress=print_progress)
        )
        await ensure_plans(runtime)
        await ensure_templates(runtime)
        operator_file = await ensure_operator(runtime)
        # In the order in which they are ended: first whatever takes on something new.
        services: dict[str, BackgroundService] = {}
        server: HttpServer | None = None
        if listener is not None:
            server, services["http"] = http_server(create_app(runtime), listener, _limits(settings))
            if runtime.stand_in is not None:
                services["stand-in"] = runtime.stand_in.run
        if hosts:
            services |= _host_services(runtime)
        if hosts and runtime.mailer is None:
            print_progress("no mail server is set (LITEVPS_SMTP_URL): mail waits until there is one")
        services["read models"] = _runner(runtime).run
        if database.ensure_running is not None:
            services["database"] = partial(watch_database, database.ensure_running)
        services["garbage"] = gc_tuning.collect_periodically
        ending = f"ending: waiting at most {GRACEFUL_S} s for requests under way" if http else "ending work"
        await run_services(
            services,
            _announcement(settings, server, operator_file, lifeline),
            ending=partial(print_progress, ending),
            force_shutdown=runtime.ending.set,
        )
    if lifeline is None:
        print_progress("ended; guests go on running" if hosts else "ended")


def _limits(settings: Settings) -> Limits:
    return Limits(
        in_all=room_for(settings.connections_max),
        of_client=settings.client_connections_max,
        proxies=settings.proxy_networks,
    )


def _host_services(runtime: Runtime) -> dict[str, BackgroundService]:
    worker, reconciler = Worker(runtime.worker), Reconciler(runtime.worker)
    payments_every_s = (
        payment_reconciliation.EVERY_S_DEVELOPMENT if runtime.settings.development else payment_reconciliation.EVERY_S
    )
    scheduler = Scheduler(
        first=[
            # In this order, since what is observed proves minutes that are then settled.
            PeriodicTask("observe", reconciler.reconcile, OBSERVE_EVERY_S),
            PeriodicTask("settle", runtime.settle_due, SETTLE_EVERY_S),
        ],
        tasks=[
            PeriodicTask("user data", user_data_queue(runtime.worker).work_off, USER_DATA_EVERY_S),
            PeriodicTask("expiry", partial(expire_due, runtime.worker), EXPIRE_EVERY_S),
            PeriodicTask("denials", partial(denials.collect_denials, runtime.worker), denials.EVERY_S),
            PeriodicTask("mail", partial(mail.send_due_mail, runtime), mail.EVERY_S),
            PeriodicTask("closings", partial(closing.finish_closings, runtime), closing.EVERY_S),
            PeriodicTask("erasures", partial(erasing.finish_erasures, runtime), erasing.EVERY_S),
            PeriodicTask("payments", payment_reconciliation.PaymentReconciler(runtime.payments).run, payments_every_s),
            PeriodicTask("statements", partial(issue_due, runtime), ISSUE_EVERY_S),
            *([] if runtime.register_hosts is None else [PeriodicTask("hosts", runtime.register_hosts, HOSTS_EVERY_S)]),
            PeriodicTask("claims", runtime.sweep_claims, SWEEP_EVERY_S),
            PeriodicTask("metrics", partial(guest_metrics.collect_metrics, runtime), GRAIN_S),
            PeriodicTask("old metrics", partial(guest_metrics.sweep_metrics, runtime), SWEEP_EVERY_S),
            PeriodicTask("blobs", partial(sweep_blobs, runtime.worker.blobs), SWEEP_EVERY_S),
        ],
    )
    return {"scheduler": scheduler.run, "worker": worker.run}


def _runner(runtime: Runtime) -> Runner:
    return Runner(runtime.store, runtime.database_url, READ_MODELS, schema=SCHEMA, moved=runtime.read_models.moved)


def _listener(settings: Settings, inherited: int | None = None) -> socket.socket:
    if inherited is not None:
        return socket.socket(fileno=inherited)
    try:
        return listen(settings.host, settings.port)
    except OSError as taken:
        raise click.ClickException(f"cannot listen on {settings.host}:{settings.port}: {taken}") from taken


def _announcement(
    settings: Settings, server: HttpServer | None, operator_file: Path | None, lifeline: Lifeline | None
) -> Callable[[], Awaitable[None]]:
    async def announce() -> None:
        if server is not None:
            await server.up.wait()
        if lifeline is not None:
            lifeline.say_ready("" if server is None else _welcome(settings, operator_file))
        elif server is None:
            print_progress("working")
        else:
            stdout().print(_welcome(settings, operator_file))

    return announce


def _welcome(settings: Settings, operator_file: Path | None) -> str:
    # As it was typed, since a virtual environment's commands are seldom on the path.
    litevps = sys.argv[0]
    home, address = flags_for_reuse(settings, "home"), flags_for_reuse(settings, "home", "host", "port", "public_url")
    lines = [f"LiteVPS serves {settings.url}"]
    if operator_file is not None:
        email, password, *_ = operator_file.read_text().splitlines()
        # What is printed ends up in a journal; in production that is no place for a password.
        shown = f"{password}   (kept in {operator_file})" if settings.development else f"in {operator_file}"
        lines += [f"operator: {email}   password: {shown}"]
    lines += [
        "",
        "next, in another terminal:",
        f"  curl -s {settings.url}/api/pricing",
        f'  {litevps} account credit{home} EMAIL 10 --reason "to try it"',
        f"  {litevps} demo{address}        the quick start, each request and answer shown",
        f"Ctrl-C ends the service; guests go on running until `{litevps} host stop{home}`.",
    ]
    return "\n".join(lines)
