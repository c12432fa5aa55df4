"""Postings: every event that moves money does so from somewhere to somewhere."""

from uuid import UUID

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.books.chart import GOODWILL, WAIVED_CONTRA, prepaid, revenue, waived
from domain.books.posting import Posting
from domain.books.postings import postings
from domain.events import Event
from domain.money import MicroUsd
from domain.wallet.events import (
    FundsCredited,
    MinuteLine,
    MinutesMetered,
    MinutesWaived,
    VpsReleased,
    WaiveCause,
    WalletOpened,
)
from domain.wallet.minutes import minute_claims
from tests.domain.wallet.wallets import ACCOUNT, LARGE, MAIL, SMALL, T0, WEB


def line(amount: int, plan: UUID = SMALL, vps: UUID = WEB, n: int = 1) -> MinuteLine:
    return MinuteLine(vps, n, n, T0, plan, 1, MicroUsd(4_200), MicroUsd(amount))  # type: ignore[arg-type]


def test_a_credit_is_goodwill_that_we_owe_to_the_customer() -> None:
    event = FundsCredited(ACCOUNT, UUID(int=1), MicroUsd(500), "welcome")

    assert set(postings(event)) == {Posting(GOODWILL, MicroUsd(500)), Posting(prepaid(ACCOUNT), MicroUsd(-500))}


def test_paid_minutes_become_revenue_by_plan() -> None:
    posted = postings(MinutesMetered(ACCOUNT, (line(70), line(1_000, LARGE, MAIL), line(71, n=2))))

    assert set(posted) == {
        Posting(prepaid(ACCOUNT), MicroUsd(141)),
        Posting(revenue(SMALL), MicroUsd(-141)),
        Posting(prepaid(ACCOUNT), MicroUsd(1_000)),
        Posting(revenue(LARGE), MicroUsd(-1_000)),
    }


@pytest.mark.parametrize("cause", ["unpaid", "unproven"])
def test_waived_minutes_are_a_memo_and_no_part_of_the_result(cause: WaiveCause) -> None:
    posted = postings(MinutesWaived(ACCOUNT, cause, (line(70),)))

    assert set(posted) == {Posting(waived(cause, SMALL), MicroUsd(70)), Posting(WAIVED_CONTRA, MicroUsd(-70))}


@pytest.mark.parametrize("event", [WalletOpened(ACCOUNT), VpsReleased(WEB, 1, T0, "stop")])
def test_what_moves_no_money_posts_nothing(event: Event) -> None:
    assert postings(event) == ()


@for_all(st.lists(st.tuples(st.sampled_from([SMALL, LARGE]), st.integers(0, 10**12))))
def test_postings_sum_to_zero(amounts: list[tuple[UUID, int]]) -> None:
    lines = tuple(line(amount, plan) for plan, amount in amounts)

    for event in (MinutesMetered(ACCOUNT, lines), MinutesWaived(ACCOUNT, "unpaid", lines)):
        assert sum(posting.amount for posting in postings(event)) == 0


def test_every_minute_of_an_event_is_claimed_in_order() -> None:
    event = MinutesMetered(ACCOUNT, (line(70), line(70, n=2)))

    assert [(claim.vps_id, claim.n_from, claim.n_to) for claim in minute_claims(event)] == [(WEB, 1, 1), (WEB, 2, 2)]
    assert minute_claims(WalletOpened(ACCOUNT)) == ()
