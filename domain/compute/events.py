"""What is recorded of a VPS and of the host that it is on."""

from typing import Literal
from uuid import UUID

from domain.blobs import Blob
from domain.compute.ports import GuestSeen
from domain.events import Event, Personal
from domain.ids import AccountId, HostId, PlanId, SnapshotId, SshKeyId, TokenId, VpsId
from domain.time import Instant

StopReason = Literal["requested", "unpaid", "limit", "frozen", "expired"]
OffReason = Literal["requested", "unpaid", "limit", "frozen", "expired", "guest", "lost", "failed"]
"""``guest``: it went off by itself; ``lost``: it is not the start that we made; ``failed``: after an error."""

DeleteReason = Literal["requested", "ttl", "closed"]
"""``ttl``: its time was over; ``closed``: the account was closed."""


class VpsRequested(Event, frozen=True, tag="compute.vps-requested.v2"):
    """A VPS was asked for and admitted; it is made as generation 1."""

    vps_id: VpsId
    account_id: AccountId
    name: Personal
    plan_id: PlanId
    vcpu: int
    memory_mb: int
    disk_gb: int
    image: str
    ssh_key_ids: tuple[SshKeyId, ...]
    authorized_keys: Personal
    """The customer's OpenSSH public keys, one a line."""
    user_data: Personal | Blob | None
    labels: Personal | None
    """JSON object of strings."""
    token_id: TokenId | None
    created_at: Instant


class VpsPlaced(Event, frozen=True, tag="compute.vps-placed.v1"):
    """The VPS has its place: a host, and a port there that leads to its SSH for as long as it is on."""

    host_id: HostId
    ssh_host: str
    ssh_port: int
    at: Instant


class VpsPrepared(Event, frozen=True, tag="compute.vps-prepared.v1"):
    """Disk and seed are on the host, and the guest's SSH host key is known."""

    host_key_public: str
    at: Instant


class VpsLaunched(Event, frozen=True, tag="compute.vps-launched.v1"):
    """The host has started the guest; nobody has logged in yet."""

    generation: int
    start_id: str
    at: Instant


class VpsRunning(Event, frozen=True, tag="compute.vps-running.v1"):
    """The service has logged in: from ``at`` on the VPS runs."""

    generation: int
    start_id: str
    cpu_ns: int
    at: Instant


class VpsStopRequested(Event, frozen=True, tag="compute.vps-stop-requested.v1"):
    """The VPS is to be off."""

    reason: StopReason
    generation: int
    at: Instant


class VpsStopped(Event, frozen=True, tag="compute.vps-stopped.v1"):
    """The host shows the VPS off, since ``off_at`` at the latest."""

    reason: OffReason
    generation: int
    off_at: Instant


class VpsStartRequested(Event, frozen=True, tag="compute.vps-start-requested.v1"):
    """The VPS was admitted again and is to be on, as this generation."""

    generation: int
    at: Instant


class VpsRestartRequested(Event, frozen=True, tag="compute.vps-restart-requested.v1"):
    """The guest's operating system is to start anew; the VPS goes on running."""

    generation: int
    at: Instant


class VpsRestarted(Event, frozen=True, tag="compute.vps-restarted.v1"):
    """The service has logged in again after a restart."""

    generation: int
    at: Instant


class VpsFailed(Event, frozen=True, tag="compute.vps-failed.v1"):
    """A step could not be done within its deadline, or never can be; the VPS is off or is put off."""

    generation: int
    step: str
    error: str
    at: Instant


class VpsHostLost(Event, frozen=True, tag="compute.vps-host-lost.v1"):
    """The host of the VPS has given no answer since ``since``, and nobody knows whether the VPS runs.

    It is charged for what is proven once the host is back, and for nothing else.
    """

    host_id: HostId
    since: Instant
    at: Instant


class VpsHostFound(Event, frozen=True, tag="compute.vps-host-found.v1"):
    """The host of the VPS answers again; how the VPS fared is recorded beside it where it does not run any more."""

    host_id: HostId
    at: Instant


class VpsRenamed(Event, frozen=True, tag="compute.vps-renamed.v1"):
    """The VPS has another name; its guest is told so at the next start."""

    name: Personal
    at: Instant


class VpsLabelled(Event, frozen=True, tag="compute.vps-labelled.v1"):
    """The VPS has these labels, and no others."""

    labels: Personal | None
    """JSON object of strings; None: it has none."""
    at: Instant


class VpsEgressSet(Event, frozen=True, tag="compute.vps-egress-set.v1"):
    """The guest may reach what this policy says, from its next packet on; until the first one, the internet."""

    egress: Personal
    """JSON: the mode, and the names and networks of a list."""
    at: Instant


class VpsEgressApplied(Event, frozen=True, tag="compute.vps-egress-applied.v1"):
    """The host has a policy in force for a guest that was on when it was set."""

    generation: int
    revision: int
    """The how-manieth policy of the VPS it is."""
    at: Instant


class VpsResized(Event, frozen=True, tag="compute.vps-resized.v1"):
    """The VPS, which is off, has the sizes of another plan from its next start on; its disk only ever grows."""

    plan_id: PlanId
    vcpu: int
    memory_mb: int
    disk_gb: int
    at: Instant


class VpsExpirySet(Event, frozen=True, tag="compute.vps-expiry-set.v1"):
    """The VPS is deleted at ``expires_at``, instead of when it was to be before; None: not by itself."""

    expires_at: Instant | None
    at: Instant


class VpsExpiryWarned(Event, frozen=True, tag="compute.vps-expiry-warned.v1"):
    """Whoever follows the VPS is told that it is deleted at ``expires_at``, unless its owner sets another time."""

    expires_at: Instant
    at: Instant


class VpsEgressDenied(Event, frozen=True, tag="compute.vps-egress-denied.v1"):
    """The guest was kept from reaching something, so many times since this was last recorded of it."""

    count: int
    targets: Personal
    """JSON list of objects with ``protocol``, ``target``, ``port``, ``count``: of those tried most."""
    at: Instant


class VpsDeleteRequested(Event, frozen=True, tag="compute.vps-delete-requested.v2"):
    """The VPS is gone for its owner; what is left of it on the host is removed.

    The first version did not tell why; what it leaves open was asked for by its owner, or by closing the account.
    """

    generation: int
    at: Instant
    reason: DeleteReason = "requested"


class VpsTemplateUsed(Event, frozen=True, tag="compute.vps-template-used.v1"):
    """The VPS is made from a template; recorded with the request."""

    template: Personal
    """Its name."""
    at: Instant


class VpsUserDataEnded(Event, frozen=True, tag="compute.vps-user-data-ended.v1"):
    """The guest told how the user data that it was given has ended: its word alone, which changes nothing else."""

    outcome: Literal["done", "failed"]
    output: Personal
    """Its last lines."""
    at: Instant


class VpsDeleted(Event, frozen=True, tag="compute.vps-deleted.v1"):
    """Nothing is left of the VPS on its host."""

    off_at: Instant


class SnapshotRequested(Event, frozen=True, tag="compute.snapshot-requested.v1"):
    """The disk of the VPS is to be kept as it is now, under a name."""

    snapshot_id: SnapshotId
    name: Personal
    disk_gb: int
    """What it may keep of the host's disk, GiB: as much as the disk is large."""
    at: Instant


class SnapshotTaken(Event, frozen=True, tag="compute.snapshot-taken.v1"):
    """The host keeps the disk as it was between the request and ``at``."""

    snapshot_id: SnapshotId
    at: Instant


class SnapshotFailed(Event, frozen=True, tag="compute.snapshot-failed.v1"):
    """A snapshot could not be taken, or not be removed, in time: of it there may be something on the host."""

    snapshot_id: SnapshotId
    step: str
    error: str
    at: Instant


class SnapshotDeleteRequested(Event, frozen=True, tag="compute.snapshot-delete-requested.v1"):
    """A snapshot is gone for its owner; what is left of it on the host is removed."""

    snapshot_id: SnapshotId
    at: Instant


class SnapshotDeleted(Event, frozen=True, tag="compute.snapshot-deleted.v1"):
    """Nothing is left of a snapshot on its host."""

    snapshot_id: SnapshotId
    at: Instant


class SnapshotRestoreRequested(Event, frozen=True, tag="compute.snapshot-restore-requested.v1"):
    """The disk of the VPS is to be as it was; a VPS that is on goes off for it, and is started again."""

    snapshot_id: SnapshotId
    generation: int
    at: Instant


class SnapshotRestored(Event, frozen=True, tag="compute.snapshot-restored.v1"):
    """The disk is as it was in the snapshot, and the guest is off, since ``at`` at the latest."""

    snapshot_id: SnapshotId
    generation: int
    at: Instant


SnapshotEvent = (
    SnapshotRequested
    | SnapshotTaken
    | SnapshotFailed
    | SnapshotDeleteRequested
    | SnapshotDeleted
    | SnapshotRestoreRequested
    | SnapshotRestored
)
"""What is recorded of the snapshots of a VPS, in its stream."""

VpsEvent = (
    VpsPlaced
    | VpsPrepared
    | VpsLaunched
    | VpsRunning
    | VpsStopRequested
    | VpsStopped
    | VpsStartRequested
    | VpsRestartRequested
    | VpsRestarted
    | VpsFailed
    | VpsHostLost
    | VpsHostFound
    | VpsRenamed
    | VpsLabelled
    | VpsResized
    | VpsExpirySet
    | VpsExpiryWarned
    | VpsEgressSet
    | VpsEgressApplied
    | VpsEgressDenied
    | VpsDeleteRequested
    | VpsDeleted
    | VpsTemplateUsed
    | VpsUserDataEnded
    | SnapshotEvent
)
"""Everything that can follow in the stream of a VPS after it was requested."""

OwnersChange = (
    VpsStartRequested
    | VpsRenamed
    | VpsLabelled
    | VpsResized
    | VpsEgressSet
    | VpsExpirySet
    | SnapshotRequested
    | SnapshotRestoreRequested
)
"""What an owner can have recorded at once, at no cost, and as often as it is asked for; see ``change_limit.py``."""

OF_VPS = ("compute.vps-", "compute.snapshot-")
"""What the stored names begin with of all that is recorded in the stream of a VPS."""


class HostRegistered(Event, frozen=True, tag="compute.host-registered.v2"):
    """A host can take VPSs."""

    host_id: HostId
    name: str
    ssh_host: str
    port_from: int
    port_to: int
    """The last port that may lead to a guest's SSH."""
    memory_mb: int | None
    """What all its guests that are on may have together; None: as much as they like."""
    vcpu: int | None = None
    """How many processors it has; None: as many as anybody likes. Left open by v1."""
    disk_gb: int | None = None
    """How much disk, GiB, it has for VPSs; None: as much as anybody likes. Left open by v1."""


class HostJoined(Event, frozen=True, tag="compute.host-joined.v1"):
    """A host is one of those that VPSs can be placed on."""

    host_id: HostId


class HostOvercommitSet(Event, frozen=True, tag="compute.host-overcommit-set.v1"):
    """How far beyond what a host has may be promised, in percent of it; None: as the settings say for all hosts."""

    host_id: HostId
    cpu_percent: int | None
    disk_percent: int | None


class HostLabelled(Event, frozen=True, tag="compute.host-labelled.v1"):
    """An operator named what a host is, or which plans it is for; these labels stand instead of the ones before.

    Operators' words about a machine, nothing of a person.
    """

    host_id: HostId
    labels: dict[str, str]


class HostDrained(Event, frozen=True, tag="compute.host-drained.v1"):
    """No new VPS is placed on the host. Recorded among its reservations, so that none slips in beside it."""

    host_id: HostId
    at: Instant


class HostUndrained(Event, frozen=True, tag="compute.host-undrained.v1"):
    """New VPSs are placed on the host again."""

    host_id: HostId
    at: Instant


class CapacityReserved(Event, frozen=True, tag="compute.capacity-reserved.v1"):
    """A VPS holds so much of its host, instead of what it held before.

    Sizes in MiB and GiB. ``ssh_port`` None, and no processors and no memory: it is off, and holds its disk only.
    """

    host_id: HostId
    vps_id: VpsId
    generation: int
    vcpu: int
    memory_mb: int
    disk_gb: int
    ssh_port: int | None


class CapacityReleased(Event, frozen=True, tag="compute.capacity-released.v1"):
    """The host has shown a guest off: memory, processors and port are free; if ``removed``, the disk is as well."""

    host_id: HostId
    vps_id: VpsId
    generation: int
    removed: bool


class HostObserved(Event, frozen=True, tag="compute.host-observed.v1"):
    """What a host showed: proof of the minutes of every guest in it."""

    host_id: HostId
    boot_id: str
    collected_at: Instant
    guests: tuple[GuestSeen, ...]


class HostLost(Event, frozen=True, tag="compute.host-lost.v1"):
    """A host has not answered for so long that it is taken to be gone; ``since``: since when it gives none."""

    host_id: HostId
    since: Instant
    at: Instant


class HostReturned(Event, frozen=True, tag="compute.host-returned.v1"):
    """A host that was taken to be gone answers again."""

    host_id: HostId
    boot_id: str
    at: Instant


class HostRebooted(Event, frozen=True, tag="compute.host-rebooted.v1"):
    """A host is on another boot than when it was last looked at: nothing that was on before still is."""

    host_id: HostId
    boot_id_before: str
    boot_id: str
    collected_at: Instant


class HostDiffered(Event, frozen=True, tag="compute.host-differed.v1"):
    """Host and ledger did not agree about a guest, and what was done about it."""

    host_id: HostId
    vps_id: UUID
    difference: Literal["orphan", "missing", "stale-generation", "off", "duplicate"]
    action: Literal["removed", "stopped", "recorded-off", "relaunched", "none"]
    collected_at: Instant
