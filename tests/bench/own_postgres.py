"""A PostgreSQL of a measurement's own, migrated, with every read model's tables in it."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.embedded_postgres.server import EmbeddedPostgres
from adapters.postgres.migrate import migrate
from projections.catalogue import READ_MODELS
from projections.generation import install


@asynccontextmanager
async def own_postgres(kept_in: str | None = None) -> AsyncIterator[EmbeddedPostgres]:
    """Give a running server; it stays for the next time where the environment variable ``kept_in`` names a folder."""
    home = None if kept_in is None else os.environ.get(kept_in)
    folder = _made(home)
    server = EmbeddedPostgres(folder / "postgres")
    try:
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(migrate, server.owner_url, server.service_password)
        await asyncio.to_thread(install, server.owner_url, READ_MODELS)
        yield server
    finally:
        await asyncio.to_thread(server.stop)
        if home is None:
            shutil.rmtree(folder)


def _made(home: str | None) -> Path:
    folder = Path(home or tempfile.mkdtemp(prefix="litevps-bench-"))
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    return folder
