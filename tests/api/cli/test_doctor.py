"""Tests of `litevps doctor`."""

import json
from pathlib import Path

from click.testing import Result

from tests.api.cli.conftest import Type


def _found(told: Result) -> dict[str, tuple[str, str]]:
    return {symptom["what"]: (symptom["verdict"], symptom["told"]) for symptom in json.loads(told.stdout)}


def test_where_nothing_is_wrong_it_ends_with_0(typed: Type, free_port: int) -> None:
    told = typed("doctor", "--development", "--port", str(free_port), "-o", "json")
    assert told.exit_code == 0
    found = _found(told)
    assert found["database"] == ("ok", "0 events")
    assert found["service"] == ("note", f"nothing answers at http://127.0.0.1:{free_port}")


def test_a_database_without_a_ledger_is_bad(typed: Type, empty_owner_url: str) -> None:
    told = typed("doctor", "-o", "json", LITEVPS_DATABASE_URL=empty_owner_url)
    assert told.exit_code == 1
    assert _found(told)["database"] == ("bad", "there is no ledger in it: run litevps migrate")


def test_a_master_key_that_others_may_read_is_bad(typed: Type, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "master.key").write_text("…")
    (tmp_path / "home" / "master.key").chmod(0o644)
    told = typed("doctor", "-o", "json")
    assert told.exit_code == 1
    assert _found(told)["master key"][0] == "bad"
