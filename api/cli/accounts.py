"""`litevps account`: operators' first steps."""

import sys

import click

from api.cli.flags import with_settings
from api.cli.opening import place_of, run_with_runtime
from api.cli.output import Form, tell, with_form
from api.operators import ROLES, create_account, credit, find_account
from api.runtime import Runtime
from api.settings import Loaded
from domain.accounts.events import Role
from domain.errors import NotFound
from domain.money import exact_usd, parse_usd


@click.group()
def account() -> None:
    """Accounts of customers and operators."""


@account.command("create")
@click.argument("email")
@click.option("--role", "roles", multiple=True, type=click.Choice(ROLES), help="May be given several times.")
@with_form
@with_settings()
def create(loaded: Loaded, email: str, roles: tuple[Role, ...], form: Form) -> None:
    """Make an account; its password is read from standard input."""
    password = _read_password()

    async def made(runtime: Runtime) -> str:
        return str(await create_account(runtime, email, password, roles))

    account_id = run_with_runtime(loaded.settings, made, makes_key=True)
    facts = {"id": account_id, "email": email, "roles": list(roles)}
    tell(form, facts, ("ID", "E-MAIL", "ROLES"), [(account_id, email, " ".join(roles))])


@account.command("credit")
@click.argument("email")
@click.argument("usd")
@click.option("--reason", required=True, help="Why; it is recorded.")
@with_form
@with_settings()
def credit_funds(loaded: Loaded, email: str, usd: str, reason: str, form: Form) -> None:
    """Give an account funds, in US dollars with at most 6 decimals."""
    try:
        amount = parse_usd(usd)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong), param_hint="USD") from wrong

    async def credited(runtime: Runtime) -> tuple[str, int]:
        try:
            account_id = await find_account(runtime, email)
        except NotFound:
            raise click.ClickException(f"no account in {place_of(loaded.settings)} has the address {email}") from None
        return str(account_id), await credit(runtime, account_id, amount, reason)

    account_id, balance = run_with_runtime(loaded.settings, credited)
    facts = {"id": account_id, "email": email, "amount_micros": amount, "balance_micros": balance}
    row = (account_id, email, exact_usd(amount), exact_usd(balance))  # type: ignore[arg-type]
    tell(form, facts, ("ID", "E-MAIL", "USD", "BALANCE"), [row])


def _read_password() -> str:
    if sys.stdin.isatty():
        prompted: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return prompted
    return sys.stdin.readline().rstrip("\n")
