"""What no guest could run is refused before it is recorded, by the field that is wrong."""

from uuid import UUID

import msgspec
import pytest

from domain.errors import Invalid
from domain.exec import job as jobs
from domain.exec.commands import RunJob
from domain.exec.events import JobRequested
from domain.exec.limits import PATH_BYTES_MAX, STDIN_BYTES_MAX, STRING_BYTES_MAX
from domain.ids import AccountId, JobId
from tests.domain.compute.lives import ACCOUNT, VPS, at, vps_in

COMMAND = RunJob(job_id=JobId(UUID(int=5)), account_id=ACCOUNT, vps_id=VPS, command="uname -a", timeout_s=30)
VALUE_BYTES_MAX = STRING_BYTES_MAX - len("A=")


def requested(**changes: object) -> tuple[object, ...]:
    command = msgspec.structs.replace(COMMAND, **changes)
    return jobs.request(None, vps_in("running"), command, timeout_s_max=600, now=at(20))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("command", {"command": ""}),
        ("command", {"command": " \n\t"}),
        ("command", {"command": "echo a\0b"}),
        ("command", {"command": "x" * 131_072}),
        ("command", {"command": "ü" * (STRING_BYTES_MAX // 2 + 1)}),
        ("timeout_seconds", {"timeout_s": 0}),
        ("timeout_seconds", {"timeout_s": 601}),
        ("timeout_seconds", {"timeout_s": 10**30}),
        ("env", {"env": {"FOO\n": "x"}}),
        ("env", {"env": {"": "x"}}),
        ("env", {"env": {"1A": "x"}}),
        ("env", {"env": {"A B": "x"}}),
        ("env", {"env": {"A=B": "x"}}),
        ("env", {"env": {"A[$(reboot)]": "x"}}),
        ("env", {"env": {"Ä": "x"}}),
        ("env", {"env": {"A": "x\0"}}),
        ("env", {"env": {"A": "x" * (VALUE_BYTES_MAX + 1)}}),
        ("env", {"env": {"A": "ü" * (VALUE_BYTES_MAX // 2 + 1)}}),
        ("env", {"env": {f"A{number}": "x" for number in range(129)}}),
        ("env", {"env": {f"A{number}": "x" * 120_000 for number in range(17)}}),
        ("user", {"user": "root\n"}),
        ("user", {"user": ""}),
        ("user", {"user": "a:b"}),
        ("user", {"user": "a/b"}),
        ("user", {"user": "-a"}),
        ("user", {"user": "a\0"}),
        ("user", {"user": "ä"}),
        ("user", {"user": "u" * 33}),
        ("cwd", {"cwd": ""}),
        ("cwd", {"cwd": "tmp"}),
        ("cwd", {"cwd": "/tmp\0"}),
        ("cwd", {"cwd": "/" + "a" * 256}),
        ("cwd", {"cwd": "/" + "ü" * 128}),
        ("cwd", {"cwd": "/a" * 2_048}),
        ("stdin", {"stdin": "a\0"}),
        ("stdin", {"stdin": "x" * (STDIN_BYTES_MAX + 1)}),
    ],
)
def test_what_cannot_be_run_is_refused_by_field(field: str, changes: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refusal:
        requested(**changes)
    reasons = refusal.value.facts["fields"]
    assert isinstance(reasons, dict)
    assert set(reasons) == {field}
    assert len(reasons[field]) < 200


@pytest.mark.parametrize(
    "changes",
    [
        {"command": "x" * STRING_BYTES_MAX},
        {"command": "ü" * (STRING_BYTES_MAX // 2)},
        {"timeout_s": 600},
        {"env": {"A": "x" * VALUE_BYTES_MAX}},
        {"env": {"_a1": "two\nlines=\t\x01"}},
        {"env": {f"A{number}": "x" for number in range(128)}},
        {"env": {f"A{number}": "x" * 120_000 for number in range(16)}},
        {"user": "www-data"},
        {"user": "Jane.Doe_2"},
        {"user": "u" * 32},
        {"cwd": "/"},
        {"cwd": "/two words\nand lines"},
        {"cwd": ("/" + "a" * 255) * 15 + "/" + "a" * (PATH_BYTES_MAX - 15 * 256 - 1)},
        {"stdin": "x" * STDIN_BYTES_MAX},
    ],
)
def test_what_a_guest_can_run_is_taken_up_to_the_last_byte(changes: dict[str, object]) -> None:
    (event,) = requested(**changes)
    assert isinstance(event, JobRequested)


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(Invalid) as refusal:
        requested(command="", env={"": ""}, user="\n")
    assert set(refusal.value.facts["fields"]) == {"command", "env", "user"}  # type: ignore[arg-type]


def test_what_cannot_be_run_is_refused_whosever_the_vps_is() -> None:
    with pytest.raises(Invalid):
        requested(command="", account_id=AccountId(UUID(int=99)))
