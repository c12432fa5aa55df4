"""Tests of `litevps account`."""

import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from api.cli.program import litevps
from domain.accounts.account import EmailTaken
from domain.errors import Invalid
from tests.api.cli.conftest import Type

PASSWORD = "a long password\n"
LONG = f"{'z' * 40}@a-long-name-of-a-host.example.com"
CORRECTION = "01937b1e-5c00-7000-8000-00000000000e"


def test_an_account_is_made_with_roles_and_a_password_from_standard_input(typed: Type) -> None:
    made = typed("account", "create", "ann@example.com", "--role", "admin", "-o", "json", stdin=PASSWORD)
    assert made.exit_code == 0
    told = json.loads(made.stdout)
    assert (told["email"], told["roles"]) == ("ann@example.com", ["admin"])
    assert "a long password" not in made.output


def test_an_address_belongs_to_one_account(typed: Type) -> None:
    typed("account", "create", "ann@example.com", stdin=PASSWORD)
    again = typed("account", "create", "Ann@example.com", stdin=PASSWORD)
    assert isinstance(again.exception, EmailTaken)


def test_a_password_that_is_too_short_is_refused(typed: Type) -> None:
    refused = typed("account", "create", "ann@example.com", stdin="short\n")
    assert isinstance(refused.exception, Invalid)


def test_funds_are_credited_to_the_micro_dollar(typed: Type) -> None:
    typed("account", "create", "ann@example.com", stdin=PASSWORD)
    typed("account", "credit", "ann@example.com", "10", "--reason", "a gift")
    credited = typed("account", "credit", "ann@example.com", "0.000001", "--reason", "more", "-o", "json")
    assert json.loads(credited.stdout)["balance_micros"] == 10_000_001
    assert json.loads(credited.stdout)["amount_micros"] == 1


def test_an_unknown_address_gets_nothing(typed: Type) -> None:
    typed("account", "create", "ann@example.com", stdin=PASSWORD)
    refused = typed("account", "credit", "nobody@example.com", "10", "--reason", "a gift")
    assert refused.exit_code == 1
    assert re.search(r"no account in the database \S+ at \S+ has the address nobody@example.com", refused.stderr)


@pytest.mark.parametrize("database", [{}, {"LITEVPS_DATABASE_URL": None, "LITEVPS_MIGRATION_URL": None}])
def test_where_no_service_ever_was_nothing_is_credited_and_no_home_made(
    typed: Type, tmp_path: Path, database: dict[str, None]
) -> None:
    refused = typed("account", "credit", "ann@example.com", "10", "--reason", "a gift", **database)
    assert refused.exit_code == 1
    assert f"there is no LiteVPS in {tmp_path / 'home'}: give the --home of one" in refused.stderr
    assert not (tmp_path / "home").exists()


def test_what_is_no_amount_is_refused(typed: Type) -> None:
    for amount in ("1e3", "0.0000001", "ten"):
        refused = typed("account", "credit", "ann@example.com", amount, "--reason", "a gift")
        assert refused.exit_code == 2
        assert "not an amount in USD" in refused.stderr


def test_nothing_and_less_than_nothing_cannot_be_credited(typed: Type) -> None:
    typed("account", "create", "ann@example.com", stdin=PASSWORD)
    for amount in ("0", "-1"):
        refused = typed("account", "credit", "--reason", "a gift", "--", "ann@example.com", amount)
        assert isinstance(refused.exception, Invalid)


def test_a_credit_needs_a_reason(typed: Type) -> None:
    assert typed("account", "credit", "ann@example.com", "10").exit_code == 2


def credited_event(typed: Type) -> str:
    """Return the id of the event that gave funds, as the audit's export tells it."""
    exported = [json.loads(line) for line in typed("audit", "export").stdout.splitlines()]
    [found] = [event for event in exported if event["type"] == "wallet.funds-credited.v1"]
    return str(event_id(found))


def event_id(exported: dict[str, Any]) -> str:
    metadata = exported["metadata"]
    told = json.loads(metadata) if isinstance(metadata, str) else metadata
    return str(told["id"])


def test_a_credit_that_was_a_mistake_is_taken_back_once(typed: Type) -> None:
    typed("account", "create", "ann@example.com", stdin=PASSWORD)
    typed("account", "credit", "ann@example.com", "10", "--reason", "a gift")
    flags = ("--reason", "too much", "--id", CORRECTION, "-o", "json")
    words = ("account", "correct", *flags, "--", "ann@example.com", credited_event(typed), "-4")

    first, again = typed(*words), typed(*words)

    assert (first.exit_code, again.exit_code) == (0, 0), first.stderr
    told = json.loads(first.stdout)
    assert (told["amount_micros"], told["balance_micros"], told["applied"]) == (-4_000_000, 6_000_000, True)
    assert told["correction_id"] == CORRECTION
    assert json.loads(again.stdout) == {**told, "applied": False}


def test_a_correction_that_cannot_be_meant_is_refused_in_plain_words(typed: Type) -> None:
    typed("account", "create", "ann@example.com", stdin=PASSWORD)
    typed("account", "credit", "ann@example.com", "10", "--reason", "a gift")
    credited = credited_event(typed)

    for corrects, usd, told in (
        (credited, "-10.5", "amount: all corrections of this event must be from -10 to 0 USD"),
        (CORRECTION, "-1", f"the wallet of ann@example.com has no event {CORRECTION}"),
    ):
        refused = typed("account", "correct", "--reason", "a mistake", "--", "ann@example.com", corrects, usd)
        assert refused.exit_code == 1
        assert told in refused.stderr


@pytest.mark.parametrize("columns", ["40", "80"])
def test_a_table_that_goes_into_a_pipe_is_never_cut(typed: Type, columns: str) -> None:
    typed("account", "create", LONG, stdin=PASSWORD)
    made = typed("account", "credit", LONG, "10", "--reason", "a gift", COLUMNS=columns)

    [_, row] = made.stdout.splitlines()
    account_id, email, usd, balance = row.split()
    assert (str(UUID(account_id)), email, usd, balance) == (account_id, LONG, "10", "10")


@pytest.mark.parametrize("columns", ["40", "80"])
def test_a_table_on_a_terminal_goes_on_in_the_next_line_instead(typed: Type, columns: str) -> None:
    typed("account", "create", LONG, stdin=PASSWORD)
    terminal = {"COLUMNS": columns, "FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm"}
    made = typed("account", "credit", LONG, "10", "--reason", "a gift", **terminal)

    told = re.sub(r"\x1b\[[0-9;]*m", "", made.stdout)
    assert "…" not in told
    assert all(len(line.rstrip()) <= int(columns) for line in told.splitlines())
    assert len(told.splitlines()) > 2
    assert sum(told.count(letter) for letter in "z") == LONG.count("z")


@pytest.mark.parametrize("line", [f"{CORRECTION}:2", f"{CORRECTION}:2-60"])
def test_a_line_of_a_vps_given_for_an_event_is_refused_in_words_that_say_so(typed: Type, line: str) -> None:
    refused = typed("account", "correct", "--reason", "a mistake", "ann@example.com", line, "0.00007")

    assert refused.exit_code == 2
    assert f"{line} is the id of a line that tells minutes of a VPS, and not of an event" in refused.stderr
    assert "litevps audit export" in refused.stderr


def test_what_is_no_id_at_all_is_no_event(typed: Type) -> None:
    refused = typed("account", "correct", "--reason", "a mistake", "ann@example.com", "a:b", "1")

    assert (refused.exit_code, "'a:b' is not the id of an event" in refused.stderr) == (2, True)


def test_who_owes_nothing_is_given_nothing_up(typed: Type) -> None:
    typed("account", "create", "ann@example.com", stdin=PASSWORD)
    refused = typed("account", "write-off", "ann@example.com", "--reason", "kindness")
    assert refused.exit_code == 1
    assert "the account owes nothing" in refused.stderr


def test_every_command_has_help() -> None:
    assert all(command.help for command in litevps.commands.values())


def test_nobody_is_erased_who_never_was_there(typed: Type) -> None:
    typed("account", "create", "bob@example.com", stdin=PASSWORD)
    refused = typed("account", "erase", "ann@example.com", "--reason", "requested", "--yes")

    assert refused.exit_code == 1
    assert "has or had ann@example.com" in refused.stderr


def test_an_erasure_is_asked_about_once_more(typed: Type) -> None:
    typed("account", "create", "ann@example.com", stdin=PASSWORD)
    aborted = typed("account", "erase", "ann@example.com", "--reason", "requested", stdin="n\n")

    assert aborted.exit_code == 1
    assert "for good?" in aborted.stderr
