"""Plain words for whatever keeps any command from doing its work: one sentence on standard error, exit code 1."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import psycopg

from api.bootstrap.runtime import CANNOT_START
from domain.ports import StoreFailed, StoreUnavailable

_NOT_IN_FORM = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction)


class ReportsErrors(click.Group):
    """Commands none of which ends with a traceback where the database, a key or the machine is at fault."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was typed."""
        with _plainly():
            return super().invoke(ctx)


@contextmanager
def _plainly() -> Iterator[None]:
    try:
        yield
    except (*_NOT_IN_FORM, psycopg.errors.InvalidSchemaName) as missing:
        sentence = "there is no ledger in this database yet, or an older one: run litevps migrate"
        raise click.ClickException(sentence) from missing
    except psycopg.errors.InsufficientPrivilege as refused:
        raise click.ClickException(f"the database's role may not do this: {_first_line(refused)}") from refused
    except psycopg.OperationalError as away:
        raise click.ClickException(f"the database cannot be used: {_first_line(away)}") from away
    except StoreUnavailable as away:
        raise click.ClickException(f"the database is away: {_first_line(away)}") from away
    except StoreFailed as unable:
        raise click.ClickException(f"the database cannot do this: {_first_line(unable)}") from unable
    except psycopg.ProgrammingError as wrong:
        if wrong.sqlstate is not None:
            raise  # A mistake of ours in a statement.
        # Its own words would quote the setting, and with it a password.
        sentence = "LITEVPS_DATABASE_URL or LITEVPS_MIGRATION_URL is no address of a PostgreSQL database"
        raise click.ClickException(sentence) from wrong
    except CANNOT_START as problem:
        raise click.ClickException(str(problem)) from problem
    except OSError as problem:
        if problem.errno == errno.EPIPE:
            raise  # Whoever read the output has had enough, which click knows what to do about.
        raise click.ClickException(str(problem)) from problem


def _first_line(problem: Exception) -> str:
    return str(problem).partition("\n")[0]
