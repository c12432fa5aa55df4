"""The hypervisors that are held to one contract, with what a test does to a guest behind their backs."""

import time
from collections.abc import AsyncIterator, Callable
from uuid import UUID

import libvirt
import msgspec
import pytest
from uuid_utils.compat import uuid7

from adapters.libvirt_host.host import EmbeddedHost
from adapters.simulated.clock import ManualClock
from adapters.simulated.host import SimulatedHost
from adapters.simulated.hypervisor import SimulatedHypervisor
from domain.compute.ports import GuestSeen, GuestSpec, Hypervisor
from domain.ids import HostId, VpsId
from tests.guests import ANOTHER_LEDGER, LEDGER, KeyPair, guest_spec, hypervisor_on, new_key_pair

ABSENT = VpsId(UUID(int=404))


class Host(msgspec.Struct, frozen=True):
    """A hypervisor, and what its guests go through without it."""

    hypervisor: Hypervisor
    of_another_ledger: Hypervisor
    """Drives the same host, for somebody else."""
    keys: KeyPair
    guest_ends_by_itself: Callable[[VpsId], None]
    some_time_passes: Callable[[], None]
    made: list[GuestSpec]

    def spec(self, **changes: object) -> GuestSpec:
        """Return what a new guest is asked for; it is removed after the test."""
        spec = guest_spec(self.keys, self.keys, **changes)
        self.made.append(spec)
        return spec

    async def running(self, **changes: object) -> tuple[GuestSpec, GuestSeen]:
        """Have a new guest run."""
        spec = self.spec(**changes)
        await self.hypervisor.ensure_prepared(spec)
        return spec, await self.hypervisor.ensure_running(spec)

    async def seen(self, vps_id: VpsId) -> GuestSeen | None:
        """Return what the host shows of one guest."""
        observation = await self.hypervisor.observe()
        return next((guest for guest in observation.guests if guest.vps_id == vps_id), None)


@pytest.fixture(params=["simulated", pytest.param("libvirt", marks=pytest.mark.host)])
async def host(request: pytest.FixtureRequest) -> AsyncIterator[Host]:
    """Give a host, and remove afterwards what a test made on it."""
    host = _simulated() if request.param == "simulated" else _libvirt(request)
    yield host
    for spec in host.made:
        await host.hypervisor.ensure_removed(spec.vps_id)
    await host.of_another_ledger.close()


def _simulated() -> Host:
    clock = ManualClock()
    played = SimulatedHost(HostId(UUID(str(uuid7()))), clock)
    return Host(
        hypervisor=SimulatedHypervisor(played, LEDGER),
        of_another_ledger=SimulatedHypervisor(played, ANOTHER_LEDGER),
        keys=new_key_pair(),
        guest_ends_by_itself=played.crash_guest,
        some_time_passes=lambda: clock.advance(1),
        made=[],
    )


def _libvirt(request: pytest.FixtureRequest) -> Host:
    embedded: EmbeddedHost = request.getfixturevalue("libvirt_host")

    def end_guest(vps_id: VpsId) -> None:
        connection = libvirt.open(embedded.uri)
        try:
            connection.lookupByUUIDString(str(vps_id)).destroy()
        finally:
            connection.close()

    return Host(
        hypervisor=request.getfixturevalue("hypervisor"),
        of_another_ledger=hypervisor_on(
            embedded, request.getfixturevalue("guest_image"), accelerated=False, ledger_id=ANOTHER_LEDGER
        ),
        keys=new_key_pair(),
        guest_ends_by_itself=end_guest,
        some_time_passes=lambda: time.sleep(0.3),
        made=[],
    )
