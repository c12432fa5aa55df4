"""`litevps account limit`: what an account may keep."""

from typing import Literal

import click
import msgspec

from api.application.operators import set_vps_limits
from api.application.runtime import Runtime
from api.application.settings import SettingsInForce
from api.cli.accounts import account_at, invalid_fields_of
from api.cli.flags import with_settings
from api.cli.output import Form, print_result, with_form
from api.cli.sessions import run_with_runtime
from domain.errors import Invalid
from domain.settings.settings import SETTINGS_REF
from domain.wallet.vps_limits import VpsLimits, vps_limits
from domain.wallet.wallet import wallet_ref

Given = int | Literal["default"] | None
"""A number, what holds for all others, or nothing: it stays as it is."""


DIGITS_MAX = 18
"""So that a number fits into 64 bits; what is too large for a limit is refused as such."""


class _NumberOrDefault(click.ParamType[int | str]):
    name = "N|default"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return a whole number or ``default``. Raises BadParameter."""
        if value == "default":
            return value
        if not (value.isascii() and value.isdigit() and len(value) <= DIGITS_MAX):
            self.fail(f"{value!r} is neither a whole number nor `default`.", param, ctx)
        return int(value)


NUMBER = _NumberOrDefault()


@click.command("limit")
@click.argument("email")
@click.option("--vps-max", type=NUMBER, help="How many VPSs it may keep, on or off; `default`: as all accounts.")
@click.option("--vps-disk-gb-max", type=NUMBER, help="How much disk, GiB, they may have together; `default`.")
@click.option("--reason", required=True, help="Why; it is recorded.")
@with_form
@with_settings()
def limit(
    in_force: SettingsInForce, email: str, vps_max: Given, vps_disk_gb_max: Given, reason: str, form: Form
) -> None:
    """Give an account limits of its own for what it may keep; what it has already is left as it is."""
    if vps_max is None and vps_disk_gb_max is None:
        raise click.UsageError("give --vps-max, --vps-disk-gb-max or both")

    async def limited(runtime: Runtime) -> tuple[str, VpsLimits]:
        account_id = await account_at(runtime, in_force, email)
        try:
            await set_vps_limits(runtime, account_id, vps_max, vps_disk_gb_max, reason)
        except Invalid as refused:
            raise click.ClickException(invalid_fields_of(refused)) from None
        loaded = await runtime.aggregates.load(wallet_ref(account_id), SETTINGS_REF)
        return str(account_id), vps_limits(loaded.of(wallet_ref(account_id)), loaded.of(SETTINGS_REF).vps_limits)

    account_id, limits = run_with_runtime(in_force.settings, limited)
    facts = {"id": account_id, "email": email, **msgspec.structs.asdict(limits)}
    row = (account_id, email, str(limits.vps_max), str(limits.vps_disk_gb_max))
    print_result(form, facts, ("ID", "E-MAIL", "VPS MAX", "DISK GB MAX"), [row])
