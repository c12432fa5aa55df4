"""Snapshots as the worker takes, restores and removes them: on or off, also where hosts fail and owners are quick."""

import asyncio
from uuid import UUID

import pytest

from adapters.simulated.faults import Faults
from adapters.simulated.guest_shell import SimulatedGuestShell
from api.workers import provisioning
from api.workers.reconciler import Reconciler
from api.workers.steps import booting
from domain.compute.events import SnapshotFailed, VpsFailed, VpsRunning, VpsStopped
from domain.compute.ports import GuestAddress, GuestUnreachable, JobOutcome, JobSpec
from domain.compute.snapshots import SnapshotNameTaken
from domain.compute.vps import VpsIsRestoring
from domain.wallet.vps_limits import VpsDiskLimitReached
from tests.api.compute_world import Worlds
from tests.steps import SHORT, change_steps

pytestmark = pytest.mark.anyio


async def test_a_running_vps_is_restored_to_its_old_bytes_and_runs_again_as_a_new_start(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        guest = world.host.guests[vps_id]
        guest.files["/root/word"] = b"old"
        await world.take_snapshot(worker, vps_id, "before")
        await world.settled(worker, vps_id)
        guest.files["/root/word"] = b"new"
        before = guest.start_id
        await world.restore(worker, vps_id, "before")
        (vps,) = await world.settled(worker, vps_id)

    assert (vps.state, vps.pending, vps.generation) == ("running", None, 2)
    assert (guest.files["/root/word"], guest.running) == (b"old", True)
    assert guest.start_id != before
    assert len(await world.events(VpsRunning)) == 2
    assert await world.events(VpsStopped) == []


async def test_a_restore_is_charged_as_the_minutes_run_and_a_paid_minute_covers_the_next_start(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        await world.take_snapshot(worker, vps_id, "before")
        await world.settled(worker, vps_id)
        for _ in range(10):
            await world.restore(worker, vps_id, "before")
            await world.settled(worker, vps_id)
        world.clock.advance(70)
        await world.ask(worker, "stop", vps_id)
        await world.settled(worker, vps_id)

    assert await world.minutes(vps_id) == ([1, 2], [])


async def test_a_stopped_vps_is_restored_and_stays_off(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        await world.ask(worker, "stop", vps_id)
        await world.settled(worker, vps_id)
        world.host.guests[vps_id].files["/root/word"] = b"old"
        await world.take_snapshot(worker, vps_id, "before")
        await world.settled(worker, vps_id)
        world.host.guests[vps_id].files.clear()
        await world.restore(worker, vps_id, "before")
        (vps,) = await world.settled(worker, vps_id)

    assert (vps.state, world.host.guests[vps_id].running) == ("stopped", False)
    assert world.host.guests[vps_id].files == {"/root/word": b"old"}


async def test_snapshots_go_with_their_vps_and_what_they_held_is_free(worlds: Worlds) -> None:
    world = await worlds(disk_gb=15)
    async with world.with_vps() as (worker, vps_id):
        await world.take_snapshot(worker, vps_id, "one")
        await world.take_snapshot(worker, vps_id, "two")
        await world.settled(worker, vps_id)
        assert (await world.reserved()).disk_gb == 15
        await world.ask(worker, "delete", vps_id)
        await world.settled(worker, vps_id)

    assert world.host.guests == {}
    assert (await world.reserved()).disk_gb == 0


async def test_a_stop_keeps_what_snapshots_hold_and_a_start_takes_no_more(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        await world.take_snapshot(worker, vps_id, "one")
        await world.settled(worker, vps_id)
        await world.ask(worker, "stop", vps_id)
        await world.settled(worker, vps_id)
        off = (await world.reserved()).disk_gb
        await world.ask(worker, "start", vps_id)
        await world.settled(worker, vps_id)

    assert (off, (await world.reserved()).disk_gb) == (10, 10)


async def test_a_hundred_snapshots_at_once_on_a_limit_for_two_make_two(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        # The account may have 500 GiB, and each VPS and snapshot counts 5: so all but two are taken up first.
        for number in range(6):
            for part in range(16 if number < 5 else 12):
                if part == 0 and number:
                    vps_id = await world.create(worker)
                    await world.settled(worker, vps_id)
                await world.take_snapshot(worker, vps_id, f"s{part}")
        other = await world.create(worker)
        await world.settled(worker, other)
        asked = [world.take_snapshot(world.worker(), other, f"s{number}") for number in range(15)]
        answers = await asyncio.gather(*asked, return_exceptions=True)

    made = [answer for answer in answers if isinstance(answer, UUID)]
    refused = [answer for answer in answers if isinstance(answer, VpsDiskLimitReached)]
    wallet = await world.wallet()
    kept = sum(5 + meter.snapshots_gb for meter in wallet.meters.values())
    assert kept == 500
    assert len(made) + len(refused) == 15


async def test_a_snapshot_that_its_host_cannot_take_is_in_error_and_the_vps_runs_on(
    monkeypatch: pytest.MonkeyPatch, worlds: Worlds
) -> None:
    change_steps(monkeypatch, "take-snapshot", deadline_s=0.05, pauses=SHORT)
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        world.host.faults.fail_next("ensure_snapshot", times=1_000)
        await world.take_snapshot(worker, vps_id, "before")
        (vps,) = await world.settled(worker, vps_id)
        held = (await world.reserved()).disk_gb
        await world.delete_snapshot(worker, vps_id, "before")
        (after,) = await world.settled(worker, vps_id)

    assert (vps.state, vps.snapshots[0].state) == ("running", "error")
    assert vps.snapshots[0].error == "the host could not take the snapshot in time"
    assert (held, (await world.reserved()).disk_gb) == (10, 5)
    assert after.snapshots == ()
    assert len(await world.events(SnapshotFailed)) == 1
    assert await world.events(VpsFailed) == []


async def test_a_restore_that_its_host_cannot_do_ends_in_error_off_and_free(
    monkeypatch: pytest.MonkeyPatch, worlds: Worlds
) -> None:
    change_steps(monkeypatch, "restore", deadline_s=0.05, pauses=SHORT)
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        await world.take_snapshot(worker, vps_id, "before")
        await world.settled(worker, vps_id)
        world.host.faults.fail_next("ensure_restored", times=1_000)
        await world.restore(worker, vps_id, "before")
        (vps,) = await world.settled(worker, vps_id)

    assert (vps.state, vps.error) == ("error", "the host could not restore the snapshot in time")
    assert not world.host.guests[vps_id].running
    assert not list((await world.wallet()).meters_on())
    held = (await world.reserved()).by_vps[vps_id]
    assert (held.on, held.disk_gb) == (False, 10)


async def test_a_look_at_a_host_while_a_vps_is_restored_finds_nothing_wrong(
    monkeypatch: pytest.MonkeyPatch, worlds: Worlds
) -> None:
    change_steps(monkeypatch, "restore", pauses=SHORT)
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        await world.take_snapshot(worker, vps_id, "before")
        await world.settled(worker, vps_id)
        world.host.faults.fail_next("ensure_restored", times=2)
        world.host.faults.fail_next("ensure_restored", after_effect=True)
        await world.restore(worker, vps_id, "before")
        with pytest.raises(VpsIsRestoring):
            await world.delete_snapshot(worker, vps_id, "before")
        for _ in range(20):
            await Reconciler(worker).reconcile()
            await asyncio.sleep(0.005)
        (vps,) = await world.settled(worker, vps_id)

    assert vps.state == "running"
    assert await world.events(VpsStopped) == []


async def test_a_guest_that_does_not_answer_is_kept_as_its_disk_is(
    monkeypatch: pytest.MonkeyPatch, worlds: Worlds
) -> None:
    asked: list[str] = []

    async def silent(_shell: object, _address: GuestAddress, job: JobSpec) -> JobOutcome:
        asked.append(job.command)
        raise GuestUnreachable("it does not answer")

    monkeypatch.setattr(SimulatedGuestShell, "run", silent)
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        await world.take_snapshot(worker, vps_id, "before")
        (vps,) = await world.settled(worker, vps_id)

    assert (asked, vps.snapshots[0].state) == (["sync"], "ready")


async def test_a_guest_that_never_writes_out_holds_up_no_stop(monkeypatch: pytest.MonkeyPatch, worlds: Worlds) -> None:
    writing_out = asyncio.Event()

    async def endless(_shell: object, _address: GuestAddress, _job: JobSpec) -> JobOutcome:
        writing_out.set()
        await asyncio.sleep(3_600)
        raise AssertionError

    monkeypatch.setattr(SimulatedGuestShell, "run", endless)
    monkeypatch.setattr(booting, "LOOK_AGAIN_S", 0.01)
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        await world.take_snapshot(worker, vps_id, "before")
        await writing_out.wait()
        await world.ask(worker, "stop", vps_id)
        # Sooner than the guest has time to write out: what it is on for after its stop is free.
        (vps,) = await world.settled(worker, vps_id)

    assert (vps.state, world.host.guests[vps_id].running) == ("stopped", False)
    assert vps.snapshots[0].state == "ready", "it is taken once the guest is off"


async def test_a_snapshot_that_could_not_be_removed_does_not_come_back_beside_one_of_its_name(
    monkeypatch: pytest.MonkeyPatch, worlds: Worlds
) -> None:
    change_steps(monkeypatch, "remove-snapshot", deadline_s=0.05, pauses=SHORT)
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        await world.take_snapshot(worker, vps_id, "daily")
        await world.settled(worker, vps_id)
        world.host.faults.fail_next("ensure_snapshot_removed", times=1_000)
        await world.delete_snapshot(worker, vps_id, "daily")
        newer = await world.take_snapshot(worker, vps_id, "daily")
        (told,) = await world.settled(worker, vps_id)
        held_gb = (await world.reserved()).disk_gb
        world.host.faults = Faults()
        await world.delete_snapshot(worker, vps_id, "daily")
        (vps,) = await world.settled(worker, vps_id)

    assert [(one.snapshot_id, one.state) for one in told.snapshots if not one.gone] == [(newer, "ready")]
    assert held_gb == 15, "what may be there counts, whoever sees it"
    assert vps.snapshots == ()
    assert world.host.guests[vps_id].snapshots == {}, "with the next one that is deleted, it goes as well"
    assert len(await world.events(SnapshotFailed)) == 1


async def test_of_two_processes_that_take_a_snapshot_of_one_name_one_is_refused(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        asked = [world.take_snapshot(world.worker(), vps_id, "daily") for _ in range(4)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        (vps,) = await world.settled(worker, vps_id)

    assert [type(answer) for answer in answers if isinstance(answer, Exception)] == [SnapshotNameTaken] * 3
    assert len(vps.snapshots) == 1


async def test_a_delete_ends_a_vps_while_its_disk_is_kept_restored_or_its_snapshots_are_removed(
    worlds: Worlds,
) -> None:
    for call in ("ensure_snapshot", "ensure_restored", "ensure_snapshot_removed"):
        world = await worlds()
        async with world.with_vps() as (worker, vps_id):
            await world.take_snapshot(worker, vps_id, "one")
            await world.settled(worker, vps_id)
            world.host.faults.fail_next(call, times=1_000)
            match call:
                case "ensure_snapshot":
                    await world.take_snapshot(worker, vps_id, "two")
                case "ensure_restored":
                    await world.restore(worker, vps_id, "one")
                case _:
                    await world.delete_snapshot(worker, vps_id, "one")
            await asyncio.sleep(0.05)
            await world.ask(worker, "delete", vps_id)
            (vps,) = await world.settled(worker, vps_id)
        assert vps.deleted, call
        assert world.host.guests == {}
        assert (await world.reserved()).disk_gb == 0
        assert not (await world.wallet()).meters


async def test_a_stop_waits_for_no_snapshots_that_guests_draw_out_not_even_for_its_own_turn(
    monkeypatch: pytest.MonkeyPatch, worlds: Worlds
) -> None:
    async def endless(_shell: object, _address: GuestAddress, _job: JobSpec) -> JobOutcome:
        await asyncio.sleep(3_600)
        raise AssertionError

    monkeypatch.setattr(SimulatedGuestShell, "run", endless)
    monkeypatch.setattr(provisioning, "LOOK_AGAIN_S", 0.01)
    world = await worlds()
    async with world.with_vps() as (worker, large):
        drawn_out = [await world.create(worker) for _ in range(provisioning.ENDING_MAX + 1)]
        await world.settled(worker, *drawn_out)
        for vps_id in drawn_out:
            await world.take_snapshot(worker, vps_id, "before")
        await asyncio.sleep(0.1)
        # What it is on for after its stop is free: sooner than one guest has time to write out, it is off.
        for vps_id in (large, drawn_out[-1]):
            await world.ask(worker, "stop", vps_id)
            for _ in range(200):
                await asyncio.sleep(0.01)
            assert not world.host.guests[vps_id].running
