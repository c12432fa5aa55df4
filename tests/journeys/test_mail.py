"""A VPS runs until its balance is gone: it is stopped, and its owner finds the mail that says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import pytest

from api.application.seed_data import ensure_plans
from api.workers.mail import send_due_mail
from domain.alerts.events import AlertRaised, MailSent
from domain.codec import decode
from domain.ids import VpsId
from domain.time import MINUTE, Instant, to_rfc3339
from domain.wallet.events import MinutesMetered, MinutesWaived
from projections.alerts import ALERTS
from projections.catalogue import READ_MODELS
from projections.generation import install
from tests.api.houses import Customer, House
from tests.api.http.test_closing import open_checkout, see
from tests.api.mailed_house import ALERTS_PATH, OPS, VERIFY_PATH, Mailed, code_in, flat, mailed_house, stop_vps
from tests.contracts.mailers import parsed
from tests.databases import Databases
from tests.journeys.stored_houses import following, stored_house

pytestmark = pytest.mark.anyio

HOURLY = 4_200


@pytest.fixture
async def mailed(databases: Databases, tmp_path: Path) -> AsyncIterator[Mailed]:
    """A house with a folder for its mail."""
    async with mailed_house(databases, tmp_path / "mail") as made:
        yield made


async def test_who_runs_out_of_funds_is_warned_then_stopped_and_told(mailed: Mailed) -> None:
    await mailed.ann.credit(HOURLY)
    await mailed.watch(0.0021)
    async with mailed.house.working():
        vps_id = await mailed.vps("web-01")
        await mailed.ann.until(str(vps_id), "running")

        mailed.clock.advance(29 * 60)
        await mailed.tick()
        (warning,) = await mailed.mails()
        assert warning["Subject"] == "LiteVPS: your balance is 0.0021 USD"
        assert "fell to 0.0021 USD, which is at or below 0.0021 USD" in flat(warning)
        gone = to_rfc3339(Instant(mailed.clock.now() + 31 * MINUTE))
        assert f"stays on, the balance lasts until {gone}" in flat(warning)

        mailed.clock.advance(60)
        await mailed.tick()
        assert len(await mailed.mails()) == 1, "once a crossing"

        mailed.clock.advance(30 * 60)
        await mailed.tick()
        await mailed.ann.until(str(vps_id), "stopped")

    assert not mailed.house.host.guests[vps_id].running, "the guest is really off"
    _, told = await mailed.mails()
    assert (told["To"], told["Subject"]) == (OPS, "LiteVPS: VPS web-01 was stopped")
    text = flat(told)
    assert "VPS web-01 was stopped: the balance of 0.0000 USD did not cover its next minute." in text
    assert "POST http://127.0.0.1:8000/api/billing/add-funds" in text
    assert "POST http://127.0.0.1:8000/api/vps/{id}/start" in text
    assert mailed.ann.token not in text
    assert [name.rpartition("Z-")[2] for name in mailed.file_names()] == ["low-balance.eml", "vps-unpaid.eml"]
    minutes = await mailed.recorded(MinutesMetered, MinutesWaived)
    paid = [line for one in minutes if isinstance(one, MinutesMetered) for line in one.lines]
    waived = [line for one in minutes if isinstance(one, MinutesWaived) for line in one.lines]
    assert sum(line.amount for line in paid) == HOURLY
    assert [line.n_from for line in waived] == [61]


async def test_with_funds_again_the_next_crossing_is_told_again(mailed: Mailed) -> None:
    await mailed.ann.credit(HOURLY)
    await mailed.watch(0.004)
    async with mailed.house.working():
        vps_id = await mailed.vps("web-01")
        await mailed.ann.until(str(vps_id), "running")
        for _ in range(2):
            mailed.clock.advance(5 * 60)
            await mailed.tick()
            await mailed.mails()
            await mailed.ann.credit(HOURLY)
            mailed.clock.advance(60)
            await mailed.tick()
            mailed.clock.advance(60 * 60)
            await mailed.tick()

    assert len(await mailed.mails()) == 3


async def test_a_dispute_that_leaves_a_debt_is_told_with_every_vps_that_it_stops(mailed: Mailed) -> None:
    payment_id, session_id = await open_checkout(mailed.ann, 5)
    charge = mailed.house.stripe.dashboard.pay(session_id)["payment_intent"]
    await see(mailed.ann, payment_id, session_id)
    await mailed.watch(0.10)
    async with mailed.house.working():
        vps_id = await mailed.vps("web-01")
        await mailed.ann.until(str(vps_id), "running")
        mailed.clock.advance(10 * 3600 - 1)
        await mailed.tick()

        mailed.house.stripe.dashboard.open_dispute(charge)
        await see(mailed.ann, payment_id, session_id)
        await mailed.ann.until(str(vps_id), "stopped")

    (told,) = await mailed.mails()
    assert told["Subject"] == "LiteVPS: your account is frozen"
    text = flat(told)
    assert "A payment of 5 USD is disputed; your balance is 0.0000 USD." in text
    assert "A payment was taken back, which leaves 0.042 USD to be paid: the account is frozen." in text
    assert "VPS web-01 was stopped: the account is frozen." in text
    assert "Your balance fell to 0.0000 USD, which is at or below 0.1 USD." in text


@pytest.fixture
async def houses(database_url: str, owner_url: str, tmp_path: Path) -> AsyncIterator[tuple[House, House]]:
    """Two processes on one PostgreSQL; each keeps read models if the other does not."""
    await asyncio.to_thread(install, owner_url, READ_MODELS)
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(stored_house(database_url, tmp_path)) for _ in range(2)]
        await ensure_plans(one.runtime)
        for each in (one, other):
            await stack.enter_async_context(following(each.runtime, database_url))
        yield one, other


async def _rounds(houses: tuple[House, House]) -> None:
    """Have both postmen go three rounds at once, once the read models are there."""
    runtime = houses[0].runtime
    for _ in range(3):
        assert runtime.read_models is not None
        await runtime.read_models.caught_up(await runtime.store.head(), ALERTS)
        await asyncio.gather(*(send_due_mail(each.runtime) for each in houses * 2))


async def test_two_processes_bring_one_mail(houses: tuple[House, House], tmp_path: Path) -> None:
    ann = await houses[0].register()
    await ann.credit(10_000_000)
    await ann.ask("PUT", ALERTS_PATH, json={"email": OPS})
    await _rounds(houses)
    (code_file,) = (tmp_path / "mail").glob("*-verification.eml")
    code = code_in(parsed(code_file.read_bytes()))
    assert (await houses[1].client.post(VERIFY_PATH, json={"code": code})).status_code == 204
    await _stopped(ann)

    await _rounds(houses)

    runtime = houses[1].runtime
    events = [decode(one) for one in await runtime.store.read_feed(0, 10_000)]
    assert len([event for event in events if isinstance(event, AlertRaised)]) == 1
    assert len([event for event in events if isinstance(event, MailSent)]) == 3, "two codes, and the alert"
    assert len(list((tmp_path / "mail").glob("*-vps-unpaid.eml"))) == 1
    assert await runtime.alert_work.waiting_mails() == 0


async def _stopped(ann: Customer) -> None:
    made = await ann.ask("POST", "/api/vps", json={"name": "web-01", "plan_id": await ann.house.nano()})
    await stop_vps(ann, VpsId(UUID(made.json()["id"])), "unpaid")
