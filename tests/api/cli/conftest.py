"""A command line over a fresh database."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from api.cli.program import litevps

Type = Callable[..., Result]


@pytest.fixture
def typed(tmp_path: Path, database_url: str, owner_url: str) -> Type:
    """Return what types a command, such as ``typed("account", "create", …, stdin="…")``."""
    environment = {
        "LITEVPS_HOME": str(tmp_path / "home"),
        "LITEVPS_DATABASE_URL": database_url,
        "LITEVPS_MIGRATION_URL": owner_url,
        "LITEVPS_COMPUTE": "simulated",
        "COLUMNS": "200",
    }

    def type_(*words: str, stdin: str | None = None, **overridden: str | None) -> Result:
        return CliRunner().invoke(litevps, list(words), input=stdin, env=environment | overridden)

    return type_
