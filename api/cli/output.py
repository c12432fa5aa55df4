"""Output of commands: facts on standard output as a table or as JSON, everything else on standard error."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import click
import msgspec
from rich.console import Console
from rich.table import Table

_UNCUT = 100_000
"""Columns that no table needs: what goes into a pipe or a file is never cut or broken."""

Form = Literal["table", "json"]
F = TypeVar("F", bound=Callable[..., Any])


def stdout() -> Console:
    """Return where facts go."""
    return Console(highlight=False, soft_wrap=True)


def stderr() -> Console:
    """Return where progress and remarks go."""
    return Console(stderr=True, highlight=False)


def with_form(command: F) -> F:
    """Add ``-o json|table`` to a command, which is given it as ``form``."""
    choice = click.Choice(["table", "json"])
    return click.option("-o", "--output", "form", type=choice, default="table", help="How to tell it.")(command)


def print_result(form: Form, facts: object, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print facts as JSON, or the rows that say the same to people."""
    if form == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(facts), indent=2).decode())
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        # An id that goes on in the next line can still be read; one that is cut is of no use.
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = stdout()
    if not console.is_terminal:
        console.width = _UNCUT
    console.print(table, soft_wrap=False)
