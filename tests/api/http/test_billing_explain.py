"""Charges explained over HTTP: from a minute back to what was recorded."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.evidence import PostgresEvidence
from api.application.audit.verify import verify
from api.application.metering import settle_account
from domain.deciding import recorded_in
from domain.ids import EventId, PaymentId, PlanId, host_stream, wallet_stream
from domain.money import MicroUsd
from domain.pricing.commands import DefinePlan
from domain.pricing.price_book import PRICES, define_plan
from domain.time import MINUTE, Instant
from domain.wallet.events import FundsCorrected
from projections.catalogue import READ_MODELS
from tests.api.http.seeing import BEGAN, Scene, scene
from tests.databases import Databases

pytestmark = pytest.mark.anyio

PAYMENT = PaymentId(UUID(int=5))


@pytest.fixture
async def here(databases: Databases) -> AsyncIterator[Scene]:
    """A customer with 10 USD, and read models."""
    async with scene(databases) as made:
        yield made


async def test_a_minute_is_explained_by_all_that_it_follows_from(here: Scene) -> None:
    web = await here.on("web-01")
    await here.minutes_pass(3, web)
    told = await here.get(f"/api/billing/charges/{web}:3/explain")
    [part] = told["parts"]
    wallet = await here.house.runtime.store.read_streams([(wallet_stream(here.ann.id), 0)])
    host = await here.house.runtime.store.read_streams([(host_stream(here.house.host.host_id), 0)])

    assert (told["id"], told["amount"], told["vps_id"]) == (f"{web}:3", -0.00007, str(web))
    assert part["formula"] == "floor(4200·3/60) − floor(4200·2/60) = 210 − 140 = 70"
    assert (part["price"]["plan"], part["price"]["version"], part["price"]["price_hourly"]) == ("Nano", 1, 0.0042)
    assert part["price"]["since"] == here.at(0)
    assert [one["event"] for one in part["started_by"]] == ["wallet.vps-admitted.v1", "wallet.meter-started.v2"]
    assert (part["stopped_by"], part["proof"], part["waived"]) == ([], "observation", None)
    assert part["proven_by"]["position"] == host[2].position
    assert part["proven_by"]["facts"]["collected_at"] == here.at(2)
    [minute] = part["minutes"]
    assert (minute["n"], minute["begins_at"]) == (3, here.at(2))
    # Found by the log itself, not by what explains it.
    metered = [event for event in wallet if event.type == "wallet.minutes-metered.v1"][1]
    assert (minute["recorded_by"], part["recorded_by"][0]["leaf_hash"]) == (metered.position, metered.leaf_hash.hex())


async def test_the_first_minute_is_proven_by_the_login(here: Scene) -> None:
    web = await here.on("web-01")
    await here.minutes_pass(1, web)
    [part] = (await here.get(f"/api/billing/charges/{web}:1/explain"))["parts"]

    assert (part["proof"], part["proven_by"]) == ("login", None)


async def test_every_transaction_can_be_explained_and_comes_to_the_same(here: Scene) -> None:
    web, mail = await here.on("web-01"), await here.on("mail")
    await here.minutes_pass(61, web, mail)
    for detail in ("hour", "minute"):
        for one in await here.get("/api/billing/transactions", detail=detail, limit=30):
            explained = await here.get(f"/api/billing/charges/{one['id']}/explain")
            assert (explained["amount"], explained["vps_id"]) == (one["amount"], one["vps_id"])
            assert sum(len(part["minutes"]) for part in explained["parts"]) == (one["minutes"] or 0)


async def test_prices_and_starts_part_what_is_explained(here: Scene) -> None:
    web = await here.on("web-01")
    await here.reprice(8_400, Instant(BEGAN + 2 * MINUTE))
    await here.minutes_pass(3, web)
    await here.off(web)
    await here.minutes_pass(5)
    assert (await here.ann.ask("POST", f"/api/vps/{web}/start")).status_code == 202
    await here.up(web)
    await here.minutes_pass(1, web)
    parts = (await here.get(f"/api/billing/charges/{web}:1-6/explain"))["parts"]

    assert [(one["n_from"], one["n_to"], one["price"]["version"], one["amount"]) for one in parts] == [
        (1, 2, 1, 0.00014),
        (3, 4, 2, 0.00028),
        (5, 6, 2, 0.00028),
    ]
    assert parts[1]["formula"] == "floor(8400·4/60) − floor(8400·2/60) = 560 − 280 = 280"
    assert [one["event"] for one in parts[0]["stopped_by"]] == ["wallet.vps-released.v1", "wallet.meter-closed.v1"]
    assert parts[0]["stopped_by"][0]["facts"]["cause"] == "stop"
    assert parts[2]["stopped_by"] == []
    assert parts[0]["started_by"] == parts[1]["started_by"] != parts[2]["started_by"]
    assert parts[2]["minutes"][0]["begins_at"] == here.at(8)


async def test_a_change_of_plan_within_a_paid_minute_is_paid_at_once_and_explained(
    here: Scene,
) -> None:
    web = await here.on("web-01")
    big = DefinePlan(PlanId(uuid4()), "Big", 2, 1_024, 10, MicroUsd(60_000))
    await here.execute(
        [PRICES], lambda loaded, now: recorded_in(PRICES.stream, *define_plan(loaded.of(PRICES), big, now))
    )
    nano = await here.house.nano()
    await here.minutes_pass(1, web)
    charged = []
    for plan_id in (str(big.plan_id), nano, str(big.plan_id)):
        here.clock.advance(10)
        await here.off(web)
        assert (await here.ann.ask("PATCH", f"/api/vps/{web}", json={"plan_id": plan_id})).status_code == 200
        assert (await here.ann.ask("POST", f"/api/vps/{web}/start")).status_code == 202
        await here.up(web)
        await settle_account(here.house.runtime.aggregates, here.ann.id)
        charged.append((await here.get(f"/api/vps/{web}"))["metered_minutes"])
    renamed = await here.ann.ask("PATCH", f"/api/vps/{web}", json={"name": "web-02"})
    told = await here.get(f"/api/billing/charges/{web}:1-5/explain")
    transactions = await here.get("/api/billing/transactions", detail="minute")
    usage = await here.get("/api/billing/usage", **{"from": here.at(0), "to": here.at(60), "group_by": "vps"})
    balance = (await here.get("/api/me"))["balance_micros"]

    assert charged == [3, 4, 5], "no minute of one plan covers a run of another"
    assert [(one["n_from"], one["n_to"], one["price"]["plan"], one["amount"]) for one in told["parts"]] == [
        (1, 2, "Nano", 0.00014),
        (3, 3, "Big", 0.001),
        (4, 4, "Nano", 0.00007),
        (5, 5, "Big", 0.001),
    ]
    assert balance == 10_000_000 - 2_210
    assert round(sum(one["amount"] for one in transactions) * 1_000_000) == balance
    assert renamed.status_code == 200
    assert "0.00221" in str(usage)
    url = here.house.runtime.database_url
    async with PostgresEventStore(url) as store:
        report = await verify(store, PostgresEvidence(url), url, READ_MODELS)
    assert report.ok, [check for check in report.checks if check.faults]


async def test_a_waived_minute_tells_why_nobody_pays_it(databases: Databases) -> None:
    async with scene(databases, micros=4_200) as here:
        web = await here.on("web-01")
        await here.minutes_pass(61, web)
        told = await here.get(f"/api/billing/charges/{web}:60-61/explain")

    assert told["amount"] == -0.00007
    assert [(one["waived"], one["amount"], one["cost"]) for one in told["parts"]] == [
        (None, 0.00007, 0.00007),
        ("unpaid", 0, 0.00007),
    ]
    assert told["parts"][1]["why"] == "Not charged: the balance did not cover it."
    assert told["parts"][1]["stopped_by"][0]["facts"]["cause"] == "unpaid"


async def test_funds_are_explained_by_the_event_that_moved_them(here: Scene) -> None:
    [credit] = await here.get("/api/billing/transactions")
    corrected = FundsCorrected(
        here.ann.id, uuid4(), EventId(UUID(credit["id"])), "goodwill", MicroUsd(-500), "a mistake"
    )
    await here.record(corrected)
    newest = (await here.get("/api/billing/transactions"))[0]
    told = await here.get(f"/api/billing/charges/{newest['id']}/explain")

    assert (told["id"], told["amount"], told["parts"]) == (newest["id"], -0.0005, [])
    assert told["event"]["event"] == "wallet.funds-corrected.v1"
    assert told["event"]["facts"]["reason"] == "a mistake"
    assert told["event"]["facts"]["corrects"] == credit["id"] == newest["corrects"]


async def test_what_is_anothers_or_was_never_charged_does_not_exist(here: Scene) -> None:
    web = await here.on("web-01")
    await here.minutes_pass(1, web)
    [_, credit] = await here.get("/api/billing/transactions")
    bob = await here.house.register()
    nothing = await bob.ask("GET", f"/api/billing/charges/{uuid4()}/explain")
    for charge in (f"{web}:1", f"{web}:1-2", credit["id"]):
        answer = await bob.ask("GET", f"/api/billing/charges/{charge}/explain")
        assert (answer.status_code, answer.content) == (404, nothing.content), charge
    for charge in (f"{web}:3", f"{web}:1-3", f"{web}:2-1", f"{web}:0", f"{uuid4()}:1", "nonsense", str(web)):
        answer = await here.ann.ask("GET", f"/api/billing/charges/{charge}/explain")
        assert (answer.status_code, answer.content) == (404, nothing.content), charge
    long = await here.ann.ask("GET", f"/api/billing/charges/{web}:1-121/explain")
    assert (long.status_code, set(long.json()["fields"])) == (400, {"charge_id"})
