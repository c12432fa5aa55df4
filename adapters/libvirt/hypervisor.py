"""A compute host driven through libvirt: each call leaves a guest as it should be, however often it is made."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence

import libvirt

from adapters.libvirt import domains, snapshots
from adapters.libvirt.connection import HostConnection
from adapters.libvirt.domain_xml import GuestMark, write_domain
from adapters.libvirt.host_files import HostFiles
from adapters.libvirt.measuring import measure_all
from adapters.libvirt.observations import MarkReader, never_started, new_start, see_all, see_one
from domain.compute.metrics import HostMetrics
from domain.compute.ports import (
    Denial,
    GuestNetwork,
    GuestSeen,
    GuestSpec,
    HostObservation,
    HypervisorUnavailable,
)
from domain.ids import HostId, LedgerId, SnapshotId, VpsId
from domain.ports import Clock

POLL_S = 0.1
PRESS_AGAIN_S = 3.0
"""A guest that is still booting does not notice its power button: it is pressed again."""


class LibvirtHypervisor:
    """Implements ``domain.compute.ports.Hypervisor`` for a libvirtd, here or elsewhere.

    ``files``: those of its guests. ``ledger_id``: whose guests it makes, sees and touches; None: only to look, at
    everybody's. ``accelerated``: by KVM; None: if libvirt says that it can. ``revive`` may start libvirtd again, or
    make the way there anew, when it does not answer.
    ``network``: what guests hang on; None: each guest's card ends in its own QEMU, and only SSH gets in. ``ssh_host``:
    where guests' SSH ports are reached.
    """

    def __init__(
        self,
        *,
        host_id: HostId,
        ledger_id: LedgerId | None,
        uri: str,
        files: HostFiles,
        accelerated: bool | None,
        clock: Clock,
        revive: Callable[[], object] | None = None,
        network: GuestNetwork | None = None,
        ssh_host: str = "127.0.0.1",
    ) -> None:
        self.host_id = host_id
        self.ssh_host = ssh_host
        self._network = network
        self._ledger_id = ledger_id
        self._files = files
        self._accelerated = accelerated
        self._clock = clock
        self._connection = HostConnection(uri, revive=revive)
        self._marks = MarkReader(ledger_id)
        self._boot_id = ""
        self._boot_read_of = 0
        """Over which connection, counted from 1, the boot was read: the next may be to another boot."""

    async def ensure_prepared(self, spec: GuestSpec) -> None:
        """Have disk and seed ready; a disk that is there is left alone."""
        await self._connection.call(lambda _: self._files.ensure_guest(spec))

    async def ensure_running(self, spec: GuestSpec) -> GuestSeen:
        """Have the guest started as this generation.

        One that runs as this or a later generation is left alone: the asker may be late. One that runs as an
        earlier generation was given up by the ledger: it is ended, and started anew.
        """
        return await self._connection.call(lambda connection: self._ensure_running(connection, spec))

    async def ensure_rebooted(self, vps_id: VpsId, *, grace_s: float) -> GuestSeen:
        """Have the guest's operating system restarted: asked by ACPI, after ``grace_s`` reset like by its button."""
        before = self._connection.reboots[str(vps_id)]

        def press(connection: libvirt.virConnect) -> None:
            domains.press_restart(connection, vps_id)

        async def rebooted() -> bool:
            return self._connection.reboots[str(vps_id)] > before

        if not await self._press_until(rebooted, press, grace_s):
            await self._connection.call(lambda connection: domains.reset(connection, vps_id))
        return await self._connection.call(lambda connection: self._must_see(connection, vps_id))

    async def ensure_off(self, vps_id: VpsId, *, grace_s: float) -> HostObservation:
        """Have the guest off: asked by ACPI, after ``grace_s`` by force. Tells what was seen before asking."""
        before = await self._observe(lambda connection: self._see_some(connection, vps_id))

        async def off() -> bool:
            return await self._connection.call(lambda connection: domains.is_off(connection, vps_id))

        def press(connection: libvirt.virConnect) -> None:
            domains.press_power_button(connection, vps_id)

        if not await off() and not await self._press_until(off, press, grace_s):
            await self._connection.call(lambda connection: domains.force_off(connection, vps_id))
        if self._network is not None:
            await asyncio.to_thread(self._network.ensure_no_guest, vps_id)
        return before

    async def ensure_removed(self, vps_id: VpsId) -> None:
        """Have nothing left: off, undefined, no file of it."""

        def remove(connection: libvirt.virConnect) -> None:
            domains.force_off(connection, vps_id)
            domains.undefine(connection, vps_id)
            if self._network is not None:
                self._network.ensure_no_guest(vps_id)
            self._files.ensure_no_guest(vps_id)

        await self._connection.call(remove)

    async def ensure_snapshot(self, vps_id: VpsId, snapshot_id: SnapshotId) -> None:
        """Have a snapshot of the guest's disk, which runs or is off."""

        def take(connection: libvirt.virConnect) -> None:
            snapshots.take(_must_be_defined(connection, vps_id), snapshot_id, self._files.disk(vps_id))

        await self._connection.call(take)

    async def ensure_snapshot_removed(self, vps_id: VpsId, snapshot_id: SnapshotId) -> None:
        """Have no such snapshot."""

        def remove(connection: libvirt.virConnect) -> None:
            domain = domains.find(connection, vps_id)
            if domain is not None:
                snapshots.remove(domain, snapshot_id, self._files.disk(vps_id))

        await self._connection.call(remove)

    async def ensure_restored(self, vps_id: VpsId, snapshot_id: SnapshotId, *, generation: int) -> None:
        """Have the guest off and its disk as it was, unless it was started as a later generation."""

        def restore(connection: libvirt.virConnect) -> None:
            domain = _must_be_defined(connection, vps_id)
            mark = self._marks.of_stopped(domain)
            if mark is None or mark.generation > generation:
                return
            domains.force_off(connection, vps_id)
            snapshots.revert(domain, snapshot_id)

        await self._connection.call(restore)

    async def list_snapshots(self, vps_id: VpsId) -> frozenset[SnapshotId]:
        """Return the snapshots of a guest's disk."""

        def look(connection: libvirt.virConnect) -> frozenset[SnapshotId]:
            domain = domains.find(connection, vps_id)
            return frozenset() if domain is None else snapshots.listed(domain)

        return await self._connection.call(look)

    async def ensure_egress(self, spec: GuestSpec) -> None:
        """Have what the guest may reach in force, if it runs as this generation."""

        def change(connection: libvirt.virConnect) -> None:
            domain = domains.find(connection, spec.vps_id)
            mark = self._marks.of_running(domain) if domain is not None and domain.isActive() else None
            if self._network is not None and mark is not None and mark.generation == spec.generation:
                self._network.ensure_guest(spec)

        await self._connection.call(change)

    async def ensure_network(self) -> None:
        """Have what guests share as it should be, and nothing left there of guests that are off."""
        network = self._network
        if network is None:
            return

        def look(connection: libvirt.virConnect) -> None:
            network.ensure_up()
            active = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
            network.ensure_only({VpsId(uuid.UUID(domain.UUIDString())) for domain in active})

        await self._connection.call(look)

    async def take_denials(self) -> Sequence[Denial]:
        """Return what guests were kept from since the last call."""
        return () if self._network is None else await asyncio.to_thread(self._network.take_denials)

    async def observe(self) -> HostObservation:
        """Return what the host shows of all guests that are ours, those without a domain yet included."""
        return await self._observe(self._see_all)

    async def measure(self) -> HostMetrics:
        """Return what all guests of ours that are on have used since their start, by one call."""

        def collect(connection: libvirt.virConnect) -> HostMetrics:
            self._marks.forget_after(self._connection.opened)
            collected_at = self._clock.now()
            return HostMetrics(collected_at=collected_at, guests=tuple(measure_all(connection, self._marks)))

        return await self._connection.call(collect)

    async def bring_image(self, key: str) -> None:
        """Have an image's files there. Raises HypervisorUnavailable, also while they are on their way."""
        await self._connection.call(lambda _: self._files.ensure_image(key))

    async def power(self) -> tuple[int, int]:
        """Return what memory the host's machine has, MiB, and how many processors."""

        def ask(connection: libvirt.virConnect) -> tuple[int, int]:
            _, memory_mb, processors, *_ = connection.getInfo()
            return memory_mb, processors

        return await self._connection.call(ask)

    async def close(self) -> None:
        """Let go of the connection; guests are left as they are."""
        await self._connection.close()

    def _ensure_running(self, connection: libvirt.virConnect, spec: GuestSpec) -> GuestSeen:
        self._look_after_boot()
        domain = domains.find(connection, spec.vps_id)
        if domain is not None and domain.isActive():
            mark = self._marks.of_running(domain)
            if mark is not None and mark.generation >= spec.generation:
                if self._network is not None and mark.generation == spec.generation:
                    self._network.ensure_guest(spec)
                domains.resume(domain)
                domains.grow_disk(domain, spec.disk_gb)
                domains.forget_start(domain)
                return self._must_see(connection, spec.vps_id)
            domains.force_off(connection, spec.vps_id)
        files = self._files.boot_files(spec.vps_id)
        if files is None:
            raise HypervisorUnavailable("the guest has no disk: it was not prepared")
        mark = GuestMark(ledger=str(self._ledger_id or ""), generation=spec.generation, start=new_start())
        # Let in before it is started: from its first packet on, the filter knows it.
        card = None if self._network is None else self._network.ensure_guest(spec)
        xml = write_domain(spec, mark, files, accelerated=self._is_accelerated(connection), card=card)
        domain = connection.defineXML(xml)
        domains.start(domain)
        # While its kernel is still coming up, so that this very boot finds it.
        domains.grow_disk(domain, spec.disk_gb)
        if self._network is not None and card is not None:
            self._network.ensure_isolated(card)
        return self._must_see(connection, spec.vps_id)

    def _is_accelerated(self, connection: libvirt.virConnect) -> bool:
        if self._accelerated is None:
            self._accelerated = domains.has_kvm(connection)
        return self._accelerated

    async def _press_until(
        self, done: Callable[[], Awaitable[bool]], press: Callable[[libvirt.virConnect], None], grace_s: float
    ) -> bool:
        """Press now and again until it is done; return False if it is not after ``grace_s``."""
        began = pressed = time.monotonic()
        if grace_s <= 0:
            return False
        await self._connection.call(press)
        while time.monotonic() < began + grace_s:
            if await done():
                return True
            if time.monotonic() > pressed + PRESS_AGAIN_S:
                pressed = time.monotonic()
                await self._connection.call(press)
            await asyncio.sleep(POLL_S)
        return False

    async def _observe(self, look: Callable[[libvirt.virConnect], tuple[GuestSeen, ...]]) -> HostObservation:
        def collect(connection: libvirt.virConnect) -> HostObservation:
            self._look_after_boot()
            collected_at, boot_id = self._clock.now(), self._boot_id
            return HostObservation(collected_at=collected_at, boot_id=boot_id, guests=look(connection))

        return await self._connection.call(collect)

    def _look_after_boot(self) -> None:
        """Forget what may not hold over a connection that was opened anew, and read which boot it is to."""
        opened = self._connection.opened
        self._marks.forget_after(opened)
        if opened != self._boot_read_of:
            self._boot_id = self._files.boot_id()
            self._boot_read_of = opened

    def _see_all(self, connection: libvirt.virConnect) -> tuple[GuestSeen, ...]:
        seen = {guest.vps_id: guest for guest in see_all(connection, self._marks, self._boot_id)}
        only_files = (vps_id for vps_id in self._files.guests() if vps_id not in seen)
        return (*seen.values(), *map(never_started, only_files))

    def _see_some(self, connection: libvirt.virConnect, vps_id: VpsId) -> tuple[GuestSeen, ...]:
        domain = domains.find(connection, vps_id)
        seen = None if domain is None else see_one(connection, domain, self._marks, self._boot_id)
        return () if seen is None else (seen,)

    def _must_see(self, connection: libvirt.virConnect, vps_id: VpsId) -> GuestSeen:
        seen = self._see_some(connection, vps_id)
        if not seen:
            raise HypervisorUnavailable("the guest went away while it was looked at")
        return seen[0]


def _must_be_defined(connection: libvirt.virConnect, vps_id: VpsId) -> libvirt.virDomain:
    domain = domains.find(connection, vps_id)
    if domain is None:
        raise HypervisorUnavailable("the guest was never started here")
    return domain
