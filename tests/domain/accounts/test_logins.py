"""Logins: failures in a row, and the waits that follow from them."""

from functools import reduce
from uuid import UUID

import pytest

from domain.accounts.events import LoginFailed, LoginSucceeded
from domain.accounts.logins import DELAY_S_MAX, FOLD, Logins, TooManyAttempts, check_delay, evolve, fail, succeed
from domain.events import Event
from domain.ids import AccountId
from domain.time import HOUR, Instant, seconds

ANN = AccountId(UUID(int=1))
START = Instant(10 * HOUR)


def after(*events: Event) -> Logins:
    """Fold events into logins."""
    return reduce(evolve, events, FOLD.initial)


def failures(count: int) -> Logins:
    """Return logins that failed that often, all at ``START``."""
    return after(*(LoginFailed(ANN, START) for _ in range(count)))


def wait_s(logins: Logins, now: Instant = START) -> object:
    """Return how long the next login has to wait."""
    try:
        check_delay(logins, now)
    except TooManyAttempts as refusal:
        return refusal.facts["retry_after_seconds"]
    return 0


def test_the_wait_grows_with_each_failure_up_to_a_bound() -> None:
    assert [wait_s(failures(count)) for count in (0, 4, 5, 6, 7, 10, 11, 1000)] == [0, 0, 1, 2, 4, 32, 60, DELAY_S_MAX]


def test_whoever_waits_may_try_again() -> None:
    assert wait_s(failures(7), Instant(START + seconds(3))) == 1
    assert wait_s(failures(7), Instant(START + seconds(4))) == 0


def test_a_success_ends_the_row() -> None:
    assert wait_s(after(*(LoginFailed(ANN, START) for _ in range(20)), LoginSucceeded(ANN, "a"))) == 0


def test_failures_far_apart_are_no_row() -> None:
    assert after(LoginFailed(ANN, START), LoginFailed(ANN, Instant(START + HOUR))).failures == 1


def test_a_clock_that_steps_back_makes_nobody_wait_longer() -> None:
    assert wait_s(failures(5), Instant(START - 10 * HOUR)) == 1


def test_of_tries_at_once_the_later_ones_are_refused_and_not_told_apart() -> None:
    tired = failures(5)

    with pytest.raises(TooManyAttempts):
        fail(tired, ANN, ANN, START)
    with pytest.raises(TooManyAttempts):
        succeed(tired, ANN, "a", START)


def test_what_is_decided_is_recorded() -> None:
    assert [event for _, event in fail(failures(4), ANN, None, START).events] == [LoginFailed(None, START)]
    assert [event for _, event in succeed(failures(4), ANN, "a", START).events] == [LoginSucceeded(ANN, "a")]
