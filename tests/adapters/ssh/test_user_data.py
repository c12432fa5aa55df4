"""What a guest says of its user data is read within bounds, and nonsense is as good as nothing."""

import pytest

from adapters.ssh.user_data import ANSWER_BYTES_MAX, OUTPUT_BYTES, read_answer
from domain.compute.output import whole_output
from domain.compute.ports import JobOutcome, UserDataSeen


def answered(stdout: bytes) -> JobOutcome:
    told, nothing = whole_output(stdout, ANSWER_BYTES_MAX), whole_output(b"", 0)
    return JobOutcome(exit_code=0, timed_out=False, cancelled=False, duration_ms=1, stdout=told, stderr=nothing)


@pytest.mark.parametrize(
    ("stdout", "seen"),
    [
        (b"0\n", UserDataSeen(True, b"")),
        (b"0\nall is well\n", UserDataSeen(True, b"all is well\n")),
        (b"7\nnot\n", UserDataSeen(False, b"not\n")),
        (b"255\n", UserDataSeen(False, b"")),
        (b"pending\n", None),
        (b"", None),
        (b"0", None),
        (b"-1\n", None),
        (b"0000\n", None),
        ("٣\n".encode(), None),
        (b"\xff\n", None),
    ],
)
def test_an_answer_is_a_status_and_the_end_of_the_output(stdout: bytes, seen: UserDataSeen | None) -> None:
    assert read_answer(answered(stdout)) == seen


def test_no_answer_is_larger_than_what_is_kept_of_it() -> None:
    seen = read_answer(answered(b"0\n" + b"x" * (ANSWER_BYTES_MAX - 2)))
    assert seen is not None
    assert len(seen.output) == OUTPUT_BYTES
