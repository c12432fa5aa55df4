"""`litevps keys`: the master key that wraps all others, and the key that signs sessions."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click
from rich.progress import Progress

from api.application.settings import Settings, SettingsInForce
from api.bootstrap import keys as bootstrap_keys
from api.bootstrap import runtime as bootstrap
from api.bootstrap.keys import KeyKeeper, RotationRefused
from api.cli.flags import with_settings
from api.cli.output import Form, print_result, stderr, with_form
from api.cli.sessions import migrated, no_progress, require_ledger
from domain.time import to_rfc3339

T = TypeVar("T")
_KIND = click.Choice(["master", "jwt"])


@click.group()
def keys() -> None:
    """The master key, and the key that signs sessions."""


@keys.command("list")
@with_form
@with_settings()
def list_keys(in_force: SettingsInForce, form: Form) -> None:
    """Show which keys there are, which of them are used, and how many others each wraps; never a key itself."""
    told = _with_keeper(in_force.settings, lambda keeper: keeper.statuses())
    facts = [
        {"kind": one.kind, "id": one.id, "state": one.state, "wraps": one.wraps, "ends_at": one.ends_at} for one in told
    ]
    rows = [
        (
            one.kind,
            one.id,
            one.state,
            "" if one.wraps is None else str(one.wraps),
            "" if one.ends_at is None else to_rfc3339(one.ends_at),
        )
        for one in told
    ]
    print_result(form, {"keys": facts}, ("KIND", "ID", "STATE", "WRAPS", "ENDS"), rows)


@keys.command("rotate")
@click.argument("kind", type=_KIND)
@with_form
@with_settings()
def rotate(in_force: SettingsInForce, kind: str, form: Form) -> None:
    """Have another key take the place of the one in use; the service goes on meanwhile.

    A rotation of the master key that was cut off goes on where it was left.
    """
    if kind == "jwt":
        kid, begins = _with_keeper(in_force.settings, lambda keeper: keeper.rotate_jwt())
        facts = {"kind": kind, "id": kid, "signs_from": to_rfc3339(begins)}
        print_result(form, facts, ("KIND", "ID", "SIGNS FROM"), [(kind, kid, to_rfc3339(begins))])
        return
    with Progress(console=stderr(), transient=True) as progress:
        task = progress.add_task("keys", total=None)
        key_id = _with_keeper(
            in_force.settings, lambda keeper: keeper.rotate_master(lambda done: progress.update(task, completed=done))
        )
    print_result(form, {"kind": kind, "id": key_id}, ("KIND", "ID"), [(kind, key_id)])


@keys.command("retire")
@click.argument("kind", type=_KIND)
@click.argument("key_id")
@with_form
@with_settings()
def retire(in_force: SettingsInForce, kind: str, key_id: str, form: Form) -> None:
    """Use a key no more.

    A master key has to wrap nothing any more, and is taken out of its file. Of a JWT key every session ends.
    """

    async def retired(keeper: KeyKeeper) -> None:
        await (keeper.retire_master(key_id) if kind == "master" else keeper.retire_jwt(key_id))

    _with_keeper(in_force.settings, retired)
    print_result(form, {"kind": kind, "retired": key_id}, ("KIND", "RETIRED"), [(kind, key_id)])


def _with_keeper(settings: Settings, task: Callable[[KeyKeeper], Awaitable[T]]) -> T:
    async def run() -> T:
        require_ledger(settings)
        async with bootstrap.opened_database(settings, no_progress) as database:
            await migrated(database)
            async with bootstrap_keys.opened_keys(settings, database.service_url) as keeper:
                return await task(keeper)

    try:
        return asyncio.run(run())
    except RotationRefused as refused:
        raise click.ClickException(str(refused)) from refused
