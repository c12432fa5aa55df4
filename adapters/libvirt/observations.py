"""Reads off what a host shows of our guests: which start, running or not, how much CPU time."""

import uuid
from collections.abc import Iterator

import libvirt
import msgspec

from adapters.libvirt.domain_xml import METADATA_PREFIX, METADATA_URI, GuestMark
from domain.compute.ports import GuestSeen
from domain.ids import LedgerId, VpsId

_STATS = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
_OFF = frozenset({libvirt.VIR_DOMAIN_NOSTATE, libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED})
_BRIEF_PAUSES = frozenset(
    {
        libvirt.VIR_DOMAIN_PAUSED_SAVE,
        libvirt.VIR_DOMAIN_PAUSED_SNAPSHOT,
        libvirt.VIR_DOMAIN_PAUSED_STARTING_UP,
        libvirt.VIR_DOMAIN_PAUSED_SHUTTING_DOWN,
    }
)
"""Pauses that end by themselves. A guest halted by anything else, such as a full disk, serves nobody."""


class MarkReader:
    """Reads the marks of domains, and names starts that nobody named.

    A running domain's mark cannot change but through us, so it is asked for once a start and connection.
    """

    def __init__(self, ledger_id: LedgerId | None) -> None:
        """``ledger_id``: whose guests count; None: everybody's."""
        self._ledger_id = ledger_id
        self._known: dict[tuple[str, int], GuestMark] = {}
        self._opened = 0

    def forget_after(self, opened: int) -> None:
        """Forget what was read over an earlier connection: a restarted libvirtd may use ids again."""
        if opened != self._opened:
            self._known, self._opened = {}, opened

    def of_running(self, domain: libvirt.virDomain) -> GuestMark | None:
        """Return the mark of a running guest with its start named; None for a domain that is not ours."""
        key = (domain.UUIDString(), domain.ID())
        if key in self._known:
            return self._known[key]
        mark = self._ours(read_mark(domain, libvirt.VIR_DOMAIN_AFFECT_LIVE))
        if mark is None:
            return None
        if not mark.start:
            # Started by hand. The name goes into the running domain only, and so ends with this start.
            mark = msgspec.structs.replace(mark, start=new_start())
            write_mark(domain, mark, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        self._known[key] = mark
        return mark

    def of_stopped(self, domain: libvirt.virDomain) -> GuestMark | None:
        """Return the mark of a defined guest that is off; None for a domain that is not ours."""
        return self._ours(read_mark(domain, libvirt.VIR_DOMAIN_AFFECT_CONFIG))

    def _ours(self, mark: GuestMark | None) -> GuestMark | None:
        if mark is None or self._ledger_id is None:
            return mark
        return mark if mark.ledger == str(self._ledger_id) else None


def see_all(connection: libvirt.virConnect, marks: MarkReader, boot_id: str) -> Iterator[GuestSeen]:
    """Yield every domain of ours on the host, with one call for the figures of all."""
    for domain, figures in connection.getAllDomainStats(_STATS, 0):
        seen = _from_figures(domain, figures, marks, boot_id)
        if seen is not None:
            yield seen


def see_one(
    connection: libvirt.virConnect, domain: libvirt.virDomain, marks: MarkReader, boot_id: str
) -> GuestSeen | None:
    """Return what the host shows of one guest; None if it is not ours."""
    ((_, figures),) = connection.domainListGetStats([domain], _STATS, 0)
    return _from_figures(domain, figures, marks, boot_id)


def never_started(vps_id: VpsId) -> GuestSeen:
    """Return what is shown of a guest that has files but no domain: shown, so that no file is ever forgotten."""
    return _off(vps_id, generation=0)


def write_mark(domain: libvirt.virDomain, mark: GuestMark, where: int) -> None:
    """Write a mark into the running domain or into its definition."""
    element = libvirt.VIR_DOMAIN_METADATA_ELEMENT
    domain.setMetadata(element, mark.to_xml(), METADATA_PREFIX, METADATA_URI, where)


def new_start() -> str:
    """Return a name for one start, never given before."""
    return uuid.uuid4().hex


def _from_figures(
    domain: libvirt.virDomain, figures: dict[str, int], marks: MarkReader, boot_id: str
) -> GuestSeen | None:
    vps_id = VpsId(uuid.UUID(domain.UUIDString()))
    try:
        mark = None if figures["state.state"] in _OFF else marks.of_running(domain)
        if mark is None:
            mark = marks.of_stopped(domain)
            return None if mark is None else _off(vps_id, mark.generation)
    except libvirt.libvirtError as failed:
        if failed.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
            return None  # It went away while we asked: the next look shows it as it is then.
        raise
    return GuestSeen(
        vps_id=vps_id,
        generation=mark.generation,
        start_id=f"{boot_id}:{mark.start}",
        running=_runs(figures),
        cpu_ns=figures.get("cpu.time", 0),
    )


def _off(vps_id: VpsId, generation: int) -> GuestSeen:
    return GuestSeen(vps_id=vps_id, generation=generation, start_id="", running=False, cpu_ns=0)


def _runs(figures: dict[str, int]) -> bool:
    if figures["state.state"] == libvirt.VIR_DOMAIN_PAUSED:
        return figures.get("state.reason") in _BRIEF_PAUSES
    return True


def read_mark(domain: libvirt.virDomain, where: int) -> GuestMark | None:
    """Return the mark in the running domain or in its definition; None if there is none."""
    try:
        return GuestMark.from_xml(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, METADATA_URI, where))
    except libvirt.libvirtError as failed:
        if failed.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise
