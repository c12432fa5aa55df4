"""Minutes of one event are told in the order in which they were paid, wherever a page begins and ends."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from api.application.billing.minutes import minute_of, minutes_between
from domain.ids import VpsId
from domain.money import MicroUsd, charge_for_minutes
from domain.time import MINUTE, Instant
from domain.wallet.events import MinuteLine
from tests.domain.wallet.wallets import SMALL, T0

PRICE = MicroUsd(997)


def line(number: int, n_from: int, count: int, at: int) -> MinuteLine:
    amount = charge_for_minutes(PRICE, n_from, n_from + count - 1)
    return MinuteLine(VpsId(UUID(int=number)), n_from, n_from + count - 1, Instant(at), SMALL, 1, PRICE, amount)


lines_of_events = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 6), st.sampled_from([0, 1, MINUTE, MINUTE + 1, 2 * MINUTE, 7])),
    min_size=1,
    max_size=5,
)


@given(lines_of_events, st.permutations(range(5)), st.data())
def test_any_page_is_what_sorting_all_of_them_comes_to(
    drawn: list[tuple[int, int, int]], created: list[int], data: st.DataObject
) -> None:
    lines = [line(number, n_from, count, T0 + after) for number, (n_from, count, after) in enumerate(drawn)]
    born = {one.vps_id: Instant(T0 + created[place] // 2) for place, one in enumerate(lines)}
    every = [minute_of(one, n, "paid") for one in lines for n in range(one.n_from, one.n_to + 1)]
    every.sort(key=lambda minute: (minute.at, born[minute.vps_id], minute.vps_id.int))
    first = data.draw(st.integers(1, len(every)))
    last = data.draw(st.integers(first, len(every)))

    before, page = minutes_between("paid", lines, born, first, last)

    assert page == every[first - 1 : last]
    assert before == -sum(minute.cost for minute in every[: first - 1])
    assert minutes_between("unpaid", lines, born, first, last)[0] == 0


def test_a_page_from_the_middle_of_two_years_is_found_at_once() -> None:
    year = 525_600
    lines = [line(1, 1, year, T0), line(2, 1, year, T0 + 1)]
    before, page = minutes_between("paid", lines, {one.vps_id: T0 for one in lines}, year, year + 2)

    half = year // 2
    assert [(minute.vps_id.int, minute.n) for minute in page] == [(2, half), (1, half + 1), (2, half + 1)]
    assert before == -charge_for_minutes(PRICE, 1, half) - charge_for_minutes(PRICE, 1, half - 1)


def test_lines_of_one_minute_each_are_told_as_they_were_recorded() -> None:
    lines = [line(2, 5, 1, T0), line(1, 9, 1, T0)]

    assert [minute.vps_id.int for minute in minutes_between("paid", lines, {}, 1, 2)[1]] == [2, 1]
