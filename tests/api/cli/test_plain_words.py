"""Tests of what is told where the database or a key is at fault: one sentence, and no traceback."""

import base64
import re

import pytest

from tests.api.cli.conftest import Type

COMMANDS = (
    ("serve", "--development"),
    ("api", "--development"),
    ("work", "--development"),
    ("account", "create", "ann@example.com"),
    ("audit", "verify"),
)
PASSWORD = "a long password\n"


def told(typed: Type, command: tuple[str, ...], free_port: int, **overridden: str | None) -> str:
    """Return the sentence that a command ends with."""
    refused = typed(*command, stdin=PASSWORD, LITEVPS_PORT=str(free_port), **overridden)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert isinstance(refused.exception, SystemExit)
    sentence = refused.stderr.strip()
    assert sentence.startswith("Error: ")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_that_cannot_be_used_is_told_in_one_sentence(
    typed: Type, command: tuple[str, ...], free_port: int, database_url: str, empty_owner_url: str
) -> None:
    def tell(url: str) -> str:
        return told(typed, command, free_port, LITEVPS_DATABASE_URL=url, LITEVPS_MIGRATION_URL=None)

    assert "refused" in tell("postgresql://127.0.0.1:1/litevps")
    assert "password authentication failed" in tell(re.sub(r":[^:@]+@", ":wrong@", database_url))
    assert "does not exist" in tell(re.sub(r"/test_\w+", "/nowhere", database_url))
    assert "run litevps migrate" in tell(empty_owner_url)
    mistyped = tell("postgres//ann:secret@localhost")
    assert "LITEVPS_DATABASE_URL" in mistyped
    assert "secret" not in mistyped


def test_another_master_key_than_the_databases_is_told_in_one_sentence(typed: Type, free_port: int) -> None:
    one, other = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
    assert typed("account", "create", "bob@example.com", stdin=PASSWORD, LITEVPS_MASTER_KEY=one).exit_code == 0

    for command in COMMANDS[:-1]:
        assert "another master key" in told(typed, command, free_port, LITEVPS_MASTER_KEY=other)
        assert "32 bytes" in told(typed, command, free_port, LITEVPS_MASTER_KEY="short")
