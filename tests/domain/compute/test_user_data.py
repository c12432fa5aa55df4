"""How user data has ended: what a guest says of it is recorded once, within bounds, and changes nothing else."""

import msgspec
import pytest

from domain.compute.events import VpsUserDataEnded
from domain.compute.ports import UserDataSeen
from domain.compute.user_data import LINES_MAX, OUTPUT_BYTES_MAX, ended, last_lines
from domain.compute.vps import Vps, create, delete, evolve
from domain.deciding import NOTHING
from tests.domain.compute.lives import CREATE, at, vps_in


def given_user_data() -> Vps:
    """Return a VPS that runs, and was given user data."""
    return msgspec.structs.replace(vps_in("running"), user_data_state="pending")


def test_a_vps_that_was_given_none_awaits_nothing() -> None:
    assert vps_in("running").user_data_state is None
    assert not vps_in("running").awaits_user_data


def test_it_is_awaited_from_the_request_on_but_asked_for_only_while_it_runs() -> None:
    (requested,) = create(msgspec.structs.replace(CREATE, user_data="#!/bin/sh\n"), at(0))
    asked_for = evolve(None, requested)
    assert asked_for is not None
    assert (asked_for.user_data_state, asked_for.awaits_user_data) == ("pending", False)
    assert given_user_data().awaits_user_data


@pytest.mark.parametrize(("succeeded", "outcome"), [(True, "done"), (False, "failed")])
def test_its_end_is_recorded_with_its_last_lines(succeeded: bool, outcome: str) -> None:
    ((_, event),) = ended(given_user_data(), UserDataSeen(succeeded, b"one\ntwo\n"), at(9)).events
    assert event == VpsUserDataEnded(outcome, "one\ntwo", at(9))  # type: ignore[arg-type]
    after = evolve(given_user_data(), event)
    assert after is not None
    assert (after.user_data_state, after.user_data_output, after.state) == (outcome, "one\ntwo", "running")


def test_it_ends_once() -> None:
    seen = UserDataSeen(True, b"")
    ((_, event),) = ended(given_user_data(), seen, at(9)).events
    assert ended(evolve(given_user_data(), event), UserDataSeen(False, b"other words"), at(10)) == NOTHING
    assert ended(vps_in("running"), seen, at(9)) == NOTHING
    assert ended(None, seen, at(9)) == NOTHING


def test_nothing_is_recorded_of_a_vps_that_was_deleted_meanwhile() -> None:
    (deleted,) = delete(given_user_data(), at(8))
    assert ended(evolve(given_user_data(), deleted), UserDataSeen(True, b""), at(9)) == NOTHING


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (b"", ""),
        (b"one\ntwo\n", "one\ntwo"),
        (b"\x1b[31mred\x1b[0m\x00\r\n", "[31mred[0m"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"".join(b"%d\n" % n for n in range(100)), "\n".join(str(n) for n in range(100 - LINES_MAX, 100))),
    ],
)
def test_the_last_lines_are_text(output: bytes, told: str) -> None:
    assert last_lines(output) == told


@pytest.mark.parametrize("output", [b"x" * 100_000, "ü".encode() * 50_000, b"a\n" + b"y" * 5_000, b"\xf0" * 9_000])
def test_the_last_lines_are_bounded_whatever_a_guest_says(output: bytes) -> None:
    assert 0 < len(last_lines(output).encode()) <= OUTPUT_BYTES_MAX
