"""`litevps migrate`, `rebuild` and `config`: the database in the newest form, read models made anew."""

import asyncio

import click
from rich.progress import Progress

from api.application.settings import SettingsInForce
from api.cli.flags import with_settings
from api.cli.output import Form, print_result, stderr, with_form
from api.cli.sessions import LedgerAccess, migrate_database, run_with_ledger
from projections.catalogue import READ_MODELS
from projections.generation import Reached, RebuildFailed
from projections.generation import rebuild as rebuild_read_models
from projections.read_model import ReadModel

_NAMES = [model.name for model in READ_MODELS]


@click.command()
@with_form
@with_settings()
def migrate(in_force: SettingsInForce, form: Form) -> None:
    """Bring the database to the newest form; read models whose tables have changed are rebuilt."""
    done = asyncio.run(migrate_database(in_force.settings))
    rows = [(name, "applied") for name in done.applied] + [(name, "rebuilt") for name in done.rebuilt]
    print_result(form, {"applied": done.applied, "rebuilt": done.rebuilt}, ("WHAT", "DONE"), rows)
    if not rows:
        stderr().print("nothing to do")


@click.command()
@click.argument("projection", type=click.Choice(_NAMES), required=False)
@with_form
@with_settings()
def rebuild(in_force: SettingsInForce, projection: str | None, form: Form) -> None:
    """Make one read model anew from the events, or all of them; the service may go on meanwhile."""
    chosen = [model for model in READ_MODELS if projection in (None, model.name)]

    async def rebuilt(access: LedgerAccess) -> int:
        return await _rebuilt(access, chosen)

    try:
        position = run_with_ledger(in_force.settings, rebuilt)
    except RebuildFailed as failed:
        raise click.ClickException(f"{failed}. What was there is as it was.") from failed
    names = [model.name for model in chosen]
    print_result(
        form, {"rebuilt": names, "position": position}, ("REBUILT", "POSITION"), [(n, str(position)) for n in names]
    )


async def _rebuilt(access: LedgerAccess, chosen: list[ReadModel]) -> int:
    if access.owner_url is None:
        raise click.ClickException("LITEVPS_MIGRATION_URL is needed: the tables belong to the database's owner")
    with Progress(console=stderr(), transient=True) as progress:
        task = progress.add_task("events")

        def reached(so_far: Reached) -> None:
            progress.update(task, completed=so_far.position, total=so_far.goal)

        return await rebuild_read_models(access.owner_url, access.store, chosen, reached)


@click.command()
@with_form
@with_settings(shown=True)
def config(in_force: SettingsInForce, form: Form) -> None:
    """Show every setting that is in force and where it came from; secrets are masked."""
    shown = in_force.shown()
    facts = {name: {"value": value, "from": source} for name, value, source in shown}
    print_result(form, facts, ("SETTING", "VALUE", "FROM"), shown)
