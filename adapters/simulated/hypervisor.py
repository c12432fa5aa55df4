"""The hypervisor port on a played host."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from adapters.simulated.host import SimulatedGuest, SimulatedHost
from domain.compute.metrics import HostMetrics
from domain.compute.ports import Denial, GuestSeen, GuestSpec, HostObservation, HypervisorUnavailable
from domain.ids import LedgerId, SnapshotId, VpsId


class SimulatedHypervisor:
    """One service's connection to a played host; any number may drive the same host.

    Played guests obey at once, so that no grace is ever used up. ``ledger_id``: whose guests it makes and sees.
    """

    def __init__(self, host: SimulatedHost, ledger_id: LedgerId | None = None) -> None:
        self.host_id = host.host_id
        self._ledger_id = ledger_id
        self.ssh_host = host.ssh_host
        self._host = host

    async def ensure_prepared(self, spec: GuestSpec) -> None:
        """Have disk and seed ready."""
        async with self._call("ensure_prepared"):
            if self._host.faults.lies("ensure_prepared"):
                return
            guest = self._host.guests.get(spec.vps_id)
            if guest is None:
                guest = self._host.guests[spec.vps_id] = SimulatedGuest(spec, self._ledger_id)
                self._host.faults.effect()
            if not guest.seeded:
                guest.seeded = True
                self._host.faults.effect()

    async def ensure_running(self, spec: GuestSpec) -> GuestSeen:
        """Have the guest defined and started as this generation."""
        async with self._call("ensure_running"):
            guest = self._host.guests.get(spec.vps_id)
            if guest is None or not guest.seeded:
                raise HypervisorUnavailable("the guest was not prepared")
            if guest.running and guest.generation < spec.generation:
                # The ledger gave that start up; one of a later generation is left alone, for the asker is late.
                guest.turn_off()
                self._host.faults.effect()
            if not guest.running:
                self._start(guest, spec)
            return guest.seen(self._host.clock.now())

    async def ensure_rebooted(self, vps_id: VpsId, *, grace_s: float) -> GuestSeen:  # noqa: ARG002
        """Have the guest's operating system restarted within the same start."""
        async with self._call("ensure_rebooted"):
            guest = self._host.guests.get(vps_id)
            if guest is None or not guest.running:
                raise HypervisorUnavailable("the guest is off")
            now = self._host.clock.now()
            guest.boot(now, self._host.boot_us)
            self._host.faults.effect()
            return guest.seen(now)

    async def ensure_off(self, vps_id: VpsId, *, grace_s: float) -> HostObservation:  # noqa: ARG002
        """Have the guest off; return what was seen of it just before."""
        async with self._call("ensure_off"):
            guest = self._host.guests.get(vps_id)
            before = self._observation([guest] if guest is not None and guest.defined else [])
            if guest is not None and guest.running and not self._host.faults.lies("ensure_off"):
                guest.turn_off()
                self._host.faults.effect()
            return before

    async def ensure_removed(self, vps_id: VpsId) -> None:
        """Have nothing left of the guest."""
        async with self._call("ensure_removed"):
            if self._host.faults.lies("ensure_removed"):
                return
            guest = self._host.guests.get(vps_id)
            if guest is None:
                return
            if guest.running:
                guest.turn_off()
                self._host.faults.effect()
            if guest.defined:
                guest.defined = False
                self._host.faults.effect()
            del self._host.guests[vps_id]
            self._host.faults.effect()

    async def ensure_snapshot(self, vps_id: VpsId, snapshot_id: SnapshotId) -> None:
        """Have a snapshot of the guest's disk; one that is there stays as it is."""
        async with self._call("ensure_snapshot"):
            guest = self._defined(vps_id)
            if snapshot_id not in guest.snapshots:
                guest.snapshots[snapshot_id] = dict(guest.files)
                self._host.faults.effect()

    async def ensure_snapshot_removed(self, vps_id: VpsId, snapshot_id: SnapshotId) -> None:
        """Have no such snapshot."""
        async with self._call("ensure_snapshot_removed"):
            guest = self._host.guests.get(vps_id)
            if guest is not None and guest.snapshots.pop(snapshot_id, None) is not None:
                self._host.faults.effect()

    async def ensure_restored(self, vps_id: VpsId, snapshot_id: SnapshotId, *, generation: int) -> None:
        """Have the guest off and its disk as it was, unless it was started as a later generation."""
        async with self._call("ensure_restored"):
            guest = self._defined(vps_id)
            if guest.generation > generation:
                return
            if guest.running:
                guest.turn_off()
                self._host.faults.effect()
            if snapshot_id not in guest.snapshots:
                raise HypervisorUnavailable("there is no such snapshot")
            guest.files = dict(guest.snapshots[snapshot_id])
            self._host.faults.effect()

    async def list_snapshots(self, vps_id: VpsId) -> frozenset[SnapshotId]:
        """Return the snapshots of a guest's disk."""
        async with self._call("list_snapshots"):
            guest = self._host.guests.get(vps_id)
            return frozenset() if guest is None else frozenset(guest.snapshots)

    async def ensure_egress(self, spec: GuestSpec) -> None:
        """Have what the guest may reach in force while it runs as this generation."""
        async with self._call("ensure_egress"):
            guest = self._host.guests.get(spec.vps_id)
            if guest is not None and guest.running and guest.generation == spec.generation:
                guest.spec = spec
                self._host.faults.effect()

    async def ensure_network(self) -> None:
        """Have what guests share as it should be: played guests share nothing."""

    async def take_denials(self) -> Sequence[Denial]:
        """Return what guests were kept from since the last call."""
        async with self._call("take_denials"):
            told, self._host.denials = self._host.denials, []
            return told

    async def observe(self) -> HostObservation:
        """Return what the host shows of all guests."""
        async with self._call("observe"):
            ours = [guest for guest in self._host.guests.values() if guest.ledger_id == self._ledger_id]
            if self._host.stale is not None:
                return self._host.stale
            seen = self._observation([guest for guest in ours if guest.spec.vps_id not in self._host.hidden])
            self._host.shown_last = seen
            return seen

    async def measure(self) -> HostMetrics:
        """Return what all guests that are on have used; they read and write a little all the time."""
        async with self._call("measure"):
            now = self._host.clock.now()
            ours = [guest for guest in self._host.guests.values() if guest.ledger_id == self._ledger_id]
            shown = tuple(guest.measured(now) for guest in ours if guest.running)
            return HostMetrics(collected_at=now, guests=shown)

    async def close(self) -> None:
        """Nothing is held open; guests are left as they are."""

    def _defined(self, vps_id: VpsId) -> SimulatedGuest:
        guest = self._host.guests.get(vps_id)
        if guest is None or not guest.defined:
            raise HypervisorUnavailable("the guest was never started here")
        return guest

    def _start(self, guest: SimulatedGuest, spec: GuestSpec) -> None:
        ports = {other.spec.ssh_port for other in self._host.guests.values() if other.running}
        if spec.ssh_port in ports:
            raise HypervisorUnavailable(f"port {spec.ssh_port} is in use")
        guest.spec, guest.generation = spec, spec.generation
        if not guest.defined:
            guest.defined = True
            self._host.faults.effect()
        guest.turn_on(self._host.new_start_id(), self._host.clock.now(), self._host.boot_us)
        self._host.faults.effect()

    def _observation(self, guests: list[SimulatedGuest]) -> HostObservation:
        now = self._host.clock.now()
        shown = tuple(guest.seen(now) for guest in guests)
        return HostObservation(collected_at=now, boot_id=self._host.boot_id, guests=shown)

    @asynccontextmanager
    async def _call(self, name: str) -> AsyncIterator[None]:
        await self._host.faults.enter(name)
        yield
        self._host.faults.leave(name)
