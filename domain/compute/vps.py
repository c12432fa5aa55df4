"""A VPS: the life that its events tell, and what may be recorded next."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from domain.blobs import Blob
from domain.compute import events as recorded
from domain.compute import snapshot as snapshots
from domain.compute.commands import CreateVps
from domain.compute.egress import OPEN, Egress, from_text, normalized, to_text
from domain.compute.snapshot import Snapshot
from domain.compute.ttl import expires_in
from domain.deciding import AggregateRef, Fold
from domain.errors import NotFound, Refusal
from domain.events import Event
from domain.ids import AccountId, HostId, PlanId, SnapshotId, SshKeyId, TokenId, VpsId, vps_stream
from domain.time import DAY, HOUR, Instant

State = Literal["creating", "running", "stopped", "error"]
Pending = Literal["start", "stop", "restart", "restore", "delete"]

Power = Literal["off", "unknown", "launched", "up"]
"""What is known of the guest: shown off; may be on, since it was to be; on, nobody logged in; logged in."""


UserDataState = Literal["pending", "done", "failed"]


class VpsIsCreating(Refusal):
    """It was never up: until it is, it can only be deleted."""

    code = "vps_is_creating"
    sentence = "vps is creating"


class VpsIsStopping(Refusal):
    """It can be started once it is shown off."""

    code = "vps_is_stopping"
    sentence = "vps is stopping"


class VpsIsRestoring(Refusal):
    """Its disk is being set back to what it was in a snapshot."""

    code = "vps_is_restoring"
    sentence = "vps is being restored"


class VpsNotStopped(Refusal):
    """What was asked for needs a VPS that is off."""

    code = "vps_not_stopped"
    sentence = "vps is not stopped"


class VpsNotRunning(Refusal):
    """What was asked for needs a VPS that runs."""

    code = "vps_not_running"
    sentence = "vps is not running"


class Vps(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that its events tell of a VPS."""

    vps_id: VpsId
    account_id: AccountId
    name: str
    plan_id: PlanId
    vcpu: int
    memory_mb: int
    disk_gb: int
    image: str
    ssh_key_ids: tuple[SshKeyId, ...]
    authorized_keys: tuple[str, ...]
    user_data: str | Blob | None
    labels: str | None
    """JSON object of strings, as it was recorded."""
    token_id: TokenId | None
    created_at: Instant

    state: State = "creating"
    pending: Pending | None = None
    wanted_on: bool = True
    stop_reason: recorded.StopReason | None = None
    generation: int = 1
    power: Power = "unknown"
    since: Instant
    """When the step that is due now became due."""
    changed_at: Instant
    """When something was last done to the guest: what was observed before says nothing about it now."""
    host_id: HostId | None = None
    ssh_host: str | None = None
    ssh_port: int | None = None
    host_key_public: str | None = None
    start_id: str = ""
    started_at: Instant | None = None
    boots_since: Instant | None = None
    """Since when the guest has been on at this start without a login; None: it is not, or has ended by now."""
    error: str | None = None
    failed_step: str | None = None
    """The step that put it in error."""
    off_reason: recorded.OffReason | None = None
    """Why it is off; None: it is not, or never was on."""
    host_lost_at: Instant | None = None
    """When its host was taken to be gone; None: it is not, or the VPS needs nothing of it."""
    egress: str | None = None
    """What its guest may reach, as it was recorded; None: the internet."""
    egress_revision: int = 0
    """How many policies it has had; the last one is wanted."""
    egress_applied: int = 0
    """Which of them its host has in force, or will have from the start on."""
    denied_at: Instant | None = None
    """When it was last recorded that its guest was kept from something."""
    denied_of_day: int = 0
    """How often that was recorded on that day of UTC."""
    deleted: bool = False
    template: str | None = None
    """The name of the template that it was made from, as it was then."""
    user_data_state: UserDataState | None = None
    """None: it was given none."""
    user_data_output: str | None = None
    """The last lines of what came of it."""
    snapshots: tuple[Snapshot, ...] = ()
    """Oldest first, those included that are being deleted."""
    restoring: SnapshotId | None = None
    """The snapshot to which its disk is to be set back."""
    expires_at: Instant | None = None
    """When it is deleted by itself; None: it is not."""
    expiry_warned: bool = False
    """Whether it was told that it is deleted then."""

    changes_hour: int = 0
    """The hour, counted from 1970, in which its owner had it otherwise last."""
    changes_count: int = 0
    """How often in that hour."""

    @property
    def kept_disk_gb(self) -> int:
        """Return what it may take of its host's disk together with its snapshots, GiB."""
        return self.disk_gb + sum(snapshot.disk_gb for snapshot in self.snapshots)

    @property
    def gone(self) -> bool:
        """Return whether it does not exist for its owner any more."""
        return self.deleted or self.pending == "delete"

    @property
    def reachable(self) -> bool:
        """Return whether its port leads to it and to nobody else: what is off has none of its own."""
        return self.power != "off"

    @property
    def usable(self) -> bool:
        """Return whether commands can run in it: up, and not on its way down."""
        return self.state == "running" and self.wanted_on and self.restoring is None and not self.gone

    @property
    def awaits_user_data(self) -> bool:
        """Return whether it can be asked now how the user data that it was given has ended."""
        return self.usable and self.power == "up" and self.user_data_state == "pending"


def evolve(vps: Vps | None, event: Event) -> Vps | None:
    """Return the VPS after an event of its stream."""
    if isinstance(event, recorded.VpsRequested):
        return _requested(event)
    if vps is None or not isinstance(event, recorded.VpsEvent):
        return vps
    evolved = _evolved(vps, event)
    return _changed_again(evolved, event.at) if isinstance(event, recorded.OwnersChange) else evolved


def has_ended(vps: Vps | None) -> bool:
    """Return whether nothing is left of a VPS."""
    return vps is not None and vps.deleted


FOLD: Fold[Vps | None] = Fold(initial=None, evolve=evolve, has_ended=has_ended)


def vps_ref(vps_id: VpsId) -> AggregateRef[Vps | None]:
    """Return the reference of a VPS."""
    return AggregateRef(vps_stream(vps_id), FOLD)


def without_names(vps: Vps) -> Vps:
    """Return a VPS as a read model keeps it that has no use for the names of its snapshots, sealed or not."""
    nameless = tuple(msgspec.structs.replace(snapshot, name="") for snapshot in vps.snapshots)
    return msgspec.structs.replace(vps, snapshots=nameless) if nameless else vps


def create(command: CreateVps, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded of a VPS that was admitted."""
    restricted: tuple[Event, ...] = ()
    if command.egress is not None and (policy := normalized(command.egress)) != OPEN:
        restricted = (recorded.VpsEgressSet(egress=to_text(policy), at=now),)
    made_from = () if command.template is None else (recorded.VpsTemplateUsed(template=command.template, at=now),)
    return (
        recorded.VpsRequested(
            vps_id=command.vps_id,
            account_id=command.account_id,
            name=command.name,
            plan_id=command.plan_id,
            vcpu=command.vcpu,
            memory_mb=command.memory_mb,
            disk_gb=command.disk_gb,
            image=command.image,
            ssh_key_ids=command.ssh_key_ids,
            authorized_keys="\n".join(command.authorized_keys),
            user_data=command.user_data if command.offloaded_user_data is None else command.offloaded_user_data.blob,
            labels=labels_as_text(command.labels),
            token_id=command.token_id,
            created_at=now,
        ),
        *made_from,
        *(() if command.ttl_minutes is None else (expires_in(command.ttl_minutes, now),)),
        *restricted,
    )


def owned(vps: Vps | None, account_id: AccountId) -> Vps:
    """Return the VPS as its owner sees it. Raises NotFound for anybody else, and once it is deleted."""
    if vps is None or vps.gone or vps.account_id != account_id:
        raise NotFound
    return vps


def start(vps: Vps, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded when a VPS is to be on; nothing where it is, or is on its way.

    What was recorded has to be admitted by the wallet in the same append. Raises VpsIsCreating, VpsIsStopping or
    VpsIsRestoring.
    """
    _refuse_while_creating(vps)
    if vps.wanted_on:
        return ()
    if vps.power != "off":
        raise VpsIsStopping
    if vps.restoring is not None:
        raise VpsIsRestoring
    return (recorded.VpsStartRequested(generation=vps.generation + 1, at=now),)


def stop(vps: Vps, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded when its owner wants a VPS off; nothing where it is. Raises VpsIsCreating."""
    _refuse_while_creating(vps)
    return request_stop(vps, "requested", now)


def request_stop(vps: Vps, reason: recorded.StopReason, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded when a VPS is to be off, in whatever state it is."""
    if vps.gone or not vps.wanted_on:
        return ()
    return (recorded.VpsStopRequested(reason=reason, generation=vps.generation, at=now),)


def restart(vps: Vps, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded when a guest is to boot anew. Raises VpsIsCreating, VpsNotRunning."""
    _refuse_while_creating(vps)
    if not vps.usable:
        raise VpsNotRunning
    if vps.pending == "restart":
        return ()
    return (recorded.VpsRestartRequested(generation=vps.generation, at=now),)


def delete(vps: Vps, now: Instant, reason: recorded.DeleteReason = "requested") -> tuple[Event, ...]:
    """Return what is recorded when a VPS is to go; legal in every state."""
    if vps.gone:
        return ()
    return (recorded.VpsDeleteRequested(generation=vps.generation, at=now, reason=reason),)


def lose_host(vps: Vps | None, host_id: HostId, since: Instant, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded of a VPS whose host is gone; once, and nothing where nothing of it is or may be on."""
    if vps is None or vps.deleted or vps.host_id != host_id or vps.host_lost_at is not None:
        return ()
    if vps.power == "off" and not vps.wanted_on:
        return ()
    return (recorded.VpsHostLost(host_id=host_id, since=since, at=now),)


def find_host(vps: Vps | None, host_id: HostId, collected_at: Instant) -> tuple[Event, ...]:
    """Return what is recorded of a VPS whose host is back, as a look shows that was begun at ``collected_at``."""
    if vps is None or vps.host_id != host_id or vps.host_lost_at is None or collected_at <= vps.host_lost_at:
        return ()
    return (recorded.VpsHostFound(host_id=host_id, at=collected_at),)


def rename(vps: Vps, name: str, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded when a VPS is to have another name; nothing where that is its own."""
    return () if name == vps.name else (recorded.VpsRenamed(name=name, at=now),)


def label(vps: Vps, labels: Mapping[str, str], now: Instant) -> tuple[Event, ...]:
    """Return what is recorded when a VPS is to have these labels and no others; nothing where it has just these."""
    if dict(labels) == labels_of(vps):
        return ()
    return (recorded.VpsLabelled(labels=labels_as_text(labels), at=now),)


def set_egress(vps: Vps, wanted: Egress, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded when a guest is to reach something else; nothing where that is its policy."""
    return () if wanted == egress_of(vps) else (recorded.VpsEgressSet(egress=to_text(wanted), at=now),)


def egress_of(vps: Vps) -> Egress:
    """Return what the guest of a VPS may reach."""
    return OPEN if vps.egress is None else from_text(vps.egress)


def labels_of(vps: Vps) -> dict[str, str]:
    """Return the labels of a VPS."""
    return msgspec.json.decode(vps.labels, type=dict[str, str]) if vps.labels else {}


def labels_as_text(labels: Mapping[str, str]) -> str | None:
    """Return labels as they are recorded; None where there are none."""
    return msgspec.json.encode(labels).decode() if labels else None


def _refuse_while_creating(vps: Vps) -> None:
    if vps.state == "creating":
        raise VpsIsCreating


def _requested(event: recorded.VpsRequested) -> Vps:
    return Vps(
        vps_id=event.vps_id,
        account_id=event.account_id,
        name=event.name,
        plan_id=event.plan_id,
        vcpu=event.vcpu,
        memory_mb=event.memory_mb,
        disk_gb=event.disk_gb,
        image=event.image,
        ssh_key_ids=event.ssh_key_ids,
        authorized_keys=tuple(event.authorized_keys.splitlines()),
        user_data=event.user_data,
        labels=event.labels,
        user_data_state=None if event.user_data is None else "pending",
        token_id=event.token_id,
        created_at=event.created_at,
        since=event.created_at,
        changed_at=event.created_at,
    )


def _evolved(vps: Vps, event: recorded.VpsEvent) -> Vps:
    replace = msgspec.structs.replace
    match event:
        case recorded.VpsPlaced():
            return replace(vps, host_id=event.host_id, ssh_host=event.ssh_host, ssh_port=event.ssh_port, since=event.at)
        case recorded.VpsPrepared():
            return replace(vps, host_key_public=event.host_key_public, since=event.at)
        case recorded.VpsLaunched():
            return _launched(vps, event)
        case recorded.VpsRunning():
            return replace(
                vps,
                state="running",
                pending=None,
                power="up",
                start_id=event.start_id,
                started_at=event.at,
                boots_since=None,
                error=None,
                host_lost_at=None,
                since=event.at,
                changed_at=event.at,
            )
        case recorded.VpsStopRequested():
            return replace(vps, pending="stop", wanted_on=False, stop_reason=event.reason, since=event.at)
        case recorded.VpsStopped():
            return _stopped(vps, event)
        case recorded.VpsStartRequested():
            unknown = {"power": "unknown", "start_id": "", "boots_since": None}
            return replace(
                vps,
                **unknown,
                pending="start",
                wanted_on=True,
                stop_reason=None,
                off_reason=None,
                generation=event.generation,
                since=event.at,
                changed_at=event.at,
            )
        case recorded.VpsRestartRequested():
            return replace(vps, pending="restart", since=event.at)
        case recorded.VpsRestarted():
            return replace(vps, pending=None, since=event.at, changed_at=event.at)
        case recorded.VpsFailed():
            in_error = {"state": "error", "pending": None, "wanted_on": False, "restoring": None}
            return replace(vps, **in_error, error=event.error, failed_step=event.step, since=event.at)
        case recorded.VpsHostLost():
            return replace(vps, host_lost_at=event.at)
        case recorded.VpsHostFound():
            return replace(vps, host_lost_at=None)
        case recorded.VpsRenamed():
            return replace(vps, name=event.name)
        case recorded.VpsLabelled():
            return replace(vps, labels=event.labels)
        case recorded.VpsResized():
            sizes = {"vcpu": event.vcpu, "memory_mb": event.memory_mb, "disk_gb": event.disk_gb}
            return replace(vps, plan_id=event.plan_id, **sizes)
        case recorded.VpsExpirySet():
            return replace(vps, expires_at=event.expires_at, expiry_warned=False)
        case recorded.VpsExpiryWarned():
            return replace(vps, expiry_warned=True)
        case recorded.VpsEgressSet():
            return _policy_set(vps, event)
        case recorded.VpsEgressDenied():
            same_day = vps.denied_at is not None and vps.denied_at // DAY == event.at // DAY
            return replace(vps, denied_at=event.at, denied_of_day=vps.denied_of_day + 1 if same_day else 1)
        case recorded.VpsEgressApplied():
            return replace(vps, egress_applied=max(vps.egress_applied, event.revision))
        case recorded.VpsDeleteRequested():
            return replace(vps, pending="delete", wanted_on=False, since=event.at)
        case recorded.VpsDeleted():
            return replace(vps, pending=None, power="off", deleted=True, changed_at=event.off_at)
        case recorded.VpsTemplateUsed():
            return replace(vps, template=event.template)
        case recorded.VpsUserDataEnded():
            return replace(vps, user_data_state=event.outcome, user_data_output=event.output)
        case recorded.SnapshotRestoreRequested():
            return replace(vps, pending="restore", restoring=event.snapshot_id, since=event.at)
        case recorded.SnapshotRestored():
            return _restored(vps, event)
        case _:
            return replace(vps, snapshots=snapshots.evolve(vps.snapshots, event))


def _changed_again(vps: Vps, at: Instant) -> Vps:
    hour = at // HOUR
    count = vps.changes_count + 1 if hour == vps.changes_hour else 1
    return msgspec.structs.replace(vps, changes_hour=hour, changes_count=count)


def _restored(vps: Vps, event: recorded.SnapshotRestored) -> Vps:
    return msgspec.structs.replace(
        vps,
        # An error stays one until somebody starts the VPS again, whatever is on its disk.
        state="stopped" if vps.state == "running" else vps.state,
        pending=None,
        wanted_on=False,
        power="off",
        restoring=None,
        since=event.at,
        changed_at=event.at,
    )


def _policy_set(vps: Vps, event: recorded.VpsEgressSet) -> Vps:
    revision = vps.egress_revision + 1
    # What was never started, or is off, is started with it; one that is on, or may be, has to be told.
    told = vps.power == "off" or vps.host_id is None
    return msgspec.structs.replace(
        vps,
        egress=event.egress,
        egress_revision=revision,
        egress_applied=revision if told else vps.egress_applied,
        since=event.at if vps.power == "up" and vps.pending is None else vps.since,
    )


def _launched(vps: Vps, event: recorded.VpsLaunched) -> Vps:
    return msgspec.structs.replace(
        vps,
        power="launched",
        start_id=event.start_id,
        # One that went off while it booted, and was started anew, has been at it since the first time.
        boots_since=event.at if vps.boots_since is None else vps.boots_since,
        host_lost_at=None,
        since=event.at,
        changed_at=event.at,
    )


def _stopped(vps: Vps, event: recorded.VpsStopped) -> Vps:
    # An error stays one until somebody starts the VPS again: that it is off by now mends nothing.
    state: State = "error" if vps.state == "error" and event.reason == "failed" else "stopped"
    return msgspec.structs.replace(
        vps,
        state=state,
        pending="delete" if vps.pending == "delete" else "restore" if vps.restoring else None,
        wanted_on=False,
        stop_reason=None,
        power="off",
        off_reason=event.reason,
        host_lost_at=None,
        error=vps.error if state == "error" else None,
        since=event.off_at,
        changed_at=event.off_at,
    )
