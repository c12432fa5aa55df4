"""`litevps template`: what is offered to everybody to make VPSs from."""

from pathlib import Path

import click

from api.application.runtime import Runtime
from api.application.settings import SettingsInForce
from api.application.templates import define_shared_template, list_shared_templates, remove_shared_template
from api.cli.flags import with_settings
from api.cli.output import Form, print_result, with_form
from api.cli.sessions import print_progress, run_with_runtime
from domain.images.commands import DefineSharedTemplate
from domain.images.images import LITE
from domain.images.templates import Template

_HEADINGS = ("NAME", "IMAGE", "INSTEAD", "VCPU", "MEMORY MB", "DISK GB", "TTL MINUTES", "DESCRIPTION")


@click.group()
def template() -> None:
    """Templates that are offered to everybody; accounts have others of their own."""


@template.command("list")
@with_form
@with_settings()
def list_all(in_force: SettingsInForce, form: Form) -> None:
    """Show what is offered."""
    _print(form, run_with_runtime(in_force.settings, list_shared_templates))


@template.command("add")
@click.argument("name")
@click.option("--description", default="", help="For people.")
@click.option("--image", default=LITE, show_default=True, help="What a VPS of it starts from.")
@click.option("--instead", help="The image that is started where no host has that one.")
@click.option("--vcpu", type=int, required=True)
@click.option("--memory-mb", type=int, required=True)
@click.option("--disk-gb", type=int, required=True)
@click.option("--user-data", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file.")
@click.option("--ttl-minutes", type=int, help="How long a VPS of it lives.")
@with_form
@with_settings()
def add(
    in_force: SettingsInForce,
    name: str,
    description: str,
    image: str,
    instead: str | None,
    vcpu: int,
    memory_mb: int,
    disk_gb: int,
    user_data: Path | None,
    ttl_minutes: int | None,
    form: Form,
) -> None:
    """Offer NAME to everybody; one of the same name is followed by it."""
    command = DefineSharedTemplate(
        name=name,
        description=description,
        image=image,
        instead=instead,
        vcpu=vcpu,
        memory_mb=memory_mb,
        disk_gb=disk_gb,
        user_data=None if user_data is None else user_data.read_text(),
        ttl_minutes=ttl_minutes,
    )

    async def defined(runtime: Runtime) -> list[Template]:
        return [await define_shared_template(runtime, command)]

    _print(form, run_with_runtime(in_force.settings, defined))


@template.command("remove")
@click.argument("name")
@with_settings()
def remove(in_force: SettingsInForce, name: str) -> None:
    """Offer NAME to nobody any more."""

    async def removed(runtime: Runtime) -> None:
        await remove_shared_template(runtime, name)

    run_with_runtime(in_force.settings, removed)
    print_progress("removed")


def _print(form: Form, templates: list[Template]) -> None:
    print_result(form, templates, _HEADINGS, [_row(one) for one in templates])


def _row(one: Template) -> tuple[str, ...]:
    sizes = (
        str(one.vcpu),
        str(one.memory_mb),
        str(one.disk_gb),
        "" if one.ttl_minutes is None else str(one.ttl_minutes),
    )
    return (one.name, one.image, one.instead or "", *sizes, one.description)
