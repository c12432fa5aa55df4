"""Money is asked back only so often: whoever pays and asks back in a circle costs the house a fee each time."""

from uuid import UUID

import pytest

from domain.ids import PaymentId
from domain.money import MicroUsd
from domain.time import HOUR, Instant
from domain.wallet.asked_refunds import TooManyRefunds, check_refunds
from domain.wallet.events import FundsReturned, RefundsAsked
from domain.wallet.wallet import Wallet
from tests.domain.wallet.wallets import ACCOUNT, T0, after, given

DAY = 24 * HOUR


def asked(day: float, *keys: str) -> RefundsAsked:
    return RefundsAsked(ACCOUNT, keys or (f"of day {day}",), Instant(T0 + round(day * DAY)))


def failed(key: str) -> FundsReturned:
    payment_id = PaymentId(UUID(int=5))
    return FundsReturned(ACCOUNT, payment_id, "refund-failed", key, MicroUsd(1), MicroUsd(0))


def wait_s(wallet: Wallet, day: float, refunds_max: int = 2) -> object:
    """Return how many seconds whoever asks on a day has to wait; None where it is not too often."""
    try:
        check_refunds(wallet.refunds_asked, refunds_max, Instant(T0 + round(day * DAY)))
    except TooManyRefunds as refusal:
        return refusal.facts["retry_after_seconds"]
    return None


def test_the_third_time_within_30_days_is_refused_until_the_first_is_as_old() -> None:
    wallet = given(asked(0))

    assert wait_s(wallet, 1) is None
    wallet = after(wallet, asked(10))
    assert wait_s(wallet, 11) == 19 * 86_400
    assert wait_s(wallet, 30 - 1 / 86_400) == 1
    assert wait_s(wallet, 30) is None


def test_with_a_lower_limit_the_last_ones_count() -> None:
    wallet = given(asked(0), asked(10), asked(20))

    assert wait_s(wallet, 21, refunds_max=1) == 29 * 86_400
    assert wait_s(wallet, 21, refunds_max=3) == 9 * 86_400
    assert wait_s(wallet, 21, refunds_max=4) is None


def test_refunds_that_were_asked_for_together_are_one_time() -> None:
    assert wait_s(given(asked(0, "a", "b", "c")), 1) is None


def test_a_refund_that_failed_is_none() -> None:
    wallet = given(asked(0), asked(1, "a", "b"))

    assert wait_s(after(wallet, failed("a")), 2) is not None
    assert wait_s(after(wallet, failed("a"), failed("b")), 2) is None


def test_what_is_older_than_30_days_is_forgotten() -> None:
    assert len(given(asked(0), asked(1), asked(40)).refunds_asked) == 1


@pytest.mark.parametrize("order", [(0, 5), (5, 0)])
def test_a_clock_that_steps_back_forgets_none(order: tuple[int, int]) -> None:
    assert wait_s(given(*(asked(day) for day in order)), 6) == 24 * 86_400
