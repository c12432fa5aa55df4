"""Passwords that are tried: failures in a row from one network, and the waits that follow from them."""

from functools import reduce
from uuid import UUID

import pytest

from domain.accounts.events import LoginFailed, LoginSucceeded, PasswordConfirmed, PasswordPutOff, PasswordTried
from domain.accounts.logins import (
    DELAY_S_MAX,
    FOLD,
    KNOWN_FOR,
    LOOKED_AT_WITHIN,
    CaptchaOrWait,
    Tries,
    check_wait,
    confirm,
    evolve,
    fail,
    is_known,
    is_undecided,
    put_off,
    succeed,
    tries_ref,
    try_password,
)
from domain.events import Event
from domain.ids import AccountId
from domain.time import HOUR, Instant, seconds

ANN = AccountId(UUID(int=1))
START = Instant(10 * HOUR)
STREAM = tries_ref(UUID(int=7)).stream


def after(*events: Event) -> Tries:
    """Fold events into tries."""
    return reduce(evolve, events, FOLD.initial)


def failures(count: int) -> Tries:
    """Return passwords that were tried and wrong that often, all at ``START``."""
    return after(*(event for _ in range(count) for event in (PasswordTried(ANN, START), LoginFailed(ANN, START))))


def wait_s(tries: Tries, now: Instant = START) -> object:
    """Return how long the next password has to wait."""
    try:
        check_wait(tries, now)
    except CaptchaOrWait as refusal:
        return refusal.facts["retry_after_seconds"]
    return 0


def test_the_wait_grows_with_each_failure_up_to_a_bound() -> None:
    assert [wait_s(failures(count)) for count in (0, 4, 5, 6, 7, 10, 11, 1000)] == [0, 0, 1, 2, 4, 32, 60, DELAY_S_MAX]


def test_whoever_waits_may_try_again() -> None:
    assert wait_s(failures(7), Instant(START + seconds(3))) == 1
    assert wait_s(failures(7), Instant(START + seconds(4))) == 0


def test_one_that_is_being_looked_at_counts_as_failed() -> None:
    assert wait_s(after(*(PasswordTried(ANN, START) for _ in range(5)))) == 1


@pytest.mark.parametrize("right", [LoginSucceeded(ANN, "a"), PasswordConfirmed(ANN)])
def test_the_right_password_ends_the_row(right: Event) -> None:
    tries = after(*(PasswordTried(ANN, START) for _ in range(20)), right)

    assert (wait_s(tries), tries.failures) == (0, 0)


def test_one_that_was_not_looked_at_does_not_count() -> None:
    tries = after(*(PasswordTried(ANN, START) for _ in range(5)), PasswordPutOff(ANN))

    assert (wait_s(tries), tries.failures, tries.open) == (0, 4, 4)
    assert put_off(STREAM, ANN).events == ((STREAM, PasswordPutOff(ANN)),)


def test_failures_far_apart_are_no_row() -> None:
    assert after(PasswordTried(ANN, START), PasswordTried(ANN, Instant(START + HOUR))).failures == 1


def test_a_clock_that_steps_back_makes_nobody_wait_longer() -> None:
    assert wait_s(failures(5), Instant(START - 10 * HOUR)) == 1


def test_a_network_is_known_once_the_right_password_came_from_there_and_for_a_while() -> None:
    tries = after(PasswordTried(ANN, START), LoginSucceeded(ANN, "a"))

    assert not is_known(failures(1), START)
    assert is_known(tries, START)
    assert is_known(after(PasswordTried(ANN, START), LoginSucceeded(ANN, "a"), PasswordTried(ANN, START)), START)
    assert not is_known(tries, Instant(START + KNOWN_FOR))


def test_it_is_undecided_what_was_wrong_only_while_a_password_is_being_looked_at() -> None:
    assert not is_undecided(failures(5), START)
    looked_at = after(PasswordTried(ANN, START))
    assert is_undecided(looked_at, Instant(START + LOOKED_AT_WITHIN - 1))
    assert not is_undecided(looked_at, Instant(START + LOOKED_AT_WITHIN))
    assert not is_undecided(after(PasswordTried(ANN, START), LoginSucceeded(ANN, "a")), START)


def test_a_password_is_tried_once_its_turn_has_come_or_whoever_shows_it_need_not_wait() -> None:
    with pytest.raises(CaptchaOrWait):
        try_password(failures(5), STREAM, ANN, START)

    assert try_password(failures(4), STREAM, None, START).events == ((STREAM, PasswordTried(None, START)),)
    assert try_password(failures(5), STREAM, ANN, START, waits=False).events == ((STREAM, PasswordTried(ANN, START)),)


def test_what_came_of_it_is_recorded() -> None:
    assert fail(STREAM, None, START).events == ((STREAM, LoginFailed(None, START)),)
    assert succeed(STREAM, ANN, "a").events == ((STREAM, LoginSucceeded(ANN, "a")),)
    assert confirm(STREAM, ANN).events == ((STREAM, PasswordConfirmed(ANN)),)
