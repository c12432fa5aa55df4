"""The least that can be paid in and covers what is lacking."""

import pytest

from domain.money import MicroUsd
from domain.wallet.top_up import least_top_up


@pytest.mark.parametrize(
    ("shortfall", "top_up"),
    [(1, 5_000_000), (5_000_000, 5_000_000), (5_000_001, 5_010_000), (7_250_000, 7_250_000), (90_000_001, 90_010_000)],
)
def test_a_top_up_is_whole_cents_and_never_less_than_can_be_paid(shortfall: int, top_up: int) -> None:
    assert least_top_up(MicroUsd(shortfall)) == top_up
