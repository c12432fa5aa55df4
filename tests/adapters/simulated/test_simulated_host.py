"""What a played host does beyond the contract: time, boots, faults on demand."""

import asyncio
from uuid import UUID, uuid4

import pytest

from adapters.simulated.clock import ManualClock
from adapters.simulated.faults import SimulatedCrash
from adapters.simulated.guest_shell import SimulatedGuestShell
from adapters.simulated.host import SimulatedHost
from adapters.simulated.hypervisor import SimulatedHypervisor
from domain.compute.ports import (
    GuestAddress,
    GuestSpec,
    GuestUnreachable,
    HostKeyChanged,
    HypervisorUnavailable,
    JobSpec,
)
from domain.ids import HostId, JobId, VpsId

pytestmark = pytest.mark.anyio

VPS = VpsId(UUID(int=1))
SPEC = GuestSpec(
    vps_id=VPS,
    generation=1,
    hostname="web-01",
    vcpu=1,
    memory_mb=128,
    disk_gb=1,
    image="lite",
    ssh_port=2201,
    authorized_keys=("ssh-ed25519 OURS service",),
    host_key_private="its-key",
)
ADDRESS = GuestAddress(vps_id=VPS, ssh_host="127.0.0.1", ssh_port=2201, host_key_public="its-key")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def host(clock: ManualClock) -> SimulatedHost:
    return SimulatedHost(HostId(UUID(int=9)), clock, boot_s=5)


@pytest.fixture
def hypervisor(host: SimulatedHost) -> SimulatedHypervisor:
    return SimulatedHypervisor(host)


async def _create(hypervisor: SimulatedHypervisor) -> None:
    await hypervisor.ensure_prepared(SPEC)
    await hypervisor.ensure_running(SPEC)


async def test_a_guest_answers_only_once_it_has_booted(
    host: SimulatedHost, hypervisor: SimulatedHypervisor, clock: ManualClock
) -> None:
    await hypervisor.ensure_prepared(SPEC)
    await hypervisor.ensure_running(SPEC)
    shell = SimulatedGuestShell([host])
    with pytest.raises(GuestUnreachable):
        await shell.login(ADDRESS)
    clock.advance(5)
    await shell.login(ADDRESS)


async def test_cpu_time_advances_with_the_clock_and_never_falls_within_a_start(
    hypervisor: SimulatedHypervisor, clock: ManualClock
) -> None:
    await hypervisor.ensure_prepared(SPEC)
    first = await hypervisor.ensure_running(SPEC)
    clock.advance(60)
    later = (await hypervisor.observe()).guests[0]
    clock.advance(-30)
    stepped_back = (await hypervisor.observe()).guests[0]
    assert first.cpu_ns == 0
    assert later.cpu_ns == stepped_back.cpu_ns == 3_000_000_000
    assert later.start_id == stepped_back.start_id


async def test_a_host_reboot_ends_every_guest_and_a_new_start_has_a_new_name(
    host: SimulatedHost, hypervisor: SimulatedHypervisor
) -> None:
    await hypervisor.ensure_prepared(SPEC)
    before = await hypervisor.ensure_running(SPEC)
    host.reboot()
    (off,) = (await hypervisor.observe()).guests
    after = await hypervisor.ensure_running(SPEC)
    assert not off.running
    assert after.start_id not in ("", before.start_id)


async def test_a_call_can_fail_before_or_after_its_effect(host: SimulatedHost, hypervisor: SimulatedHypervisor) -> None:
    await hypervisor.ensure_prepared(SPEC)
    host.faults.fail_next("ensure_running")
    with pytest.raises(HypervisorUnavailable):
        await hypervisor.ensure_running(SPEC)
    assert not host.guests[VPS].running
    host.faults.fail_next("ensure_running", after_effect=True)
    with pytest.raises(HypervisorUnavailable):
        await hypervisor.ensure_running(SPEC)
    assert host.guests[VPS].running
    await hypervisor.ensure_running(SPEC)


@pytest.mark.parametrize("effects", [1, 2, 3, 4])
async def test_a_service_that_dies_after_any_effect_leaves_what_the_next_one_can_finish(
    host: SimulatedHost, hypervisor: SimulatedHypervisor, effects: int
) -> None:
    host.faults.crash_after(effects)
    with pytest.raises(SimulatedCrash):
        await _create(hypervisor)
    next_service = SimulatedHypervisor(host)
    await next_service.ensure_prepared(SPEC)
    assert (await next_service.ensure_running(SPEC)).running
    assert len((await next_service.observe()).guests) == 1


async def test_an_unreachable_host_does_nothing(host: SimulatedHost, hypervisor: SimulatedHypervisor) -> None:
    host.faults.unreachable = True
    with pytest.raises(HypervisorUnavailable):
        await hypervisor.observe()


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_chosen_call_fails_and_no_other(
    host: SimulatedHost, hypervisor: SimulatedHypervisor, number: int
) -> None:
    host.faults.fail_call(number)
    failed = []
    for made, call in enumerate((_create, _create), 1):
        try:
            await call(hypervisor)
        except HypervisorUnavailable:
            failed.append(made)
    assert len(failed) == 1
    assert (await hypervisor.observe()).guests


async def test_a_slow_host_answers_late_and_one_that_hangs_not_at_all(
    host: SimulatedHost, hypervisor: SimulatedHypervisor
) -> None:
    host.faults.slow_down("observe")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await hypervisor.observe()
    host.faults.slow_down("observe", 0)
    await hypervisor.observe()


async def test_a_lying_host_says_done_and_has_done_nothing(
    host: SimulatedHost, hypervisor: SimulatedHypervisor
) -> None:
    host.faults.lie_next("ensure_prepared")
    await hypervisor.ensure_prepared(SPEC)
    assert not host.guests
    await _create(hypervisor)
    host.faults.lie_next("ensure_off")
    await hypervisor.ensure_off(VPS, grace_s=0)
    assert host.guests[VPS].running
    host.faults.lie_next("ensure_removed")
    await hypervisor.ensure_removed(VPS)
    assert VPS in host.guests


async def test_a_lying_host_hides_guests_or_shows_what_was(
    host: SimulatedHost, hypervisor: SimulatedHypervisor, clock: ManualClock
) -> None:
    await _create(hypervisor)
    host.hidden = {VPS}
    assert (await hypervisor.observe()).guests == ()
    host.hidden = set()
    before = await hypervisor.observe()
    host.freeze_view()
    clock.advance(60)
    host.lose_guest(VPS)
    assert await hypervisor.observe() == before
    host.unfreeze_view()
    assert (await hypervisor.observe()).guests == ()


async def test_an_orphan_is_shown_beside_the_guests_that_were_asked_for(
    host: SimulatedHost, hypervisor: SimulatedHypervisor
) -> None:
    host.add_orphan(SPEC)
    assert [guest.vps_id for guest in (await hypervisor.observe()).guests] == [VPS]


async def test_a_key_that_the_guest_does_not_hold_is_not_let_in(
    host: SimulatedHost, hypervisor: SimulatedHypervisor, clock: ManualClock
) -> None:
    await hypervisor.ensure_prepared(SPEC)
    await hypervisor.ensure_running(SPEC)
    clock.advance(5)
    await SimulatedGuestShell([host], client_key_public="ssh-ed25519 OURS").login(ADDRESS)
    with pytest.raises(GuestUnreachable):
        await SimulatedGuestShell([host], client_key_public="ssh-ed25519 OTHER").login(ADDRESS)
    host.change_host_key(VPS, "another")
    with pytest.raises(HostKeyChanged):
        await SimulatedGuestShell([host]).login(ADDRESS)


async def test_a_job_in_a_guest_that_restarts_is_lost_and_not_run_again(
    host: SimulatedHost, hypervisor: SimulatedHypervisor, clock: ManualClock
) -> None:
    await hypervisor.ensure_prepared(SPEC)
    await hypervisor.ensure_running(SPEC)
    clock.advance(5)
    shell = SimulatedGuestShell([host])
    job = JobSpec(job_id=JobId(uuid4()), command="echo a >> /f; cat /f", timeout_s=30, output_limit_bytes=1000)
    assert (await shell.run(ADDRESS, job)).stdout.text == b"a\n"
    host.restart_guest(VPS)
    clock.advance(5)
    lost = await shell.run(ADDRESS, job)
    assert lost.exit_code is None
    assert lost.error
    assert host.guests[VPS].files["/f"] == b"a\n"
