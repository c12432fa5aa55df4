"""`litevps account`: operators' first steps."""

import re
import sys
from contextlib import suppress
from typing import get_args
from uuid import UUID

import click

from api.application.erasing import close_if_open, erase_account, find_closed
from api.application.operators import (
    OPERATOR,
    ROLES,
    Corrected,
    Correction,
    correct,
    create_account,
    credit,
    find_account,
    write_off,
)
from api.application.repository import CommandContext
from api.application.runtime import Runtime
from api.application.settings import SettingsInForce
from api.cli.flags import with_settings
from api.cli.output import Form, print_result, with_form
from api.cli.sessions import place_of, run_with_runtime
from domain.accounts.commands import EraseAccount
from domain.accounts.events import ErasureReason, Role
from domain.errors import Invalid, NotFound
from domain.ids import AccountId, EventId
from domain.money import MicroUsd, exact_usd, parse_usd
from domain.wallet.funds import InsufficientBalance
from domain.wallet.paid_in import NothingOwed

ERASURE_REASONS = get_args(ErasureReason)
OPERATES = CommandContext(actor=OPERATOR)
_LINE_ID = re.compile(r"[0-9A-Fa-f-]{36}:\d+(-\d+)?")
"""How transactions and statements name minutes of a VPS."""


@click.group()
def account() -> None:
    """Accounts of customers and operators."""


@account.command("create")
@click.argument("email")
@click.option("--role", "roles", multiple=True, type=click.Choice(ROLES), help="May be given several times.")
@with_form
@with_settings()
def create(in_force: SettingsInForce, email: str, roles: tuple[Role, ...], form: Form) -> None:
    """Make an account; its password is read from standard input."""
    password = _read_password()

    async def made(runtime: Runtime) -> str:
        return str(await create_account(runtime, email, password, roles))

    account_id = run_with_runtime(in_force.settings, made, makes_key=True)
    facts = {"id": account_id, "email": email, "roles": list(roles)}
    print_result(form, facts, ("ID", "E-MAIL", "ROLES"), [(account_id, email, " ".join(roles))])


@account.command("credit")
@click.argument("email")
@click.argument("usd")
@click.option("--reason", required=True, help="Why; it is recorded.")
@with_form
@with_settings()
def credit_funds(in_force: SettingsInForce, email: str, usd: str, reason: str, form: Form) -> None:
    """Give an account funds, in US dollars with at most 6 decimals."""
    amount = _amount(usd)

    async def credited(runtime: Runtime) -> tuple[str, int]:
        account_id = await account_at(runtime, in_force, email)
        return str(account_id), await credit(runtime, account_id, amount, reason)

    account_id, balance = run_with_runtime(in_force.settings, credited)
    facts = {"id": account_id, "email": email, "amount_micros": amount, "balance_micros": balance}
    row = (account_id, email, exact_usd(amount), exact_usd(balance))  # type: ignore[arg-type]
    print_result(form, facts, ("ID", "E-MAIL", "USD", "BALANCE"), [row])


class _EventId(click.ParamType[UUID]):
    """The id of an event; what else people take for one is refused in words that say what it is."""

    name = "event id"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> UUID:
        """Return the id of an event. Raises BadParameter."""
        if _LINE_ID.fullmatch(value):
            self.fail(
                f"{value} is the id of a line that tells minutes of a VPS, and not of an event:"
                " `litevps audit export` tells the event that recorded them, with its id in the metadata.",
                param,
                ctx,
            )
        try:
            return UUID(value)
        except ValueError:
            self.fail(f"{value!r} is not the id of an event, which is a UUID.", param, ctx)


@account.command("correct")
@click.argument("email")
@click.argument("event_id", type=_EventId())
@click.argument("usd")
@click.option("--reason", required=True, help="Why; it is recorded.")
@click.option("--id", "correction_id", type=click.UUID, help="An id of your own: typed again, it changes nothing.")
@with_form
@with_settings()
def correct_funds(
    in_force: SettingsInForce, email: str, event_id: UUID, usd: str, reason: str, correction_id: UUID | None, form: Form
) -> None:
    """Put right what an earlier event did, in US dollars: above zero in favour of the customer.

    EVENT_ID names an event that charged minutes or gave a credit, as `litevps audit export` tells it in its metadata.
    For less than zero, write -- before the arguments, and all options before that.
    """
    amount = _amount(usd)

    async def corrected(runtime: Runtime) -> tuple[str, Correction, Corrected]:
        account_id = await account_at(runtime, in_force, email)
        correction = Correction(correction_id or runtime.ids.new(), EventId(event_id), amount, reason)
        try:
            return str(account_id), correction, await correct(runtime, account_id, correction)
        except NotFound:
            raise click.ClickException(f"the wallet of {email} has no event {event_id}") from None
        except InsufficientBalance as refused:
            raise click.ClickException(f"the balance is {exact_usd(refused.balance)} USD only") from None
        except Invalid as refused:
            raise click.ClickException(invalid_fields_of(refused)) from None

    account_id, correction, outcome = run_with_runtime(in_force.settings, corrected)
    facts = {
        "id": account_id,
        "email": email,
        "correction_id": str(correction.correction_id),
        "corrects": str(event_id),
        "amount_micros": amount,
        "balance_micros": outcome.balance,
        "applied": outcome.applied,
    }
    came_of_it = exact_usd(amount) if outcome.applied else "recorded before"
    row = (account_id, email, str(correction.correction_id), came_of_it, exact_usd(outcome.balance))
    print_result(form, facts, ("ID", "E-MAIL", "CORRECTION", "USD", "BALANCE"), [row])


@account.command("write-off")
@click.argument("email")
@click.option("--reason", required=True, help="Why; it is recorded.")
@with_form
@with_settings()
def write_off_debt(in_force: SettingsInForce, email: str, reason: str, form: Form) -> None:
    """Give up what an account owes, so that it is no longer frozen."""

    async def written_off(runtime: Runtime) -> tuple[str, MicroUsd]:
        account_id = await account_at(runtime, in_force, email)
        try:
            return str(account_id), await write_off(runtime, account_id, reason)
        except NothingOwed as refused:
            raise click.ClickException(refused.sentence) from None
        except Invalid as refused:
            raise click.ClickException(invalid_fields_of(refused)) from None

    account_id, amount = run_with_runtime(in_force.settings, written_off)
    facts = {"id": account_id, "email": email, "amount_micros": amount}
    print_result(form, facts, ("ID", "E-MAIL", "USD"), [(account_id, email, exact_usd(amount))])


@account.command("erase")
@click.argument("email_or_id")
@click.option("--reason", type=click.Choice(ERASURE_REASONS), required=True, help="Why; it is recorded and stays.")
@click.option("--close", "closes", is_flag=True, help="Close an account that is still open first.")
@click.option("--leave-balance", is_flag=True, help="Even if money that was paid in could not go back.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@with_form
@with_settings()
def erase(
    in_force: SettingsInForce,
    email_or_id: str,
    reason: ErasureReason,
    closes: bool,
    leave_balance: bool,
    yes: bool,
    form: Form,
) -> None:
    """Forget whose a closed account was, for good: nobody can undo it.

    Its key is destroyed, and with it every name, address, command and other text of the person, in all copies of the
    events. Amounts, times and ids stay, and the books with them.
    """

    async def erased(runtime: Runtime) -> tuple[str, bool]:
        account_id = await _any_account(runtime, in_force, email_or_id)
        if not yes:
            click.confirm(f"Erase account {account_id} for good?", abort=True, err=True)
        if closes:
            await close_if_open(runtime, account_id)
        return str(account_id), await erase_account(runtime, account_id, EraseAccount(reason, leave_balance), OPERATES)

    account_id, finished = run_with_runtime(in_force.settings, erased)
    state = "finished" if finished else "the service goes on with it"
    print_result(
        form, {"id": account_id, "reason": reason, "finished": finished}, ("ID", "ERASURE"), [(account_id, state)]
    )


async def _any_account(runtime: Runtime, in_force: SettingsInForce, email_or_id: str) -> AccountId:
    with suppress(ValueError):
        return AccountId(UUID(email_or_id))
    with suppress(NotFound):
        return await find_account(runtime, email_or_id)
    try:
        return await find_closed(runtime, email_or_id)
    except NotFound:
        raise click.ClickException(f"no account in {place_of(in_force.settings)} has or had {email_or_id}") from None


def _amount(usd: str) -> MicroUsd:
    try:
        return parse_usd(usd)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong), param_hint="USD") from wrong


async def account_at(runtime: Runtime, in_force: SettingsInForce, email: str) -> AccountId:
    """Return the account that has an e-mail address. Raises ClickException."""
    try:
        return await find_account(runtime, email)
    except NotFound:
        raise click.ClickException(f"no account in {place_of(in_force.settings)} has the address {email}") from None


def invalid_fields_of(refused: Invalid) -> str:
    """Return what is wrong, in one line."""
    fields = refused.facts["fields"]
    assert isinstance(fields, dict), "what is invalid is told by field"
    return "; ".join(f"{name}: {why}" for name, why in fields.items())


def _read_password() -> str:
    if sys.stdin.isatty():
        prompted: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return prompted
    return sys.stdin.readline().rstrip("\n")
