"""Steps: the one thing that is to be done for a VPS next, and what its outcome has recorded."""

from typing import Literal

import msgspec

from domain.compute import events as recorded
from domain.compute.vps import Vps
from domain.events import Event
from domain.ids import HostId
from domain.time import Instant

StepName = Literal["place", "prepare", "launch", "login", "reboot", "halt", "remove"]

DEADLINES_S: dict[StepName, float] = {
    "place": 30,
    "prepare": 120,
    "launch": 120,
    "login": 180,
    "reboot": 180,
    "halt": 120,
}
"""How long a worker tries a step before the VPS is in error."""

BOOTING: frozenset[StepName] = frozenset({"place", "prepare", "launch", "login", "reboot"})
"""Steps that lead to a guest that boots, of which a host bears a few at once."""

STOP_GRACE_S = 20.0
RESTART_GRACE_S = 20.0


class Step(msgspec.Struct, frozen=True):
    """One repeatable step of one start of a VPS."""

    name: StepName
    generation: int
    grace_s: float = 0.0
    """How long a guest has to shut down by itself."""
    deadline_s: float | None = None
    """How long it is tried before the VPS is in error; None: for ever, with growing pauses."""

    @property
    def boots(self) -> bool:
        """Return whether it leads to a guest that boots."""
        return self.name in BOOTING


def next_step(vps: Vps | None) -> Step | None:
    """Return what is to be done for a VPS now, None where it is as it should be."""
    if vps is None or vps.deleted:
        return None
    if vps.pending == "delete":
        return Step("remove", vps.generation)
    if not vps.wanted_on:
        return _step_towards_off(vps)
    return _step_towards_running(vps)


def _step_towards_off(vps: Vps) -> Step | None:
    if vps.power == "off":
        return None
    if vps.state == "error":
        # Nothing worse can be told of it than that it is in error, so it is put off however long it takes.
        return Step("halt", vps.generation)
    # Nobody logged in yet, so it has nothing to put away; and all it did with the grace would be free.
    grace_s = STOP_GRACE_S if vps.power == "up" else 0.0
    return Step("halt", vps.generation, grace_s, DEADLINES_S["halt"])


def _step_towards_running(vps: Vps) -> Step | None:
    if vps.power == "up":
        if vps.pending != "restart":
            return None
        return Step("reboot", vps.generation, RESTART_GRACE_S, DEADLINES_S["reboot"])
    name: StepName = "login" if vps.power == "launched" else "launch"
    if vps.host_id is None:
        name = "place"
    elif vps.host_key_public is None:
        name = "prepare"
    return Step(name, vps.generation, deadline_s=DEADLINES_S[name])


def placed(host_id: HostId, ssh_host: str, ssh_port: int, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded once a host and a port are found."""
    return (recorded.VpsPlaced(host_id=host_id, ssh_host=ssh_host, ssh_port=ssh_port, at=now),)


def prepared(host_key_public: str, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded once disk and seed are on the host."""
    return (recorded.VpsPrepared(host_key_public=host_key_public, at=now),)


def launched(vps: Vps, start_id: str, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded once the host has started the guest; nothing if that was recorded before."""
    if vps.power == "launched" and vps.start_id == start_id:
        return ()
    return (recorded.VpsLaunched(generation=vps.generation, start_id=start_id, at=now),)


def running(vps: Vps, at: Instant) -> tuple[Event, ...]:
    """Return what is recorded once the service has logged in, at ``at``."""
    # CPU time never falls within one start, so that 0 is a true lower bound at the first login.
    return (recorded.VpsRunning(generation=vps.generation, start_id=vps.start_id, cpu_ns=0, at=at),)


def restarted(vps: Vps, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded once the service has logged in after a restart."""
    return (recorded.VpsRestarted(generation=vps.generation, at=now),)


def stopped(vps: Vps, off_at: Instant) -> tuple[Event, ...]:
    """Return what is recorded once the host shows the guest off, as it was to be."""
    return (recorded.VpsStopped(reason=vps.stop_reason or "failed", generation=vps.generation, off_at=off_at),)


def failed(vps: Vps, step: Step, error: str, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded once a step has missed its deadline, or never can be done."""
    return (recorded.VpsFailed(generation=vps.generation, step=step.name, error=error, at=now),)


def deleted(off_at: Instant) -> tuple[Event, ...]:
    """Return what is recorded once nothing is left of the VPS on its host."""
    return (recorded.VpsDeleted(off_at=off_at),)
