"""Alerts are raised once and mailed, whatever the mail server does, and nothing else waits for it."""

import asyncio
from contextlib import suppress

import msgspec
import pytest

from adapters.clock import SystemClock
from adapters.mail import smtp
from adapters.mail.smtp import SmtpMailer, parse_smtp_url
from adapters.simulated.faults import SimulatedCrash
from api.application import fail_points as failpoints
from api.application.alerts.evaluation import raise_due
from api.application.alerts.sending import LEASE_S, send_due
from api.workers.mail import send_due_mail
from api.workers.scheduler import PeriodicTask, Scheduler
from domain.alerts.events import AlertRaised, MailFailed, MailGivenUp, MailSent
from domain.alerts.sending import STALE_AFTER
from domain.money import MicroUsd
from tests.api.mailed_house import ALERTS_PATH, OPS, Mailed, code_in, flat
from tests.contracts.mailers import Postbox, postbox

pytestmark = pytest.mark.anyio


async def stopped(mailed: Mailed, *names: str) -> None:
    """Have VPSs of these names, and have them stopped for want of funds."""
    await mailed.ann.credit(10_000_000)
    await mailed.watch(1.00)
    for name in names:
        await mailed.stop(await mailed.vps(name), "unpaid")


async def test_a_stopped_vps_is_told_by_name_with_the_balance_and_what_to_do(mailed: Mailed) -> None:
    await stopped(mailed, "web-01")

    (mail,) = await mailed.mails()

    assert (mail["To"], mail["Subject"]) == (OPS, "LiteVPS: VPS web-01 was stopped")
    text = flat(mail)
    assert "Of the account ann@example.com:" in text
    assert "VPS web-01 was stopped: the balance of 10.0000 USD did not cover its next minute." in text
    assert "POST http://127.0.0.1:8000/api/billing/add-funds" in text
    assert mailed.file_names()[0].endswith("Z-vps-unpaid.eml")


async def test_what_happens_together_is_told_in_one_mail(mailed: Mailed) -> None:
    await stopped(mailed, "web-01", "web-02", "web-03")

    (mail,) = await mailed.mails()

    assert mail["Subject"] == "LiteVPS: 3 VPSs were stopped"
    for name in ("web-01", "web-02", "web-03"):
        assert f"VPS {name} was stopped" in flat(mail)


async def test_what_was_told_is_not_told_again(mailed: Mailed) -> None:
    await stopped(mailed, "web-01")

    for _ in range(3):
        await send_due_mail(mailed.house.runtime)
        await send_due_mail(mailed.another_process())

    assert len(mailed.in_folder()) == 1
    assert len(await mailed.recorded(AlertRaised)) == 1


async def test_of_many_postmen_at_once_one_brings_the_mail(mailed: Mailed) -> None:
    await stopped(mailed, "web-01")
    processes = [mailed.another_process() for _ in range(4)]

    assert sum(await asyncio.gather(*(raise_due(one) for one in processes))) == 1
    assert sum(await asyncio.gather(*(send_due(one) for one in processes * 3))) == 1

    assert len(mailed.in_folder()) == 1


async def test_a_mail_that_nobody_takes_is_tried_again_and_nothing_is_lost(mailed: Mailed) -> None:
    await mailed.ann.credit(10_000_000)
    await mailed.watch(1.00)
    mailed.folder.rmdir()
    mailed.folder.touch()
    await mailed.stop(await mailed.vps(), "unpaid")
    for _ in range(3):
        await send_due_mail(mailed.house.runtime)
    assert len(await mailed.recorded(MailFailed)) == 1, "it is not tried again before its time"

    mailed.folder.unlink()
    mailed.clock.advance(30)
    assert len(await mailed.mails()) == 1
    assert len(await mailed.recorded(MailSent)) == 3, "two codes, and the alert"


async def test_a_mail_that_cannot_be_made_waits_longer_each_time_and_is_given_up(
    mailed: Mailed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mailed.ann.credit(10_000_000)
    await mailed.watch(1.00)
    await mailed.stop(await mailed.vps(), "unpaid")

    async def broken(*_: object) -> None:
        raise ValueError("a name that no header takes")

    monkeypatch.setattr("api.application.alerts.sending._mail_of", broken)
    for _ in range(3):
        await send_due_mail(mailed.house.runtime)
    assert len(await mailed.recorded(MailFailed)) == 1, "it is not tried again before its time"

    for _ in range(40):
        mailed.clock.advance(7200)
        await send_due_mail(mailed.house.runtime)
    (given_up,) = await mailed.recorded(MailGivenUp)
    assert len(await mailed.recorded(MailFailed)) <= 24
    assert isinstance(given_up, MailGivenUp)


async def test_an_address_that_the_server_refuses_is_given_up(mailed: Mailed) -> None:
    await stopped(mailed, "web-01")
    box = Postbox()
    box.recipient_answer = "550 no such user"
    async with postbox(box) as port:
        server = parse_smtp_url(f"smtp://127.0.0.1:{port}?tls=off", default_sender="litevps@example.com")
        runtime = msgspec.structs.replace(mailed.house.runtime, mailer=SmtpMailer(server, SystemClock()))
        await send_due_mail(runtime)
        mailed.clock.advance(3600)
        await send_due_mail(runtime)

    (given_up,) = await mailed.recorded(MailGivenUp)
    assert isinstance(given_up, MailGivenUp)
    assert given_up.cause == "refused"
    assert "550" not in given_up.reason, "what a server says may hold the address: it is sealed"


async def test_without_a_mail_server_mail_waits_and_what_is_too_old_is_given_up(mailed: Mailed) -> None:
    await stopped(mailed, "web-01")
    runtime = msgspec.structs.replace(mailed.house.runtime, mailer=None)
    await send_due_mail(runtime)
    assert await runtime.alert_work.waiting_mails() == 1
    assert mailed.in_folder() == []

    mailed.clock.advance(STALE_AFTER // 1_000_000 + 1)
    assert await mailed.mails() == []
    assert [one.cause for one in await mailed.recorded(MailGivenUp) if isinstance(one, MailGivenUp)] == ["stale"]


async def test_a_code_that_has_expired_is_not_mailed(mailed: Mailed) -> None:
    await mailed.ann.ask("PUT", ALERTS_PATH, json={"email": OPS})
    mailed.clock.advance(24 * 3600)

    assert await mailed.mails() == []
    assert len(await mailed.recorded(MailGivenUp)) == 1


async def test_only_a_verified_address_is_told_of_anything(mailed: Mailed) -> None:
    await mailed.ann.credit(10_000_000)
    await mailed.ann.ask("PUT", ALERTS_PATH, json={"email": OPS})
    await mailed.stop(await mailed.vps(), "unpaid")

    assert [mail["Subject"] for mail in await mailed.mails()] == ["LiteVPS: shall alerts come to this address?"]


@pytest.mark.parametrize("name", failpoints.ALL_OF_MAIL)
async def test_after_a_crash_here_the_mail_comes_and_only_one_that_was_taken_comes_twice(
    mailed: Mailed, name: str
) -> None:
    await stopped(mailed, "web-01")
    crashes = 0

    def crash() -> None:
        nonlocal crashes
        crashes += 1
        raise SimulatedCrash

    with failpoints.armed(name, crash), suppress(SimulatedCrash):
        await send_due_mail(mailed.another_process())
    assert crashes == 1, "never came to this fail point"
    mailed.clock.advance(LEASE_S + 1)

    mails = await mailed.mails()
    mails = await mailed.mails()

    assert len({mail["Message-ID"] for mail in mails}) == 1
    assert len(mails) == (2 if name in ("mail:after-server", "mail-end:before-append") else 1)
    assert len(await mailed.recorded(AlertRaised)) == 1
    assert (await mailed.alerts()).notices == {}


async def test_the_same_code_is_mailed_again_after_a_crash(mailed: Mailed) -> None:
    await mailed.ann.ask("PUT", ALERTS_PATH, json={"email": OPS})

    def crash() -> None:
        raise SimulatedCrash

    with failpoints.armed("mail:after-server", crash), suppress(SimulatedCrash):
        await send_due_mail(mailed.another_process())
    mailed.clock.advance(LEASE_S + 1)
    mails = await mailed.mails()

    assert len(mails) == 2
    assert code_in(mails[0]) == code_in(mails[1])
    assert await mailed.show(code_in(mails[0])) == 204


async def test_a_mail_server_that_hangs_holds_up_no_stop(mailed: Mailed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "SEND_TIMEOUT_S", 3)
    await mailed.ann.credit(4_200)
    asked = asyncio.Event()
    silent = await asyncio.start_server(lambda _reader, _writer: asked.set(), "127.0.0.1", 0)
    async with silent, mailed.house.working():
        port = silent.sockets[0].getsockname()[1]
        await mailed.watch(1.00)
        server = parse_smtp_url(f"smtp://127.0.0.1:{port}?tls=off", default_sender="litevps@example.com")
        runtime = msgspec.structs.replace(mailed.house.runtime, mailer=SmtpMailer(server, SystemClock()))
        vps_id = await mailed.vps()
        await mailed.ann.until(str(vps_id), "running")
        postman = asyncio.create_task(Scheduler([PeriodicTask("mail", lambda: send_due_mail(runtime), 0.01)]).run())
        mailed.clock.advance(3601)

        async with asyncio.timeout(5):
            await mailed.tick()
            await mailed.ann.until(str(vps_id), "stopped")
        assert not mailed.house.host.guests[vps_id].running
        assert (await mailed.ann.ask("GET", "/api/me")).json()["balance_micros"] == MicroUsd(0)
        await asyncio.wait_for(asked.wait(), 30)
        postman.cancel()
        await asyncio.wait([postman])
        assert len(await mailed.recorded(MailFailed)) == 1, "the mail server was asked, and hung"
