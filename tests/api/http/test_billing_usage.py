"""Usage over HTTP: minutes and money by VPS, token, label and day, to the minute."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from domain.time import MINUTE, Instant
from tests.api.http.seeing import BEGAN, Scene, scene
from tests.databases import Databases

pytestmark = pytest.mark.anyio

USAGE = "/api/billing/usage"


@pytest.fixture
async def here(databases: Databases) -> AsyncIterator[Scene]:
    """A customer with 10 USD, and read models."""
    async with scene(databases) as made:
        yield made


def counted(told: dict[str, Any], name: str) -> dict[Any, tuple[int, float]]:
    """Return minutes and money of each group by what it is of."""
    return {_found_by(one[name]): (one["minutes"], one["amount"]) for one in told["groups"]}


def _found_by(told: Any) -> Any:
    return (told["key"], told["value"]) if isinstance(told, dict) else told


async def test_usage_is_told_by_vps_with_its_sum(here: Scene) -> None:
    web = await here.on("web-01")
    await here.minutes_pass(2, web)
    mail = await here.on("mail")
    await here.minutes_pass(1, web, mail)
    told = await here.get(USAGE)

    assert counted(told, "vps_id") == {str(web): (4, 0.00028), str(mail): (2, 0.00014)}
    assert told["total"] == {"minutes": 6, "amount": 0.00042, "waived_minutes": 0, "would_have_cost": 0}
    assert (told["from"], told["to"]) == ("2023-11-01T00:00:00Z", here.at(3))


async def test_only_minutes_that_begin_within_the_time_count(here: Scene) -> None:
    web = await here.on("web-01")
    await here.minutes_pass(130, web)

    async def minutes(since: float, until: float) -> tuple[int, float]:
        total = (await here.get(USAGE, **{"from": here.at(since), "to": here.at(until)}))["total"]
        return total["minutes"], total["amount"]

    assert await minutes(0, 130) == (130, 0.0091)
    assert await minutes(0, 60) == (60, 0.0042)
    assert await minutes(-1, 0) == (0, 0)
    assert await minutes(0.5, 1.5) == (1, 0.00007)
    assert await minutes(30, 90) == (60, 0.0042)
    assert await minutes(10, 20) == (10, 0.0007)
    assert await minutes(59, 121) == (62, 0.00434)
    assert await minutes(5, 5) == (0, 0)


async def test_up_to_the_end_of_a_month_is_that_month(here: Scene) -> None:
    web = await here.on("web-01")
    await here.minutes_pass(1, web)
    told = await here.get(USAGE, to="2023-12-01T00:00:00Z")

    assert (told["from"], told["total"]["minutes"]) == ("2023-11-01T00:00:00Z", 2)


async def test_minutes_around_a_pause_count_by_when_each_began(here: Scene) -> None:
    web = await here.on("web-01")
    await here.minutes_pass(2, web)
    await here.off(web)
    await here.minutes_pass(10)
    assert (await here.ann.ask("POST", f"/api/vps/{web}/start")).status_code == 202
    await here.up(web)
    await here.minutes_pass(2, web)

    async def minutes(since: float, until: float) -> int:
        total = (await here.get(USAGE, **{"from": here.at(since), "to": here.at(until)}))["total"]
        return int(total["minutes"])

    assert await minutes(0, 14) == 5
    assert await minutes(0, 3) == 3
    assert await minutes(2.5, 12) == 0
    assert await minutes(12, 13) == 1
    assert await minutes(13, 14) == 1
    told = await here.get("/api/billing/transactions", kind="minutes")
    assert [one["minutes"] for one in told] == [6], "still a line an hour"


async def test_minutes_at_a_price_that_was_set_again_count_once(here: Scene) -> None:
    web = await here.on("web-01")
    await here.minutes_pass(2, web)
    await here.off(web)
    await here.minutes_pass(5)
    assert (await here.ann.ask("POST", f"/api/vps/{web}/start")).status_code == 202
    await here.up(web)
    await here.reprice(4_200, Instant(BEGAN + 20 * MINUTE))
    here.clock.advance(30 * 60)
    await here.minutes_pass(1, web)

    whole = await here.get(USAGE, **{"from": here.at(0), "to": here.at(60)})
    cut = await here.get(USAGE, **{"from": here.at(0), "to": here.at(59.5)})
    assert whole["total"]["minutes"] == 35
    assert cut["total"] == whole["total"], "nothing began in the last half minute"


async def test_usage_is_told_by_label_token_and_day(here: Scene) -> None:
    made = (await here.ann.ask("POST", "/api/tokens", json={"name": "ci"})).json()
    session, here.ann.token = here.ann.token, made["token"]
    web = await here.on("web-01", labels={"role": "web", "env": "test"})
    here.ann.token = session
    mail = await here.on("mail", labels={"env": "test"})
    bare = await here.on("bare")
    await here.minutes_pass(1, web, mail, bare)

    by_label = await here.get(USAGE, group_by="label")
    assert counted(by_label, "label") == {
        ("role", "web"): (2, 0.00014),
        ("env", "test"): (4, 0.00028),
        None: (2, 0.00014),
    }
    assert by_label["total"]["minutes"] == 6
    assert counted(await here.get(USAGE, group_by="token"), "token_id") == {
        made["id"]: (2, 0.00014),
        None: (4, 0.00028),
    }
    assert counted(await here.get(USAGE, group_by="day"), "day") == {"2023-11-14": (6, 0.00042)}
    both = await here.get(USAGE, group_by="day,vps")
    assert {(one["day"], one["vps_id"]) for one in both["groups"]} == {
        ("2023-11-14", str(vps_id)) for vps_id in (web, mail, bare)
    }


async def test_labels_are_grouped_by_key_and_value(here: Scene) -> None:
    one = await here.on("one", labels={"a": "b=c"})
    other = await here.on("other", labels={"a": "b", "c": ""})
    await here.minutes_pass(1, one, other)

    told = counted(await here.get(USAGE, group_by="label"), "label")

    assert told.keys() == {("a", "b=c"), ("a", "b"), ("c", "")}
    refused = await here.ann.ask("POST", "/api/vps", json={"name": "x", "vcpu": 1, "labels": {"a=b": "c"}})
    assert (refused.status_code, refused.json()["fields"].keys()) == (400, {"labels"})


async def test_a_deleted_vps_still_counts(here: Scene) -> None:
    web = await here.on("web-01", labels={"env": "test"})
    await here.minutes_pass(1, web)
    assert (await here.ann.ask("DELETE", f"/api/vps/{web}")).status_code == 204

    assert counted(await here.get(USAGE, group_by="label"), "label") == {("env", "test"): (2, 0.00014)}


async def test_waived_minutes_are_told_apart(databases: Databases) -> None:
    async with scene(databases, micros=4_200) as here:
        web = await here.on("web-01")
        await here.minutes_pass(61, web)
        total = (await here.get(USAGE))["total"]

    assert total == {"minutes": 60, "amount": 0.0042, "waived_minutes": 1, "would_have_cost": 0.00007}


async def test_another_account_has_used_nothing(here: Scene) -> None:
    web = await here.on("web-01")
    await here.minutes_pass(1, web)
    bob = await here.house.register(f"{uuid4().hex[:8]}@example.com")
    told = (await bob.ask("GET", USAGE)).json()

    assert (told["groups"], told["total"]["minutes"]) == ([], 0)


async def test_what_cannot_be_meant_is_refused_by_name(here: Scene) -> None:
    for asked, field in (
        ({"from": here.at(2), "to": here.at(1)}, "from"),
        ({"from": "2020-01-01T00:00:00Z"}, "from"),
        ({"from": "today"}, "from"),
        ({"to": "1"}, "to"),
        ({"to": "0001-01-01T00:00:00+05:00"}, "to"),
        ({"to": "9999-12-31T23:59:59-12:00"}, "to"),
        ({"group_by": "colour"}, "group_by"),
        ({"group_by": "vps,vps"}, "group_by"),
        ({"group_by": ""}, "group_by"),
    ):
        answer = await here.ann.ask("GET", USAGE, params=asked)
        assert (answer.status_code, set(answer.json()["fields"])) == (400, {field}), asked
