"""Guests that behave as their customer wants, on a simulated host that keeps the truth of how long they were on."""

import asyncio

from adapters.simulated.guest_shell import SimulatedGuestShell
from adapters.simulated.host import SimulatedHost
from adapters.simulated.hypervisor import SimulatedHypervisor
from domain.compute.ports import GuestAddress, GuestSeen, GuestSpec, HostObservation
from domain.ids import SnapshotId, VpsId
from domain.ports import Clock
from domain.time import MICROSECONDS_PER_SECOND as SECOND
from domain.time import Instant
from tests.properties.rides import On
from tests.properties.schemes import Image

LOGIN_TAKES_S = 15.0
"""How long a login is tried that a guest takes but does not answer, as a real one (``adapters/ssh/connection.py``)."""


class Truth:
    """Since when and until when each guest was on, in seconds of ``now_s``."""

    def __init__(self, host: SimulatedHost, clock: Clock, image: Image) -> None:
        self.host, self.clock, self.image = host, clock, image
        self.on: dict[VpsId, list[On]] = {}
        self._began = clock.now()

    def now_s(self) -> float:
        return (self.clock.now() - self._began) / SECOND

    def start_on(self, vps_id: VpsId) -> str:
        guest = self.host.guests.get(vps_id)
        return guest.start_id if guest is not None and guest.running and not guest.halted else ""

    def note_on(self, vps_id: VpsId) -> None:
        self.on.setdefault(vps_id, []).append(On(self.now_s()))
        self.boots(vps_id)

    def note_off(self, vps_id: VpsId) -> None:
        for one in self.on.get(vps_id, ()):
            if one.until_s is None:
                one.until_s = self.now_s()

    def boots(self, vps_id: VpsId) -> None:
        """Have its SSH answer as the image has it, from now."""
        guest = self.host.guests[vps_id]
        after_s = self.image.sshd_after_s
        guest.reachable = after_s is not None
        guest.answers_from = Instant(self.clock.now() + round((after_s or 0.0) * SECOND))

    def act(self, act: str, vps_id: VpsId) -> None:
        """Do what root can do in a guest that is on."""
        guest = self.host.guests.get(vps_id)
        if guest is None or not guest.running:
            return
        match act:
            case "power_off":
                self.host.crash_guest(vps_id)
                self.note_off(vps_id)
            case "halt":
                self.host.halt_guest(vps_id)
                self.note_off(vps_id)
            case "reboot":
                self.host.restart_guest(vps_id)
                self.boots(vps_id)
            case "kill_sshd":
                self.host.cut_off(vps_id)
            case "run_sshd":
                self.host.cut_off(vps_id, reachable=True)


class CustomersHypervisor(SimulatedHypervisor):
    """Keeps the truth, and has guests behave as their customer's image does."""

    def __init__(self, truth: Truth) -> None:
        super().__init__(truth.host)
        self._truth = truth

    async def ensure_running(self, spec: GuestSpec) -> GuestSeen:
        before = self._truth.start_on(spec.vps_id)
        seen = await super().ensure_running(spec)
        if self._truth.start_on(spec.vps_id) != before:
            self._truth.note_off(spec.vps_id)
            self._truth.note_on(spec.vps_id)
        return seen

    async def ensure_rebooted(self, vps_id: VpsId, *, grace_s: float) -> GuestSeen:
        seen = await super().ensure_rebooted(vps_id, grace_s=grace_s)
        self._truth.boots(vps_id)
        return seen

    async def ensure_off(self, vps_id: VpsId, *, grace_s: float) -> HostObservation:
        if grace_s and self._truth.start_on(vps_id) and self._truth.image.ignores_shutdown:
            await asyncio.sleep(grace_s)
        try:
            return await super().ensure_off(vps_id, grace_s=grace_s)
        finally:
            self._truth.note_off(vps_id)

    async def ensure_restored(self, vps_id: VpsId, snapshot_id: SnapshotId, *, generation: int) -> None:
        try:
            await super().ensure_restored(vps_id, snapshot_id, generation=generation)
        finally:
            if not self._truth.start_on(vps_id):
                self._truth.note_off(vps_id)

    async def ensure_removed(self, vps_id: VpsId) -> None:
        try:
            await super().ensure_removed(vps_id)
        finally:
            self._truth.note_off(vps_id)


class CustomersShell(SimulatedGuestShell):
    """A login waits a while for a guest that does not answer yet."""

    def __init__(self, truth: Truth, client_key_public: str) -> None:
        super().__init__([truth.host], client_key_public=client_key_public)
        self._truth = truth

    async def login(self, address: GuestAddress) -> None:
        guest = self._truth.host.guests.get(address.vps_id)
        wait_us = LOGIN_TAKES_S * SECOND
        if guest is not None and guest.reachable and guest.running:
            wait_us = min(wait_us, max(0, guest.answers_from - self._truth.clock.now()))
        if guest is None or not guest.answers(self._truth.clock.now()):
            await asyncio.sleep(wait_us / SECOND)
        await super().login(address)
