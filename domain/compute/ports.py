"""Ports to hosts and guests: a hypervisor that keeps guests as they should be, a shell into one guest."""

from collections.abc import Collection, Sequence
from typing import Literal, Protocol

import msgspec

from domain.compute.egress import NONE, Egress
from domain.compute.metrics import HostMetrics
from domain.ids import HostId, JobId, SnapshotId, VpsId
from domain.time import Instant


class GuestSpec(msgspec.Struct, frozen=True):
    """Everything a host must know to make and start a guest. Sizes in MiB and GiB."""

    vps_id: VpsId
    generation: int
    """Which start of the VPS this is, from 1; kept with the running guest, told by every observation."""
    hostname: str
    vcpu: int
    memory_mb: int
    disk_gb: int
    image: str
    ssh_port: int
    """The port on the host's own address that leads to the guest's SSH."""
    authorized_keys: tuple[str, ...]
    """OpenSSH public keys that may log in as root: the service's own first, then the customer's."""
    host_key_private: str
    """The guest's SSH host key (OpenSSH private key text), made by the service; "" once handed over."""
    user_data: str | None = None
    egress: Egress = NONE
    """What it may reach, where its host lets guests out at all."""
    image_key: str = ""
    """What the files of the image are found by on the host; "": it is the one that the host has built by that name."""


class GuestSeen(msgspec.Struct, frozen=True, array_like=True):
    """One guest as a host shows it."""

    vps_id: VpsId
    generation: int
    """That of its last start; 0 if it was prepared only."""
    start_id: str
    """Names one start of one guest on one boot of the host; a later start never has it again. "" if off."""
    running: bool
    """False also where the host has halted it, such as by a full disk: then it has a start, but serves nobody."""
    cpu_ns: int
    """CPU time used since this start, in nanoseconds: never falls within one start."""


class Denial(msgspec.Struct, frozen=True):
    """What a guest tried to reach and was kept from, since it was last told."""

    vps_id: VpsId
    protocol: Literal["tcp", "udp", "name"]
    target: str
    """An IPv4 address, or a name that was asked for. It is the customer's: it tells what runs in the guest."""
    port: int
    """0 with a name."""
    count: int


class HostObservation(msgspec.Struct, frozen=True):
    """What a host showed at one instant: every guest that it knows, running or not."""

    collected_at: Instant
    """Taken before the host was asked, so that nothing seen is younger than it says."""
    boot_id: str
    guests: tuple[GuestSeen, ...]


class HypervisorUnavailable(Exception):
    """The host did not answer, or could not do it this time: the step is tried again."""


class Hypervisor(Protocol):
    """One compute host. Every call may be repeated, after a crash at any point, and comes to the same."""

    host_id: HostId
    ssh_host: str
    """The address at which the guests' SSH ports are reached."""

    async def ensure_prepared(self, spec: GuestSpec) -> None:
        """Have disk and seed ready. Never touches the disk of a guest that was prepared before."""
        ...

    async def ensure_running(self, spec: GuestSpec) -> GuestSeen:
        """Have the guest defined and started as this generation.

        One that runs as this or a later generation is left alone; one that runs as an earlier one, which the
        ledger has given up, is ended and started anew. Raises HypervisorUnavailable if it was not prepared.
        """
        ...

    async def ensure_rebooted(self, vps_id: VpsId, *, grace_s: float) -> GuestSeen:
        """Have the guest's operating system restarted within the same start; by force after ``grace_s``."""
        ...

    async def ensure_off(self, vps_id: VpsId, *, grace_s: float) -> HostObservation:
        """Have the guest off: asked to shut down, by force after ``grace_s``. Absent counts as off.

        Returns what the host showed of this guest just before it was asked, which proves its last minutes.
        """
        ...

    async def ensure_removed(self, vps_id: VpsId) -> None:
        """Have nothing left of the guest: off, undefined, disk, seed and folder gone. Absent is done."""
        ...

    async def ensure_snapshot(self, vps_id: VpsId, snapshot_id: SnapshotId) -> None:
        """Have a snapshot of the guest's disk, which runs or is off; one that is there stays as it is.

        Of one that runs it is what a power cut would leave. Raises HypervisorUnavailable if it was never started.
        """
        ...

    async def ensure_snapshot_removed(self, vps_id: VpsId, snapshot_id: SnapshotId) -> None:
        """Have no such snapshot, and what only it kept of the disk free. Absent is done, snapshot or guest."""
        ...

    async def ensure_restored(self, vps_id: VpsId, snapshot_id: SnapshotId, *, generation: int) -> None:
        """Have the guest off, at once, and its disk as it was in a snapshot; the snapshot is kept.

        One that was started as a later generation is left alone: the asker is late. Raises HypervisorUnavailable
        if there is no such snapshot.
        """
        ...

    async def list_snapshots(self, vps_id: VpsId) -> frozenset[SnapshotId]:
        """Return the snapshots of a guest's disk; none where there is no such guest."""
        ...

    async def ensure_egress(self, spec: GuestSpec) -> None:
        """Have what the guest may reach in force while it runs; nothing where it is off, or was started again since."""
        ...

    async def ensure_network(self) -> None:
        """Have what guests share of a network as it should be, and nothing left there of guests that are off."""
        ...

    async def take_denials(self) -> Sequence[Denial]:
        """Return what guests were kept from since the last call; what is not recorded then is lost."""
        ...

    async def observe(self) -> HostObservation:
        """Return what the host shows of all guests that are ours."""
        ...

    async def measure(self) -> HostMetrics:
        """Return what all guests of ours that are on have used since their start."""
        ...

    async def close(self) -> None:
        """Let go of the connection; guests are left as they are."""
        ...


class GuestCard(msgspec.Struct, frozen=True):
    """How the network card of a guest hangs on its host's network."""

    bridge: str
    port: str
    """The bridge port: an interface of the host, made when the guest is started."""
    mac: str


class NetworkUnavailable(HypervisorUnavailable):
    """The host's network could not be brought to what it should be: no guest is started on it."""


class GuestNetwork(Protocol):
    """The network of one host's guests. Calls block, and may be repeated after a crash at any point."""

    def ensure_up(self) -> None:
        """Have bridge, filter and services as they should be, with every guest that was let in.

        To be called before any guest starts, and now and again. Raises NetworkUnavailable.
        """
        ...

    def ensure_guest(self, spec: GuestSpec) -> GuestCard:
        """Have the guest's address and policy in force, before it is started or while it runs.

        Whoever had its port before is out. Raises NetworkUnavailable.
        """
        ...

    def ensure_isolated(self, card: GuestCard) -> None:
        """Have a started guest's bridge port kept from all other guests' ports. Raises NetworkUnavailable."""
        ...

    def ensure_no_guest(self, vps_id: VpsId) -> None:
        """Have nothing of the guest left in the network. Absent is done. Raises NetworkUnavailable."""
        ...

    def ensure_only(self, on: Collection[VpsId]) -> None:
        """Have nothing left of guests that are not on, but for those let in a moment ago. Raises NetworkUnavailable."""
        ...

    def take_denials(self) -> Sequence[Denial]:
        """Return what guests were kept from since the last call. Raises NetworkUnavailable."""
        ...


class GuestAddress(msgspec.Struct, frozen=True):
    """How a guest is reached, and how it proves that it is the one."""

    vps_id: VpsId
    ssh_host: str
    ssh_port: int
    host_key_public: str
    """OpenSSH public key text; no other key is accepted."""
    host_id: HostId | None = None
    """The host whose address that is: the way to it may be known to us alone."""


class GuestUnreachable(Exception):
    """The guest does not answer (yet), or the connection was lost."""


class HostKeyChanged(Exception):
    """What answers has another host key than the guest that we made."""


class GuestShell(Protocol):
    """Logins into guests, over connections that are kept and used again."""

    async def login(self, address: GuestAddress) -> None:
        """Try once, quickly, to log in. Raises GuestUnreachable or HostKeyChanged."""
        ...

    async def run(self, address: GuestAddress, job: "JobSpec") -> "JobOutcome":
        """Have the job started in the guest (once, however often this is called) and wait for its end.

        Called again after a crash it picks the same job up. Raises GuestUnreachable, HostKeyChanged.
        """
        ...

    async def cancel(self, address: GuestAddress, job_id: JobId) -> None:
        """Kill all of a job in the guest; done when nothing of it runs."""
        ...

    async def discard(self, address: GuestAddress, job_id: JobId) -> None:
        """Remove what the guest keeps of a job that has ended; called once its outcome is recorded.

        What is not there, or still runs, is left as it is. Raises GuestUnreachable, HostKeyChanged.
        """
        ...

    async def find_user_data(self, address: GuestAddress) -> "UserDataSeen | None":
        """Return how the user data that the guest was given has ended, as it says; None: it has not, or says nothing.

        Raises GuestUnreachable, HostKeyChanged.
        """
        ...

    async def forget(self, vps_id: VpsId) -> None:
        """Close what is kept open to a guest, since it is going away."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class UserDataSeen(msgspec.Struct, frozen=True):
    """How user data has ended, by the word of a guest that may say anything."""

    succeeded: bool
    output: bytes
    """The end of it, bounded."""


class JobSpec(msgspec.Struct, frozen=True):
    """A command to run in a guest. The id names its folder there, so that it is started only once."""

    job_id: JobId
    command: str
    timeout_s: int
    output_limit_bytes: int
    """How much of each stream is brought back; past it, head and tail with the gap marked."""
    cwd: str | None = None
    env: dict[str, str] = {}
    stdin: str | None = None
    user: str | None = None
    age_s: float = 0
    """How long ago it was asked for. A guest that was booted since then never starts it: it may have run before."""


class StreamOutput(msgspec.Struct, frozen=True):
    """One output stream of a job: what was brought back, and the truth about the whole."""

    text: bytes
    """At most the limit; head and tail with the gap marked if ``truncated``."""
    size_bytes: int
    """Of the whole stream, to its end."""
    sha256: str
    """Of the whole stream, lower-case hex."""
    truncated: bool


class JobOutcome(msgspec.Struct, frozen=True):
    """How a job ended. ``timed_out`` is only told once nothing of it runs any more."""

    exit_code: int | None
    """128 + signal number where a signal ended it; None where it is not known."""
    timed_out: bool
    cancelled: bool
    duration_ms: int
    stdout: StreamOutput
    stderr: StreamOutput
    error: str | None = None
    """Why there is no exit code, such as a guest that was lost."""
