"""A played compute host, with its boots, its guests and their disks, which outlives every service that drives it."""

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from adapters.simulated.faults import Faults
from adapters.simulated.jobs import PlayedJob
from domain.compute.metrics import GuestMetrics
from domain.compute.ports import Denial, GuestSeen, GuestSpec, HostObservation, UserDataSeen
from domain.ids import HostId, JobId, LedgerId, SnapshotId, VpsId
from domain.ports import Clock
from domain.time import Instant, seconds

CPU_NS_PER_MICROSECOND = 50
"""An idle guest uses a twentieth of one core."""


class SimulatedGuest:
    """One guest: what is on its disk stays, what runs in it ends with each boot."""

    def __init__(self, spec: GuestSpec, ledger_id: LedgerId | None = None) -> None:
        self.spec = spec
        self.prepared_as = spec
        """What disk and seed were made by; ``spec`` is that of its last start."""
        self.ledger_id = ledger_id
        self.host_key_public = public_half(spec.host_key_private)
        self.seeded = False
        self.defined = False
        self.running = False
        self.halted = False
        self.generation = spec.generation
        self.start_id = ""
        self.started_at = Instant(0)
        self.answers_from = Instant(0)
        """When its SSH answers after the last boot."""
        self.boots = 0
        self.reachable = True
        self.files: dict[str, bytes] = {}
        self.snapshots: dict[SnapshotId, dict[str, bytes]] = {}
        """What its disk held when each was taken."""
        self.jobs: dict[JobId, PlayedJob] = {}
        self.cancelled_ahead: set[JobId] = set()
        self.user_data_seen: UserDataSeen | None = UserDataSeen(succeeded=True, output=b"")
        """What it says of its user data; None: that it has not ended."""
        self._cpu_ns = 0

    def seen(self, now: Instant) -> GuestSeen:
        """Return what the host shows of this guest."""
        return GuestSeen(
            vps_id=self.spec.vps_id,
            generation=self.generation if self.defined else 0,
            start_id=self.start_id if self.running else "",
            running=self.running and not self.halted,
            cpu_ns=self._cpu_ns_at(now) if self.running else 0,
        )

    def measured(self, now: Instant) -> GuestMetrics:
        """Return what the host measured of this guest since its start."""
        lasted = max(0, now - self.started_at)
        return GuestMetrics(
            vps_id=self.spec.vps_id,
            generation=self.generation,
            cpu_ns=self._cpu_ns_at(now),
            memory_bytes=self.spec.memory_mb * 1024 * 1024,
            disk_read_bytes=lasted // 1000,
            disk_written_bytes=lasted // 500,
            network_received_bytes=None,
            network_sent_bytes=None,
        )

    def turn_on(self, start_id: str, now: Instant, boot_us: int) -> None:
        """Start it: a new start, with CPU time counted from 0."""
        self.running, self.start_id, self.started_at = True, start_id, now
        self._cpu_ns = 0
        self.boot(now, boot_us)

    def boot(self, now: Instant, boot_us: int) -> None:
        """Start its operating system, which answers only after a while."""
        self.boots += 1
        self.answers_from = Instant(now + boot_us)

    def turn_off(self) -> None:
        """Have nothing of it run."""
        self.running = self.halted = False

    def answers(self, now: Instant) -> bool:
        """Return whether its SSH answers."""
        return self.running and not self.halted and self.reachable and now >= self.answers_from

    def _cpu_ns_at(self, now: Instant) -> int:
        # Never lower than shown before, even if the clock steps back.
        self._cpu_ns = max(self._cpu_ns, (now - self.started_at) * CPU_NS_PER_MICROSECOND)
        return self._cpu_ns


class SimulatedHost:
    """The machine itself. Keep one for the length of a test and give it to each service that is started.

    ``faults`` makes calls fail; the methods below are what happens to a host without the service.
    """

    def __init__(self, host_id: HostId, clock: Clock, *, ssh_host: str = "127.0.0.1", boot_s: float = 0) -> None:
        self.host_id = host_id
        self.ssh_host = ssh_host
        self.clock = clock
        self.boot_us = seconds(boot_s)
        self.guests: dict[VpsId, SimulatedGuest] = {}
        self.faults = Faults()
        self.hidden: set[VpsId] = set()
        """Guests that are there and are not shown."""
        self.stale: HostObservation | None = None
        """What is shown instead of what is so."""
        self.shown_last: HostObservation | None = None
        self.denials: list[Denial] = []
        """What guests were kept from, and nobody was told yet."""
        self._boots = 1
        self._starts = 0

    @property
    def boot_id(self) -> str:
        """The name of the host's present boot."""
        return f"boot-{self._boots}"

    def new_start_id(self) -> str:
        """Return a name that no start had before."""
        self._starts += 1
        return f"{self.boot_id}/{self._starts}"

    def reboot(self) -> None:
        """The host restarts: all guests are off, their disks are kept."""
        self._boots += 1
        for guest in self.guests.values():
            guest.turn_off()

    def lose_guest(self, vps_id: VpsId) -> None:
        """A guest vanishes with its disk, as by hands that delete what they should not."""
        del self.guests[vps_id]

    def freeze_view(self) -> None:
        """The host lies from now on: it shows again and again what it showed last."""
        self.stale = self.shown_last

    def unfreeze_view(self) -> None:
        """The host shows again what is so."""
        self.stale = None

    def crash_guest(self, vps_id: VpsId) -> None:
        """A guest ends by itself, as by a panic or its own ``poweroff``."""
        self.guests[vps_id].turn_off()

    def halt_guest(self, vps_id: VpsId) -> None:
        """The host halts a guest, as by a full disk: it is there, but nothing of it runs."""
        self.guests[vps_id].halted = True

    def restart_guest(self, vps_id: VpsId) -> None:
        """A guest restarts its operating system by itself, within the same start."""
        self.guests[vps_id].boot(self.clock.now(), self.boot_us)

    def cut_off(self, vps_id: VpsId, *, reachable: bool = False) -> None:
        """A guest runs but its SSH does not answer, or answers again."""
        self.guests[vps_id].reachable = reachable

    def change_host_key(self, vps_id: VpsId, public: str) -> None:
        """A guest answers with another host key from now on."""
        self.guests[vps_id].host_key_public = public

    def add_orphan(self, spec: GuestSpec, ledger_id: LedgerId | None = None) -> None:
        """A guest runs that the ledger knows nothing of."""
        guest = self.guests[spec.vps_id] = SimulatedGuest(spec, ledger_id)
        guest.seeded = guest.defined = True
        guest.turn_on(self.new_start_id(), self.clock.now(), self.boot_us)


def public_half(private: str) -> str:
    """Return the public key of an OpenSSH private key; any other text stands for itself."""
    try:
        key = load_ssh_private_key(private.encode(), password=None)
    except ValueError:
        return private
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
