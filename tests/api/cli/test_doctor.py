"""Tests of `litevps doctor`."""

import json
import socket
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


def test_settings_that_serve_would_refuse_are_bad(typed: Type) -> None:
    told = typed("doctor", "-o", "json")
    assert told.exit_code == 1
    verdict, text = _found(told)["settings"]
    assert (verdict, "LITEVPS_TURNSTILE_SECRET is not set" in text) == ("bad", True)


def test_what_was_found_out_of_kvm_is_told_in_one_line(typed: Type, tmp_path: Path) -> None:
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    verdict = {"usable": False, "reason": "no kernel boots under KVM here\nand more", "boot_id": boot_id}
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "kvm.json").write_text(json.dumps(verdict))
    told = typed("doctor", "--development", "-o", "json", LITEVPS_COMPUTE="embedded")
    assert _found(told)["KVM"] == ("note", "guests run by TCG: no kernel boots under KVM here")


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


def test_whether_stripe_answers_is_told(typed: Type, free_port: int) -> None:
    def stripe(*flags: str, **environment: str) -> tuple[str, str]:
        return _found(typed("doctor", *flags, "-o", "json", **environment))["Stripe"]

    assert stripe("--development")[0] == "ok"
    assert stripe() == ("note", "LITEVPS_STRIPE_SECRET_KEY is not set")
    base = f"http://127.0.0.1:{free_port}"
    verdict, told = stripe(LITEVPS_STRIPE_SECRET_KEY="sk_live_x", LITEVPS_STRIPE_API_BASE=base)
    assert (verdict, "sk_live_x" in told) == ("bad", False)


def test_where_mail_goes_is_told(typed: Type, tmp_path: Path, free_port: int) -> None:
    def mail(*flags: str, **environment: str) -> tuple[str, str]:
        return _found(typed("doctor", *flags, "-o", "json", **environment))["mail"]

    assert mail("--development") == ("ok", f"goes to {tmp_path / 'home' / 'mail'}")
    assert mail() == ("note", "LITEVPS_SMTP_URL is not set: mail waits until it is")
    url = f"smtp://user:hunter2@127.0.0.1:{free_port}"
    verdict, told = mail(LITEVPS_SMTP_URL=url)
    assert (verdict, told.startswith(f"127.0.0.1:{free_port} does not answer")) == ("bad", True)
    with socket.create_server(("127.0.0.1", free_port)):
        assert mail(LITEVPS_SMTP_URL=url) == ("ok", f"127.0.0.1:{free_port} answers")
    verdict, told = mail(LITEVPS_SMTP_URL="http://user:hunter2@mail")
    assert (verdict, "hunter2" in told) == ("bad", False)
