"""`litevps settings`: what operators set while the service runs; `litevps config` shows what it was started with."""

import click
import msgspec

from api.application.operators import OPERATOR
from api.application.repository import CommandContext
from api.application.runtime import Runtime
from api.application.settings import SettingsInForce
from api.cli.flags import with_settings
from api.cli.output import Form, print_result, with_form
from api.cli.sessions import run_with_runtime
from domain.settings.commands import ChangeSetting
from domain.settings.settings import SETTINGS_REF, OperatorSettings, change


@click.group()
def settings() -> None:
    """What is set while the service runs: limits, taxes, who issues statements."""


@settings.command("list")
@with_form
@with_settings()
def list_settings(in_force: SettingsInForce, form: Form) -> None:
    """Show what is in force."""

    async def read(runtime: Runtime) -> OperatorSettings:
        return (await runtime.aggregates.load(SETTINGS_REF)).of(SETTINGS_REF)

    _show(form, run_with_runtime(in_force.settings, read))


@settings.command("set")
@click.argument("name")
@click.argument("value")
@with_form
@with_settings()
def set_setting(in_force: SettingsInForce, name: str, value: str, form: Form) -> None:
    """Give NAME another VALUE, such as tax "VAT 19", which statements issued from now on tell."""

    async def changed(runtime: Runtime) -> OperatorSettings:
        outcome = await runtime.aggregates.execute(
            [SETTINGS_REF],
            lambda loaded, _: change(loaded.of(SETTINGS_REF), ChangeSetting(name, value)),
            CommandContext(actor=OPERATOR, step="change-setting"),
        )
        return outcome.loaded.of(SETTINGS_REF)

    _show(form, run_with_runtime(in_force.settings, changed))


def _show(form: Form, in_force: OperatorSettings) -> None:
    rates = ", ".join(f"{rate.name} {rate.percent}" for rate in in_force.tax)
    values = {**msgspec.structs.asdict(in_force), "tax": rates}
    print_result(form, in_force, ("NAME", "VALUE"), [(name, _as_typed(value)) for name, value in values.items()])


def _as_typed(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
