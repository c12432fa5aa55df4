"""Whoever wants free boots: a guest that never answers, or late, or is stopped or deleted while it boots."""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from api.application.worker_context import WorkerContext
from api.workers.steps import booting
from domain.compute.ports import GuestAddress, GuestShell
from domain.ids import VpsId
from domain.wallet.boots import TooManyFailedStarts
from domain.wallet.events import BootEnded
from tests.api.compute_world import WAIT_S, World, Worlds
from tests.steps import SHORT, change_steps

pytestmark = pytest.mark.anyio


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have guests and hosts be waited for only briefly."""
    change_steps(monkeypatch, "login", "launch", deadline_s=0.05, pauses=SHORT, guest_pauses=SHORT)


class DrawnOut:
    """A shell into guests whose login never comes to an end."""

    def __init__(self, inner: GuestShell) -> None:
        self._inner = inner
        self.begun = asyncio.Event()
        self.given_up = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def login(self, _address: GuestAddress) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up = True


async def endings(world: World) -> list[str]:
    return [event.ending for event in await world.events(BootEnded) if isinstance(event, BootEnded)]


async def until_launched(world: World, worker: WorkerContext, vps_id: VpsId) -> None:
    """Wait until the host has started the guest, and that is recorded."""
    async with asyncio.timeout(WAIT_S):
        while (vps := await worker.vps(vps_id)) is None or vps.boots_since is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.usefixtures("impatient")
async def test_a_guest_that_never_answers_is_switched_on_three_times_an_hour(worlds: Worlds) -> None:
    world = await worlds(boot_s=10**6)
    async with world.with_vps() as (worker, vps_id):
        for _ in range(2):
            world.clock.advance(10)
            await world.ask(worker, "start", vps_id)
            await world.settled(worker, vps_id)

        with pytest.raises(TooManyFailedStarts):
            await world.ask(worker, "start", vps_id)
        assert await endings(world) == ["failed"] * 3

        world.clock.advance(3_600)
        world.host.boot_us = 0
        await world.ask(worker, "start", vps_id)
        (vps,) = await world.settled(worker, vps_id)
    assert vps.state == "running"


@pytest.mark.usefixtures("impatient")
async def test_a_host_that_starts_nothing_is_not_the_guests_fault(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()
    world.host.faults.fail_next("ensure_running", times=10_000)
    async with world.working(worker):
        vps_id = await world.create(worker)
        await world.settled(worker, vps_id)
        for _ in range(4):
            await world.ask(worker, "start", vps_id)
            (vps,) = await world.settled(worker, vps_id)

    assert (vps.state, vps.generation) == ("error", 5)
    assert await endings(world) == []


@pytest.mark.usefixtures("impatient")
async def test_a_guest_that_its_host_kept_from_booting_for_a_while_is_not_to_blame(
    worlds: Worlds,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change_steps(monkeypatch, "login", deadline_s=0.3)
    monkeypatch.setattr(booting, "RELAUNCH_EVERY_S", 0.02)
    world = await worlds(boot_s=10**6)
    worker = await world.founded()
    async with world.working(worker):
        vps_id = await world.create(worker)
        await until_launched(world, worker, vps_id)
        world.host.faults.fail_next("ensure_running")
        world.host.reboot()
        (vps,) = await world.settled(worker, vps_id)

    assert vps.state == "error"
    assert await endings(world) == []


@pytest.mark.parametrize("asked", ["stop", "delete"])
async def test_a_guest_that_draws_its_login_out_is_off_as_soon_as_its_owner_wants_it(
    worlds: Worlds, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(booting, "LOOK_AGAIN_S", 0.01)
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        await world.ask(worker, "stop", vps_id)
        await world.settled(worker, vps_id)
    drawn_out = DrawnOut(worker.shell)
    worker = msgspec.structs.replace(worker, shell=drawn_out)
    async with world.working(worker):
        await world.ask(worker, "start", vps_id)
        await drawn_out.begun.wait()
        await world.ask(worker, asked, vps_id)
        await world.settled(worker, vps_id)

    assert not any(guest.running for guest in world.host.guests.values())
    assert drawn_out.given_up


async def test_guests_that_never_answer_are_bounded_also_where_they_are_deleted_and_made_anew(worlds: Worlds) -> None:
    world, made = await worlds(boot_s=10**6), 0
    worker = await world.founded()
    async with world.working(worker):
        with suppress(TooManyFailedStarts):
            while made < 30:
                vps_id = await world.create(worker)
                made += 1
                await until_launched(world, worker, vps_id)
                world.clock.advance(179)
                await world.ask(worker, "delete", vps_id)

    # Ten failed starts' worth of boot: the eleventh was let on a second before it was used up.
    assert made == 11
    assert await endings(world) == ["abandoned"] * 11


async def test_a_vps_that_is_stopped_each_time_before_it_answers_is_bounded(worlds: Worlds) -> None:
    world, started = await worlds(), 0
    async with world.with_vps() as (worker, vps_id):
        world.host.boot_us = 10**12
        await world.ask(worker, "stop", vps_id)
        await world.settled(worker, vps_id)
        with suppress(TooManyFailedStarts):
            while started < 30:
                await world.ask(worker, "start", vps_id)
                started += 1
                await until_launched(world, worker, vps_id)
                world.clock.advance(100)
                await world.ask(worker, "stop", vps_id)
                await world.settled(worker, vps_id)

    assert started == 6


async def test_a_vps_in_error_that_is_deleted_is_counted_once(worlds: Worlds) -> None:
    world = await worlds(boot_s=10**6)
    worker = await world.founded()
    async with world.working(worker):
        vps_id = await world.create(worker)
        await until_launched(world, worker, vps_id)
        world.host.change_host_key(vps_id, "ssh-ed25519 AAAAsomebodyelse")
        world.clock.advance(10**6)
        (vps,) = await world.settled(worker, vps_id)
        await world.ask(worker, "delete", vps_id)

    assert vps.state == "error"
    assert await endings(world) == ["failed"]
