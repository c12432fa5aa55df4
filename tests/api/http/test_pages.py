"""Pages by cursor: no row is skipped or told twice while others come and go, whichever way they are read."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.pages import Page, slice_of
from tests.api.houses import Customer, House

pytestmark = pytest.mark.anyio


@given(
    numbers=st.sets(st.integers(0, 60)),
    limit=st.integers(1, 7),
    side=st.sampled_from(["before", "after"]),
    changes=st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=20),
)
def test_what_is_there_all_the_time_is_told_once(
    numbers: set[int], limit: int, side: str, changes: list[tuple[bool, int]]
) -> None:
    there, always, told = set(numbers), set(numbers), list[object]()
    cursor: str | None = "before.99" if side == "before" else "after.-"
    upcoming = iter(changes)

    while cursor is not None:
        part = slice_of([(f"{number:02d}", number) for number in there], Page(limit=limit, cursor=cursor))
        assert part.total == len(there)
        told = told + part.shown if side == "before" else part.shown + told
        following = part.older if side == "before" else part.newer
        cursor = None if following is None else f"{side}.{following}"
        for comes, number in (change for _, change in zip(range(2), upcoming, strict=False)):
            there = there | {number} if comes else there - {number}
            always -= {number}

    assert told == sorted(told, reverse=True)  # type: ignore[type-var]
    assert len(told) == len(set(told))
    assert always <= set(told)


@given(numbers=st.sets(st.integers(0, 60)), limit=st.integers(1, 7), offset=st.integers(0, 70))
def test_from_any_page_the_ones_beside_it_are_found(numbers: set[int], limit: int, offset: int) -> None:
    rows = [(f"{number:02d}", number) for number in numbers]
    ordered = sorted(numbers, reverse=True)

    part = slice_of(rows, Page(limit=limit, offset=offset))

    assert part.shown == ordered[offset : offset + limit]
    if part.older is not None:
        after_it = slice_of(rows, Page(limit=limit, cursor=f"before.{part.older}"))
        assert after_it.shown == ordered[offset + limit : offset + 2 * limit]
        back = slice_of(rows, Page(limit=limit, cursor=f"after.{after_it.newer}"))
        assert back.shown == part.shown
    else:
        assert offset + limit >= len(numbers)
    assert (part.newer is not None) == (offset > 0 and bool(part.shown))


LISTS = [
    "/api/vps",
    "/api/ssh-keys",
    "/api/tokens",
    "/api/billing/transactions",
    "/api/billing/refunds",
    "/api/billing/statements",
]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "before."}, "cursor"),
        ({"cursor": "before.1-1\n"}, "cursor"),
        ({"cursor": "before.1 1"}, "cursor"),
        ({"cursor": "before.1-1", "offset": "1"}, "offset"),
    ],
)
async def test_a_cursor_that_no_list_gave_is_refused(
    anybody: Customer, path: str, asked: dict[str, str], field: str
) -> None:
    answer = await anybody.ask("GET", path, params=asked)

    assert (answer.status_code, answer.json()["fields"].keys()) == (400, {field})


async def test_a_list_is_read_to_its_end_while_rows_go(ann: Customer) -> None:
    for number in range(5):
        assert (await ann.ask("POST", "/api/tokens", json={"name": f"t{number}"})).status_code == 201
    first = await ann.ask("GET", "/api/tokens?limit=2")
    for gone in first.json():
        assert (await ann.ask("DELETE", f"/api/tokens/{gone['id']}")).status_code == 204

    link = re.search(r'<http://[^/]+(/[^>]*)>; rel="next"', first.headers["link"])
    assert link is not None
    second = await ann.ask("GET", link[1])

    assert [one["name"] for one in second.json()] == ["t2", "t1"]
    assert second.headers["x-total-count"] == "3"


async def test_a_cursor_of_another_account_tells_nothing(here: House, ann: Customer, bob: Customer) -> None:
    await here.nano()
    for number in range(3):
        assert (await ann.ask("POST", "/api/tokens", json={"name": f"t{number}"})).status_code == 201
    link = (await ann.ask("GET", "/api/tokens?limit=1")).headers["link"]
    cursor = re.search(r"cursor=([^&>]*)", link)
    assert cursor is not None

    assert (await bob.ask("GET", "/api/tokens", params={"cursor": cursor[1]})).json() == []
