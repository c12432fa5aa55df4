"""A server of Debian's PostgreSQL 15 for one session, beside the one that ships in the wheel."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.embedded_postgres.server import EmbeddedPostgres
from tests.folders import make_folder

DEBIAN_BINARIES = Path("/usr/lib/postgresql/15/bin")


@contextmanager
def postgres_15() -> Iterator[EmbeddedPostgres]:
    """Start a server in a folder of its own, and leave nothing behind."""
    folder = make_folder("litevps-15-")
    server = EmbeddedPostgres(folder / "postgres", binaries=DEBIAN_BINARIES)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
