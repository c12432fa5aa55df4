"""Tests of `litevps audit`, `rebuild`, `migrate` and `config`."""

import json
from pathlib import Path
from uuid import UUID

import psycopg

from domain.leaf_hash import leaf_hash
from projections.catalogue import READ_MODELS
from tests.api.cli.conftest import Type


def _with_an_account(typed: Type) -> None:
    typed("account", "create", "ann@example.com", stdin="a long password\n")
    typed("account", "credit", "ann@example.com", "10", "--reason", "a gift")


def test_a_sound_ledger_ends_with_0(typed: Type) -> None:
    _with_an_account(typed)
    verified = typed("audit", "verify", "-o", "json")
    assert verified.exit_code == 0
    told = json.loads(verified.stdout)
    assert (told["ok"], told["position"]) == (True, 3)
    assert "sound up to position 3" in verified.stderr


def test_damage_is_told_and_ends_with_1(typed: Type, superuser_url: str) -> None:
    _with_an_account(typed)
    with psycopg.connect(superuser_url) as superuser:
        superuser.execute("ALTER TABLE ledger.event DISABLE TRIGGER ALL")
        superuser.execute("UPDATE ledger.event SET payload = replace(payload, '10000000', '90000000')")
    verified = typed("audit", "verify")
    assert verified.exit_code == 1
    assert "position 3: the event is not the one that was hashed" in verified.stdout
    assert "NOT SOUND" in verified.stderr


def test_an_export_has_what_every_hash_is_made_of(typed: Type, tmp_path: Path) -> None:
    _with_an_account(typed)
    assert typed("audit", "export", str(tmp_path / "events.jsonl")).exit_code == 0
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["position"] for event in events] == [1, 2, 3]
    for event in events:
        computed = leaf_hash(
            event["position"],
            UUID(event["stream"]),
            event["version"],
            event["type"],
            event["happened_at_us"],
            event["recorded_at_us"],
            event["metadata"],
            event["payload"],
        )
        assert computed.hex() == event["leaf_hash"]
    assert "ann@example.com" not in (tmp_path / "events.jsonl").read_text()


def test_an_export_goes_on_where_another_ended(typed: Type) -> None:
    _with_an_account(typed)
    rest = typed("audit", "export", "--after", "2")
    assert [json.loads(line)["position"] for line in rest.stdout.splitlines()] == [3]


def test_the_books_are_added_up_as_of_any_position_or_time(typed: Type) -> None:
    _with_an_account(typed)
    told = json.loads(typed("audit", "trial-balance", "-o", "json").stdout)
    assert (told["position"], told["total_micros"]) == (3, 0)
    assert {one["account"].partition(":")[0]: one["micros"] for one in told["accounts"]} == {
        "expenses": 10_000_000,
        "liabilities": -10_000_000,
    }
    assert told["prepaid"] == {"deferred_revenue_micros": 0, "goodwill_micros": 10_000_000}
    before = typed("audit", "trial-balance", "--position", "2", "-o", "json")
    assert json.loads(before.stdout)["accounts"] == []
    assert (
        json.loads(typed("audit", "trial-balance", "--at", "2020-01-01T00:00:00Z", "-o", "json").stdout)["position"]
        == 0
    )
    assert json.loads(typed("audit", "trial-balance", "--month", "2020-01", "-o", "json").stdout)["position"] == 0
    table = typed("audit", "trial-balance", "--folded")
    assert "liabilities:prepaid:*" in table.stdout
    assert "deferred revenue" in table.stdout


def test_a_time_that_could_mean_several_is_refused(typed: Type) -> None:
    for words in (
        ("--at", "2026-12-01"),
        ("--at", "now"),
        ("--month", "2026-13"),
        ("--month", "2026-11", "--position", "1"),
    ):
        assert typed("audit", "trial-balance", *words).exit_code == 2


def test_an_export_is_a_journal_of_a_month_if_that_is_wanted(typed: Type) -> None:
    _with_an_account(typed)
    journal = typed("audit", "export", "--format", "hledger").stdout
    assert "    expenses:goodwill  10.000000 USD\n" in journal
    assert typed("audit", "export", "--format", "csv", "--month", "2020-01").stdout.count("\n") == 1
    assert "open Expenses:Goodwill USD" in typed("audit", "export", "--format", "beancount").stdout


def test_what_operators_set_is_in_force_from_then_on(typed: Type) -> None:
    _with_an_account(typed)
    assert json.loads(typed("settings", "list", "-o", "json").stdout)["tax"] == []
    told = json.loads(typed("settings", "set", "tax", "VAT 19, City 2.5", "-o", "json").stdout)
    assert told["tax"] == [
        {"name": "VAT", "percent_thousandths": 19_000},
        {"name": "City", "percent_thousandths": 2_500},
    ]
    assert "VAT 19, City 2.5" in typed("settings", "list").stdout
    assert typed("settings", "set", "refund_keeps_fee", "on").exit_code == 0
    shown = dict(line.split(maxsplit=1) for line in typed("settings", "list").stdout.splitlines())
    assert shown["refund_keeps_fee"].strip() == "on", "as it is typed"


def test_every_read_model_is_rebuilt_or_the_one_that_is_named(typed: Type) -> None:
    _with_an_account(typed)
    every = json.loads(typed("rebuild", "-o", "json").stdout)
    assert every == {"rebuilt": [model.name for model in READ_MODELS], "position": 3}
    assert json.loads(typed("rebuild", "vps", "-o", "json").stdout)["rebuilt"] == ["vps"]
    assert typed("rebuild", "nothing").exit_code == 2


def test_without_the_owner_there_is_no_rebuild_and_no_migration(typed: Type) -> None:
    for command in ("rebuild", "migrate"):
        refused = typed(command, LITEVPS_MIGRATION_URL=None)
        assert refused.exit_code == 1
        assert "LITEVPS_MIGRATION_URL is needed" in refused.stderr


def test_a_database_is_migrated_once(typed: Type, empty_owner_url: str) -> None:
    first = json.loads(typed("migrate", "-o", "json", LITEVPS_MIGRATION_URL=empty_owner_url).stdout)
    assert first["applied"]
    assert first["applied"] == sorted(first["applied"])
    again = json.loads(typed("migrate", "-o", "json", LITEVPS_MIGRATION_URL=empty_owner_url).stdout)
    assert again == {"applied": [], "rebuilt": []}


def test_a_migration_rebuilds_read_models_of_another_shape(typed: Type, owner_url: str) -> None:
    _with_an_account(typed)
    with psycopg.connect(owner_url) as owner:
        owner.execute("UPDATE read_models.projection SET shape = 'an older one' WHERE name = 'balances'")
    assert json.loads(typed("migrate", "-o", "json").stdout)["rebuilt"] == ["balances"]
    assert typed("audit", "verify").exit_code == 0


def test_where_there_is_no_ledger_an_audit_says_so(typed: Type) -> None:
    refused = typed("audit", "verify", LITEVPS_DATABASE_URL=None, LITEVPS_MIGRATION_URL=None)
    assert refused.exit_code == 1
    assert "there is no LiteVPS" in refused.stderr


def test_settings_are_shown_with_where_they_come_from_and_secrets_masked(typed: Type) -> None:
    shown = json.loads(typed("config", "-o", "json", "--port", "8001").stdout)
    assert shown["port"] == {"value": "8001", "from": "flag"}
    assert shown["compute"] == {"value": "simulated", "from": "variable"}
    assert shown["database_url"] == {"value": "********", "from": "variable"}
    assert shown["host"]["from"] == "default"
