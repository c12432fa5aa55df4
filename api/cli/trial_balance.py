"""`litevps audit trial-balance`: every account of the books, as of any position, instant or end of a month."""

from datetime import datetime
from typing import Any

import click

from api.application.audit.trial_balance import TrialBalance, trial_balance
from api.application.settings import SettingsInForce
from api.cli.flags import with_settings
from api.cli.output import Form, print_result, stderr, with_form
from api.cli.sessions import LedgerAccess, run_with_ledger
from domain.errors import Invalid
from domain.money import MicroUsd, exact_usd
from domain.statements.month import Month, parse_month
from domain.time import Instant, from_datetime, to_rfc3339

_OF_CUSTOMERS = ("liabilities:prepaid:", "assets:receivable:")
"""What these accounts begin with; there is one for each customer."""


class MonthType(click.ParamType[Month]):
    """A month such as 2026-11."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Month:
        """Return the month."""
        try:
            return value if isinstance(value, Month) else parse_month(str(value))
        except Invalid as wrong:
            self.fail(str(wrong.facts["fields"]["month"]), param, ctx)  # type: ignore[index]


class TimeType(click.ParamType[Instant]):
    """An instant as RFC 3339 has it."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Instant:
        """Return the instant."""
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self.fail("must be a time with its zone, such as 2026-12-01T00:00:00Z", param, ctx)
        return from_datetime(moment)


@click.command("trial-balance")
@click.option("--at", type=TimeType(), help="As recorded by this time, such as 2026-12-01T00:00:00Z.")
@click.option("--position", type=click.IntRange(min=0), help="Up to this position.")
@click.option("--month", type=MonthType(), help="At the end of this month (UTC), such as 2026-11.")
@click.option("--folded", is_flag=True, help="Customers' accounts of one kind as one line.")
@with_form
@with_settings()
def trial_balance_command(
    in_force: SettingsInForce, at: Instant | None, position: int | None, month: Month | None, folded: bool, form: Form
) -> None:
    """Add up the books by replaying the events. Ends with 0 only if the sum is zero."""
    if sum(given is not None for given in (at, position, month)) > 1:
        raise click.UsageError("give one of --at, --position and --month")
    before = Instant(at + 1) if at is not None else month.ends if month is not None else None

    async def added_up(access: LedgerAccess) -> TrialBalance:
        return await trial_balance(access.store, position=position, before=before)

    balance = run_with_ledger(in_force.settings, added_up)
    accounts = _folded(balance.accounts) if folded else balance.accounts
    print_result(form, _facts(balance, accounts), ("ACCOUNT", "DEBIT", "CREDIT"), _rows(balance, accounts))
    stderr().print(f"as of position {balance.position:,}, recorded {to_rfc3339(balance.recorded_at)}")
    if balance.total:
        raise SystemExit(1)


def _facts(balance: TrialBalance, accounts: dict[str, MicroUsd]) -> dict[str, object]:
    return {
        "position": balance.position,
        "recorded_at": to_rfc3339(balance.recorded_at),
        "accounts": [{"account": account, "micros": total} for account, total in accounts.items()],
        "total_micros": balance.total,
        "prepaid": {
            "deferred_revenue_micros": balance.prepaid.deferred_revenue,
            "goodwill_micros": balance.prepaid.goodwill,
        },
    }


def _rows(balance: TrialBalance, accounts: dict[str, MicroUsd]) -> list[tuple[str, str, str]]:
    rows = [_row(account, total) for account, total in accounts.items()]
    debit = MicroUsd(sum(total for total in accounts.values() if total > 0))
    credit = MicroUsd(sum(-total for total in accounts.values() if total < 0))
    rows.append(("", "", ""))
    rows.append(("total", exact_usd(debit), exact_usd(credit)))
    rows.append(("of which prepaid, paid for: deferred revenue", "", exact_usd(balance.prepaid.deferred_revenue)))
    rows.append(("of which prepaid, given: goodwill", "", exact_usd(balance.prepaid.goodwill)))
    return rows


def _row(account: str, total: MicroUsd) -> tuple[str, str, str]:
    if total < 0:
        return account, "", exact_usd(MicroUsd(-total))
    return account, exact_usd(total), ""


def _folded(accounts: dict[str, MicroUsd]) -> dict[str, MicroUsd]:
    folded: dict[str, MicroUsd] = {}
    for account, total in accounts.items():
        of_customers = next((prefix for prefix in _OF_CUSTOMERS if account.startswith(prefix)), None)
        name = account if of_customers is None else f"{of_customers}*"
        folded[name] = MicroUsd(folded.get(name, 0) + total)
    return folded
