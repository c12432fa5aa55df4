"""`litevps audit`: whether the ledger is sound, and all of it in a form that others can read."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import click
import msgspec
from rich.progress import Progress

from api.audit.findings import Report
from api.audit.verify import verify
from api.cli.flags import with_settings
from api.cli.opening import LedgerAccess, run_with_ledger
from api.cli.output import Form, aside, tell, with_form
from api.settings import Loaded
from domain.ports import Recorded
from domain.time import to_rfc3339
from projections.catalogue import READ_MODELS


@click.group()
def audit() -> None:
    """Is the ledger sound; and all of it for others to check."""


@audit.command("verify")
@with_form
@with_settings()
def verify_ledger(loaded: Loaded, form: Form) -> None:
    """Check every promise of the ledger. Ends with 0 only if all of them hold."""

    async def verified(access: LedgerAccess) -> Report:
        with Progress(console=aside(), transient=True) as progress:
            task = progress.add_task("events")

            def reached(position: int, goal: int) -> None:
                progress.update(task, completed=position, total=goal)

            return await verify(access.store, access.evidence, access.database_url, READ_MODELS, reached)

    report = run_with_ledger(loaded.settings, verified)
    rows = [
        ("FAULTY" if check.faults else "ok", f"{check.seen:,}", check.promise, "\n".join(check.findings))
        for check in report.checks
    ]
    facts = {"ok": report.ok, **msgspec.to_builtins(report)}
    tell(form, facts, ("", "SEEN", "PROMISE", "FINDINGS"), rows)
    verdict = "sound" if report.ok else "NOT SOUND"
    aside().print(f"{verdict} up to position {report.position:,}, {report.duration_s} s")
    if not report.ok:
        raise SystemExit(1)


@audit.command("export")
@click.option("--format", "written_as", type=click.Choice(["jsonl"]), default="jsonl", help="One event a line.")
@click.option("--after", default=0, help="Only events past this position.")
@click.argument("file", type=click.File("wb"), default="-")
@with_settings()
def export(loaded: Loaded, written_as: str, after: int, file: BinaryIO) -> None:
    """Write every event to FILE, or to standard output. Personal fields stay sealed."""
    assert written_as == "jsonl"

    async def exported(access: LedgerAccess) -> int:
        count = 0
        async for batch in access.store.replay(after):
            file.writelines(_lines(batch))
            count += len(batch)
        return count

    count = run_with_ledger(loaded.settings, exported)
    aside().print(f"{count:,} events")


def _lines(batch: list[Recorded]) -> Iterator[bytes]:
    for event in batch:
        yield msgspec.json.encode(_told(event)) + b"\n"


def _told(event: Recorded) -> dict[str, Any]:
    """Return an event with everything that its hash is made of; payload and metadata as the text they are."""
    return {
        "position": event.position,
        "stream": event.stream,
        "version": event.version,
        "type": event.type,
        "happened_at_us": event.happened_at,
        "recorded_at_us": event.recorded_at,
        "recorded_at": to_rfc3339(event.recorded_at),
        "metadata": event.metadata,
        "payload": event.payload,
        "leaf_hash": event.leaf_hash.hex(),
    }
