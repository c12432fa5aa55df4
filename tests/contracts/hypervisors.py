"""The hypervisors that are held to one contract, with what a test does to a guest behind their backs."""

import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from uuid import UUID

import libvirt
import msgspec
import pytest
from uuid_utils.compat import uuid7

from adapters.guest_image.builder import GuestImage
from adapters.libvirt.hypervisor import LibvirtHypervisor
from adapters.libvirt.remote_files import RemoteHostFiles
from adapters.libvirt_host.host import EmbeddedHost
from adapters.simulated.clock import ManualClock
from adapters.simulated.host import SimulatedHost
from adapters.simulated.hypervisor import SimulatedHypervisor
from adapters.ssh.machine import MachineLogin, SshMachine
from domain.compute.ports import GuestSeen, GuestSpec, Hypervisor
from domain.ids import HostId, LedgerId, VpsId
from tests.guests import ANOTHER_LEDGER, LEDGER, KeyPair, SystemClock, guest_spec, hypervisor_on, new_key_pair
from tests.ssh_machines import running_ssh_server

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


@pytest.fixture
async def host_elsewhere(request: pytest.FixtureRequest) -> AsyncIterator[Host]:
    """Give a host that is elsewhere, and remove afterwards what a test made on it."""
    async with _elsewhere(request) as host:
        yield host
        for spec in host.made:
            await host.hypervisor.ensure_removed(spec.vps_id)


@pytest.fixture(scope="session")
def folder_elsewhere() -> Iterator[Path]:
    """Give the folder of a host elsewhere, that QEMU's user may pass through; images that were brought stay in it."""
    folder = Path(tempfile.mkdtemp(prefix="litevps-elsewhere-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@asynccontextmanager
async def _elsewhere(request: pytest.FixtureRequest) -> AsyncIterator[Host]:
    """Give the same libvirt as seen from another machine: nothing of it is reached but by SSH."""
    image: GuestImage = request.getfixturevalue("guest_image")
    embedded: EmbeddedHost = request.getfixturevalue("libvirt_host")
    folder: Path = request.getfixturevalue("folder_elsewhere")
    here = _libvirt(request)
    with running_ssh_server() as server:
        login = MachineLogin("127.0.0.1", server.port, "root", server.client.private, server.known_hosts)
        machines = [SshMachine(login), SshMachine(login)]

        def driven(machine: SshMachine, ledger_id: LedgerId) -> LibvirtHypervisor:
            way = folder / f"{ledger_id.int}.sock"
            return LibvirtHypervisor(
                host_id=HostId(UUID(str(uuid7()))),
                ledger_id=ledger_id,
                uri=f"qemu:///system?socket={way}",
                files=RemoteHostFiles(
                    machine, PurePosixPath(folder), image.folder.parent, {image.name: image.key}, ledger_id
                ),
                accelerated=None,
                clock=SystemClock(),
                revive=lambda: machine.lead_socket(way, str(embedded.socket)),
            )

        ours, others = driven(machines[0], LEDGER), driven(machines[1], ANOTHER_LEDGER)
        yield Host(
            hypervisor=ours,
            of_another_ledger=others,
            keys=new_key_pair(),
            guest_ends_by_itself=here.guest_ends_by_itself,
            some_time_passes=here.some_time_passes,
            made=[],
        )
        for hypervisor, machine in zip((ours, others), machines, strict=True):
            await hypervisor.close()
            await machine.close()
