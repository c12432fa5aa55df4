"""What every hypervisor promises, whichever host it drives."""

import asyncio
import time
from uuid import UUID

import msgspec
import pytest
from uuid_utils.compat import uuid7

from domain.compute.ports import HypervisorUnavailable
from domain.ids import SnapshotId
from tests.contracts.hypervisors import ABSENT, Host, host

__all__ = ["host"]
pytestmark = pytest.mark.anyio


async def test_a_prepared_guest_runs_as_its_generation(host: Host) -> None:
    spec, started = await host.running(generation=3)
    assert (started.vps_id, started.generation, started.running) == (spec.vps_id, 3, True)
    assert started.start_id != ""
    seen = await host.seen(spec.vps_id)
    assert seen is not None
    assert (seen.start_id, seen.running) == (started.start_id, True)


async def test_a_guest_that_was_only_prepared_is_shown_so_that_it_cannot_be_forgotten(host: Host) -> None:
    spec = host.spec()
    await host.hypervisor.ensure_prepared(spec)
    seen = await host.seen(spec.vps_id)
    assert seen is not None
    assert (seen.generation, seen.start_id, seen.running, seen.cpu_ns) == (0, "", False, 0)
    assert (await host.hypervisor.ensure_off(spec.vps_id, grace_s=0)).guests == ()


async def test_what_another_ledger_had_made_is_not_shown(host: Host) -> None:
    prepared = host.spec()
    await host.hypervisor.ensure_prepared(prepared)
    running, _ = await host.running()
    stopped, _ = await host.running()
    await host.hypervisor.ensure_off(stopped.vps_id, grace_s=0)
    ours = {guest.vps_id for guest in (await host.hypervisor.observe()).guests}
    assert ours >= {prepared.vps_id, running.vps_id, stopped.vps_id}
    assert (await host.of_another_ledger.observe()).guests == ()


async def test_asked_twice_to_run_it_is_started_once(host: Host) -> None:
    spec, first = await host.running()
    await host.hypervisor.ensure_prepared(spec)
    again = await host.hypervisor.ensure_running(spec)
    assert again.start_id == first.start_id


async def test_two_workers_at_once_start_one_guest(host: Host) -> None:
    spec = host.spec()
    await asyncio.gather(*(host.hypervisor.ensure_prepared(spec) for _ in range(2)))
    first, second = await asyncio.gather(*(host.hypervisor.ensure_running(spec) for _ in range(2)))
    seen = await host.seen(spec.vps_id)
    assert seen is not None
    assert first.start_id == second.start_id == seen.start_id


async def test_an_unprepared_guest_cannot_run(host: Host) -> None:
    with pytest.raises(HypervisorUnavailable):
        await host.hypervisor.ensure_running(host.spec())


async def test_cpu_time_never_falls_within_a_start(host: Host) -> None:
    spec, started = await host.running()
    shown = [started]
    for _ in range(3):
        host.some_time_passes()
        seen = await host.seen(spec.vps_id)
        assert seen is not None
        shown.append(seen)
    assert [one.cpu_ns for one in shown] == sorted(one.cpu_ns for one in shown)
    assert shown[-1].cpu_ns > 0
    assert len({one.start_id for one in shown}) == 1


async def test_a_guest_that_is_off_shows_no_start(host: Host) -> None:
    spec, _ = await host.running()
    await host.hypervisor.ensure_off(spec.vps_id, grace_s=0)
    seen = await host.seen(spec.vps_id)
    assert seen is not None
    assert (seen.running, seen.start_id, seen.cpu_ns, seen.generation) == (False, "", 0, 1)


async def test_a_later_start_never_has_the_name_of_an_earlier_one(host: Host) -> None:
    spec, first = await host.running()
    await host.hypervisor.ensure_off(spec.vps_id, grace_s=0)
    second = await host.hypervisor.ensure_running(msgspec.structs.replace(spec, generation=2))
    assert second.generation == 2
    assert second.start_id != first.start_id


async def test_switching_off_tells_what_was_seen_just_before(host: Host) -> None:
    spec, started = await host.running()
    host.some_time_passes()
    before = await host.hypervisor.ensure_off(spec.vps_id, grace_s=0)
    (seen,) = before.guests
    assert (seen.vps_id, seen.start_id, seen.running) == (spec.vps_id, started.start_id, True)
    assert seen.cpu_ns >= started.cpu_ns


async def test_switching_off_what_is_off_or_absent_is_done(host: Host) -> None:
    spec, _ = await host.running()
    await host.hypervisor.ensure_off(spec.vps_id, grace_s=0)
    (off,) = (await host.hypervisor.ensure_off(spec.vps_id, grace_s=30)).guests
    assert not off.running
    assert (await host.hypervisor.ensure_off(ABSENT, grace_s=30)).guests == ()


async def test_a_guest_that_ended_by_itself_is_shown_off_and_starts_again(host: Host) -> None:
    spec, first = await host.running()
    host.guest_ends_by_itself(spec.vps_id)
    seen = await host.seen(spec.vps_id)
    assert seen is not None
    assert not seen.running
    again = await host.hypervisor.ensure_running(msgspec.structs.replace(spec, generation=2))
    assert again.running
    assert again.start_id != first.start_id


async def test_a_guest_still_running_as_an_earlier_generation_is_started_anew(host: Host) -> None:
    spec, first = await host.running(generation=1)
    second = await host.hypervisor.ensure_running(msgspec.structs.replace(spec, generation=2))
    assert (second.generation, second.running) == (2, True)
    assert second.start_id != first.start_id


async def test_a_late_asker_leaves_a_later_generation_alone(host: Host) -> None:
    spec, first = await host.running(generation=2)
    seen = await host.hypervisor.ensure_running(msgspec.structs.replace(spec, generation=1))
    assert (seen.generation, seen.start_id) == (2, first.start_id)


async def test_a_restart_is_the_same_start(host: Host) -> None:
    spec, started = await host.running()
    host.some_time_passes()
    seen = await host.hypervisor.ensure_rebooted(spec.vps_id, grace_s=0)
    assert (seen.start_id, seen.running) == (started.start_id, True)
    assert seen.cpu_ns >= started.cpu_ns


async def test_what_is_off_cannot_be_restarted(host: Host) -> None:
    spec, _ = await host.running()
    await host.hypervisor.ensure_off(spec.vps_id, grace_s=0)
    with pytest.raises(HypervisorUnavailable):
        await host.hypervisor.ensure_rebooted(spec.vps_id, grace_s=5)
    with pytest.raises(HypervisorUnavailable):
        await host.hypervisor.ensure_rebooted(ABSENT, grace_s=5)


async def test_two_guests_cannot_share_a_port(host: Host) -> None:
    spec, _ = await host.running()
    other = host.spec(ssh_port=spec.ssh_port)
    await host.hypervisor.ensure_prepared(other)
    with pytest.raises(HypervisorUnavailable):
        await host.hypervisor.ensure_running(other)
    seen = await host.seen(other.vps_id)
    assert seen is None or not seen.running


@pytest.mark.parametrize("reached", ["nothing", "prepared", "running", "off"])
async def test_removing_is_legal_from_every_state_and_twice(host: Host, reached: str) -> None:
    spec = host.spec()
    if reached != "nothing":
        await host.hypervisor.ensure_prepared(spec)
    if reached in ("running", "off"):
        await host.hypervisor.ensure_running(spec)
    if reached == "off":
        await host.hypervisor.ensure_off(spec.vps_id, grace_s=0)
    await host.hypervisor.ensure_removed(spec.vps_id)
    await host.hypervisor.ensure_removed(spec.vps_id)
    assert await host.seen(spec.vps_id) is None
    with pytest.raises(HypervisorUnavailable):
        await host.hypervisor.ensure_running(spec)


@pytest.mark.parametrize("state", ["running", "off"])
async def test_a_snapshot_is_taken_once_and_removed_once_of_what_runs_or_is_off(host: Host, state: str) -> None:
    spec, _ = await host.running()
    if state == "off":
        await host.hypervisor.ensure_off(spec.vps_id, grace_s=0)
    first, second = new_snapshot(), new_snapshot()
    for snapshot_id in (first, first, second):
        await host.hypervisor.ensure_snapshot(spec.vps_id, snapshot_id)
    assert await host.hypervisor.list_snapshots(spec.vps_id) == {first, second}
    for _ in range(2):
        await host.hypervisor.ensure_snapshot_removed(spec.vps_id, first)
    assert await host.hypervisor.list_snapshots(spec.vps_id) == {second}


async def test_snapshots_outlive_starts_and_go_with_their_guest(host: Host) -> None:
    spec, _ = await host.running()
    live, still = new_snapshot(), new_snapshot()
    await host.hypervisor.ensure_snapshot(spec.vps_id, live)
    await host.hypervisor.ensure_off(spec.vps_id, grace_s=0)
    await host.hypervisor.ensure_snapshot(spec.vps_id, still)
    await host.hypervisor.ensure_running(msgspec.structs.replace(spec, generation=2))
    assert await host.hypervisor.list_snapshots(spec.vps_id) == {live, still}
    await host.hypervisor.ensure_snapshot_removed(spec.vps_id, still)
    await host.hypervisor.ensure_off(spec.vps_id, grace_s=0)
    await host.hypervisor.ensure_snapshot_removed(spec.vps_id, live)
    assert await host.hypervisor.list_snapshots(spec.vps_id) == frozenset()
    await host.hypervisor.ensure_snapshot(spec.vps_id, live)
    await host.hypervisor.ensure_removed(spec.vps_id)
    assert await host.hypervisor.list_snapshots(spec.vps_id) == frozenset()


async def test_a_restored_guest_is_off_and_starts_again_and_keeps_the_snapshot(host: Host) -> None:
    spec, _ = await host.running()
    snapshot_id = new_snapshot()
    await host.hypervisor.ensure_snapshot(spec.vps_id, snapshot_id)
    for _ in range(2):
        await host.hypervisor.ensure_restored(spec.vps_id, snapshot_id, generation=1)
    seen = await host.seen(spec.vps_id)
    assert seen is not None
    assert not seen.running
    assert await host.hypervisor.list_snapshots(spec.vps_id) == {snapshot_id}
    again = await host.hypervisor.ensure_running(msgspec.structs.replace(spec, generation=2))
    assert again.running


async def test_a_late_asker_restores_nothing_of_a_later_generation(host: Host) -> None:
    spec, started = await host.running(generation=2)
    snapshot_id = new_snapshot()
    await host.hypervisor.ensure_snapshot(spec.vps_id, snapshot_id)
    await host.hypervisor.ensure_restored(spec.vps_id, snapshot_id, generation=1)
    seen = await host.seen(spec.vps_id)
    assert seen is not None
    assert (seen.running, seen.start_id) == (True, started.start_id)


async def test_what_has_no_such_snapshot_is_not_restored(host: Host) -> None:
    spec, _ = await host.running()
    await host.hypervisor.ensure_off(spec.vps_id, grace_s=0)
    with pytest.raises(HypervisorUnavailable):
        await host.hypervisor.ensure_restored(spec.vps_id, new_snapshot(), generation=1)
    assert await host.hypervisor.list_snapshots(spec.vps_id) == frozenset()


async def test_an_absent_guest_has_no_snapshots_and_gets_none(host: Host) -> None:
    snapshot_id = new_snapshot()
    await host.hypervisor.ensure_snapshot_removed(ABSENT, snapshot_id)
    assert await host.hypervisor.list_snapshots(ABSENT) == frozenset()
    with pytest.raises(HypervisorUnavailable):
        await host.hypervisor.ensure_snapshot(ABSENT, snapshot_id)
    with pytest.raises(HypervisorUnavailable):
        await host.hypervisor.ensure_restored(ABSENT, snapshot_id, generation=1)


async def test_what_guests_that_are_on_use_is_measured_and_only_grows(host: Host) -> None:
    spec, _ = await host.running()
    off, _ = await host.running()
    await host.hypervisor.ensure_off(off.vps_id, grace_s=0)
    first = await host.hypervisor.measure()
    host.some_time_passes()
    second = await host.hypervisor.measure()
    before, after = ({one.vps_id: one for one in shown.guests} for shown in (first, second))
    assert first.collected_at < second.collected_at
    assert off.vps_id not in after
    assert after[spec.vps_id].generation == 1
    assert after[spec.vps_id].memory_bytes > 0
    assert before[spec.vps_id].cpu_ns <= after[spec.vps_id].cpu_ns
    assert before[spec.vps_id].disk_read_bytes <= after[spec.vps_id].disk_read_bytes
    assert (await host.of_another_ledger.measure()).guests == ()


async def test_an_observation_is_no_younger_than_it_says(host: Host) -> None:
    spec, _ = await host.running()
    first = await host.hypervisor.observe()
    host.some_time_passes()
    second = await host.hypervisor.observe()
    assert first.collected_at < second.collected_at <= time.time_ns() // 1000
    assert first.boot_id == second.boot_id != ""
    assert spec.vps_id in {guest.vps_id for guest in second.guests}


def new_snapshot() -> SnapshotId:
    return SnapshotId(UUID(str(uuid7())))
