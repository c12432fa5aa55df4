"""`litevps audit`: whether the ledger is sound, and all of it in a form that others can read."""

from typing import BinaryIO

import click
import msgspec
from rich.progress import Progress

from api.application.audit.exporters import EXPORTERS, Format
from api.application.audit.findings import Report
from api.application.audit.verify import verify
from api.application.settings import SettingsInForce
from api.cli.flags import with_settings
from api.cli.output import Form, print_result, stderr, with_form
from api.cli.sessions import LedgerAccess, run_with_ledger
from api.cli.trial_balance import MonthType, trial_balance_command
from domain.money import exact_usd
from domain.statements.month import Month
from projections.catalogue import READ_MODELS


@click.group()
def audit() -> None:
    """Is the ledger sound; and all of it for others to check."""


@audit.command("verify")
@with_form
@with_settings()
def verify_ledger(in_force: SettingsInForce, form: Form) -> None:
    """Check every promise of the ledger. Ends with 0 only if all of them hold."""

    async def verified(access: LedgerAccess) -> Report:
        with Progress(console=stderr(), transient=True) as progress:
            task = progress.add_task("events")

            def reached(position: int, goal: int) -> None:
                progress.update(task, completed=position, total=goal)

            return await verify(access.store, access.evidence, access.database_url, READ_MODELS, reached)

    report = run_with_ledger(in_force.settings, verified)
    rows = [
        ("FAULTY" if check.faults else "ok", f"{check.seen:,}", check.promise, "\n".join(check.findings))
        for check in report.checks
    ]
    facts = {"ok": report.ok, **msgspec.to_builtins(report)}
    print_result(form, facts, ("", "SEEN", "PROMISE", "FINDINGS"), rows)
    verdict = "sound" if report.ok else "NOT SOUND"
    stderr().print(f"{verdict} up to position {report.position:,}, {report.duration_s} s")
    for account, micros in report.open_items.items():
        stderr().print(f"on its way: {account} {exact_usd(micros)} USD")
    if not report.ok:
        raise SystemExit(1)


@audit.command("export")
@click.option(
    "--format",
    "written_as",
    type=click.Choice(list(EXPORTERS)),
    default="jsonl",
    help="One event a line, one posting a line, or a journal for hledger or Beancount.",
)
@click.option("--after", default=0, help="Only events past this position.")
@click.option("--month", type=MonthType(), help="Only events recorded in this month (UTC), such as 2026-11.")
@click.argument("file", type=click.File("wb"), default="-")
@with_settings()
def export(in_force: SettingsInForce, written_as: Format, after: int, month: Month | None, file: BinaryIO) -> None:
    """Write every event, or every posting, to FILE or to standard output. Personal fields stay sealed."""
    exporter = EXPORTERS[written_as]()

    async def exported(access: LedgerAccess) -> int:
        count = 0
        file.write(exporter.header.encode())
        async for batch in access.store.replay(after):
            events = batch if month is None else [e for e in batch if month.begins <= e.recorded_at < month.ends]
            file.writelines(exporter.exported(event).encode() for event in events)
            count += len(events)
        return count

    count = run_with_ledger(in_force.settings, exported)
    stderr().print(f"{count:,} events")


audit.add_command(trial_balance_command)
