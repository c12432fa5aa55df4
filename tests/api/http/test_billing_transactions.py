"""Transactions and balances over HTTP: every micro-dollar is told, and told once."""

import re
from collections.abc import AsyncIterator
from itertools import pairwise
from uuid import UUID, uuid4

import pytest

from domain.ids import PaymentId
from domain.money import MicroUsd
from domain.wallet.events import (
    BadDebtRecovered,
    DebtWrittenOff,
    FundsAdded,
    FundsReturned,
    FundsTaken,
    ReceivablePaid,
)
from tests.api.http.seeing import Scene, scene
from tests.databases import Databases

pytestmark = pytest.mark.anyio

PAYMENT = PaymentId(UUID(int=5))


@pytest.fixture
async def here(databases: Databases) -> AsyncIterator[Scene]:
    """A customer with 10 USD, and read models."""
    async with scene(databases) as made:
        yield made


async def test_minutes_are_told_as_a_line_an_hour_a_vps(here: Scene) -> None:
    web = await here.on("web-01")
    here.clock.advance(30)
    mail = await here.on("mail")
    await here.minutes_pass(62, web, mail)
    told = await here.get("/api/billing/transactions")

    assert [(one["kind"], one["id"], one["amount"], one["minutes"]) for one in told] == [
        ("minutes", f"{mail}:61-63", -0.00021, 3),
        ("minutes", f"{web}:61-63", -0.00021, 3),
        ("minutes", f"{mail}:1-60", -0.0042, 60),
        ("minutes", f"{web}:1-60", -0.0042, 60),
        ("credit", told[4]["id"], 10, None),
    ]
    assert told[0]["balance_after_micros"] == 10_000_000 - 2 * 4_410
    assert told[3]["description"] == "60 minutes of web-01 at 0.0042 USD an hour"
    assert (told[3]["begins_at"], told[3]["vps_id"]) == (here.at(0), str(web))
    assert (told[4]["description"], told[4]["reason"]) == ("Credit: a test", "a test")


async def test_each_minute_is_told_by_itself_where_that_is_asked_for(here: Scene) -> None:
    web, mail = await here.on("web-01"), await here.on("mail")
    await here.minutes_pass(2, web, mail)
    answer = await here.ann.ask("GET", "/api/billing/transactions", params={"detail": "minute"})
    told = answer.json()

    assert answer.headers["x-total-count"] == "7"
    assert sorted(one["id"] for one in told[:6]) == sorted(f"{vps}:{n}" for vps in (web, mail) for n in (1, 2, 3))
    assert {(one["amount"], one["minutes"]) for one in told[:6]} == {(-0.00007, 1)}
    assert told[6]["kind"] == "credit"


async def test_minutes_of_a_catch_up_are_told_in_the_order_in_which_they_began(here: Scene) -> None:
    web = await here.on("web-01")
    here.clock.advance(30)
    mail = await here.on("mail")
    here.clock.advance(60)
    await here.minutes_pass(1, web, mail)
    told = await here.get("/api/billing/transactions", detail="minute")

    assert [one["id"] for one in told[:5]] == [f"{mail}:3", f"{web}:3", f"{mail}:2", f"{web}:2", f"{mail}:1"]
    assert [one["balance_after_micros"] for one in told[:6]] == [10_000_000 - 70 * n for n in (6, 5, 4, 3, 2, 1)]
    assert await followed(here, detail="minute", limit=2) == told


@pytest.mark.parametrize("detail", ["minute", "hour"])
async def test_what_is_told_adds_up_to_the_balance_whatever_the_size_of_the_pages(here: Scene, detail: str) -> None:
    web, mail = await here.on("web-01"), await here.on("mail")
    await here.minutes_pass(3, web, mail)
    await here.record(FundsAdded(here.ann.id, PAYMENT, MicroUsd(5_000_000)))
    await here.minutes_pass(1, web)
    whole = await here.get("/api/billing/transactions", detail=detail, limit=100)
    balance = (await here.get("/api/billing/balance"))["balance_micros"]

    assert round(sum(one["amount"] for one in whole) * 1_000_000) == balance
    for limit in (1, 2, 3, 5):
        assert await followed(here, detail=detail, limit=limit) == whole
        offset = [
            one
            for start in range(0, len(whole), limit)
            for one in await here.get("/api/billing/transactions", detail=detail, limit=limit, offset=start)
        ]
        assert offset == whole
    if detail == "minute":
        assert whole[0]["balance_after_micros"] == balance
        for newer, older in pairwise(whole):
            assert newer["balance_after_micros"] == older["balance_after_micros"] + round(newer["amount"] * 1_000_000)


async def followed(here: Scene, **asked: object) -> list[dict[str, object]]:
    """Return all pages, found by their links, while minutes go on to be recorded."""
    found, path = [], "/api/billing/transactions"
    answer = await here.ann.ask("GET", path, params=asked)
    while True:
        found += answer.json()
        link = re.search(r'<http://[^/]+(/[^>]*)>; rel="next"', answer.headers.get("link", ""))
        if link is None:
            return found
        answer = await here.ann.ask("GET", link[1])


async def test_what_is_new_moves_nothing_from_one_page_to_another(here: Scene) -> None:
    web = await here.on("web-01")
    await here.minutes_pass(2, web)
    first = await here.ann.ask("GET", "/api/billing/transactions", params={"detail": "minute", "limit": 2})
    await here.minutes_pass(2, web)
    link = re.search(r'<http://[^/]+(/[^>]*)>; rel="next"', first.headers["link"])
    assert link is not None
    second = await here.ann.ask("GET", link[1])

    assert [one["id"] for one in first.json() + second.json()][:3] == [f"{web}:{n}" for n in (3, 2, 1)]


async def test_transactions_are_filtered_by_kind_vps_and_time(here: Scene) -> None:
    web, mail = await here.on("web-01"), await here.on("mail")
    await here.minutes_pass(1, web, mail)
    await here.record(FundsAdded(here.ann.id, PAYMENT, MicroUsd(5_000_000)))
    await here.minutes_pass(1, web, mail)

    async def kinds(**asked: object) -> list[str]:
        answer = await here.ann.ask("GET", "/api/billing/transactions", params=asked)
        assert answer.headers["x-total-count"] == str(len(answer.json()))
        return [one["kind"] for one in answer.json()]

    assert await kinds() == ["payment", "minutes", "minutes", "credit"]
    assert await kinds(kind="payment") == ["payment"]
    assert await kinds(kind="minutes") == ["minutes", "minutes"]
    assert await kinds(kind="waived") == []
    assert await kinds(vps_id=str(web)) == ["minutes"]
    assert await kinds(vps_id=str(web), kind="credit") == []
    assert await kinds(vps_id=str(uuid4())) == []
    assert await kinds(**{"from": here.at(1)}) == ["payment", "minutes", "minutes"]
    assert await kinds(to=here.at(1)) == ["credit"]
    assert await kinds(**{"from": here.at(1.5), "detail": "minute"}) == ["minutes", "minutes"]
    assert await kinds(to=here.at(1), detail="minute") == ["credit"]
    assert await kinds(**{"from": here.at(3)}) == []
    assert await kinds(**{"from": here.at(3), "detail": "minute"}) == []


async def test_minutes_that_nobody_pays_are_in_full_ref(databases: Databases) -> None:
    async with scene(databases, micros=4_200) as here:
        web = await here.on("web-01")
        await here.minutes_pass(61, web)
        told = await here.get("/api/billing/transactions")
        singly = await here.get("/api/billing/transactions", detail="minute", limit=2)

    assert [(one["kind"], one["amount"], one["waived"], one["would_have_cost"]) for one in told] == [
        ("waived", 0, "unpaid", 0.00007),
        ("minutes", -0.0042, None, None),
        ("credit", 0.0042, None, None),
    ]
    assert told[0]["description"].endswith(", not charged: the balance did not cover it")
    assert [one["description"] for one in singly] == [
        "Minute 61 of web-01, not charged: the balance did not cover it",
        "Minute 60 of web-01",
    ]
    assert [(one["id"], one["waived"], one["amount"]) for one in singly] == [
        (f"{web}:61", "unpaid", 0),
        (f"{web}:60", None, -0.00007),
    ]


async def test_the_token_that_created_a_vps_is_told_with_its_minutes(here: Scene) -> None:
    made = await here.ann.ask("POST", "/api/tokens", json={"name": "ci"})
    session, here.ann.token = here.ann.token, made.json()["token"]
    web = await here.on("web-01")
    here.ann.token = session
    await here.minutes_pass(1, web)

    for detail in ("hour", "minute"):
        assert (await here.get("/api/billing/transactions", detail=detail))[0]["token_id"] == made.json()["id"]


async def test_another_account_sees_nothing_of_it(here: Scene) -> None:
    web = await here.on("web-01")
    await here.minutes_pass(1, web)
    bob = await here.house.register()
    for asked in ({}, {"detail": "minute"}, {"vps_id": str(web)}):
        answer = await bob.ask("GET", "/api/billing/transactions", params=asked)
        assert (answer.status_code, answer.json(), answer.headers["x-total-count"]) == (200, [], "0")
    assert (await bob.ask("GET", "/api/billing/balance", params={"at": here.at(1)})).json()["balance"] == 0


async def test_the_balance_is_told_as_it_was_at_any_instant(here: Scene) -> None:
    web = await here.on("web-01")
    await here.minutes_pass(3, web)

    async def micros(minutes: float) -> int:
        told = await here.get("/api/billing/balance", at=here.at(minutes))
        assert told["at"] == here.at(minutes)
        return int(told["balance_micros"])

    assert await micros(-1) == 0
    assert await micros(0) == 10_000_000
    assert await micros(0.99) == 10_000_000
    assert await micros(1) == 10_000_000 - 140
    assert await micros(2.5) == 10_000_000 - 210
    now = await here.get("/api/billing/balance")
    assert (now["at"], now["balance_micros"], now["balance"]) == (here.at(3), 10_000_000 - 280, 9.9997)


async def test_times_that_cannot_be_meant_are_refused_by_name(here: Scene) -> None:
    for path, asked, field in (
        ("balance", {"at": here.at(0.1)}, "at"),
        ("balance", {"at": "yesterday"}, "at"),
        ("balance", {"at": "2023-11-14T00:00:00"}, "at"),
        ("balance", {"at": "0001-01-01T00:00:00+05:00"}, "at"),
        ("transactions", {"from": "2023"}, "from"),
        ("transactions", {"cursor": "x"}, "cursor"),
        ("transactions", {"detail": "minute", "kind": "payment"}, "kind"),
        ("transactions", {"detail": "minute", "vps_id": str(uuid4())}, "vps_id"),
        ("transactions", {"kind": "bribe"}, "kind"),
    ):
        answer = await here.ann.ask("GET", f"/api/billing/{path}", params=asked)
        assert (answer.status_code, set(answer.json()["fields"])) == (400, {field}), asked


async def test_a_token_needs_its_scope(here: Scene) -> None:
    made = await here.ann.ask("POST", "/api/tokens", json={"name": "ci", "scopes": ["vps:read"]})
    here.ann.token = made.json()["token"]
    for path in ("transactions", "balance"):
        assert (await here.ann.ask("GET", f"/api/billing/{path}")).status_code == 403


async def test_what_was_owed_is_not_told_of_a_balance_in_the_past(here: Scene) -> None:
    told = await here.get("/api/billing/balance", at=here.at(0))

    assert (told["owed"], told["owed_micros"], told["frozen"]) == (None, None, None)


async def test_a_statement_tells_what_happened_in_the_very_same_words(here: Scene) -> None:
    web = await here.on("web-01")
    await here.minutes_pass(1, web)
    some, nothing = MicroUsd(1_000_000), MicroUsd(0)
    await here.record(
        FundsAdded(here.ann.id, PAYMENT, MicroUsd(5_000_000)),
        FundsTaken(here.ann.id, PAYMENT, "dispute", "dp", some, some, nothing),
        ReceivablePaid(here.ann.id, MicroUsd(400_000)),
        DebtWrittenOff(here.ann.id, MicroUsd(600_000), "kindness"),
        FundsReturned(here.ann.id, PAYMENT, "dispute-won", "dp", MicroUsd(2_000_000), nothing),
        BadDebtRecovered(here.ann.id, MicroUsd(600_000)),
    )
    shown = await here.get("/api/billing/transactions")
    stated = (await here.get("/api/billing/statements/2023-11"))["entries"]

    words = {one["id"]: one["description"] for one in shown if one["vps_id"] is None}
    assert len(words) == 7
    assert words == {one["id"]: one["description"] for one in stated if one["vps_id"] is None}
    assert "Disputed payment" in words.values()
