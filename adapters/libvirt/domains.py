"""Single acts upon a guest's domain, each fine with finding it done already."""

import uuid
from collections.abc import Callable

import libvirt
import msgspec

from adapters.libvirt.observations import read_mark, write_mark
from domain.compute.ports import HypervisorUnavailable
from domain.ids import VpsId

_UNDEFINE_ALL = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)
_DONE_ALREADY = frozenset({libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID})
"""What libvirt says where the domain is gone, or is in the state asked for, by the time it is asked."""


def find(connection: libvirt.virConnect, vps_id: VpsId) -> libvirt.virDomain | None:
    """Return the domain of a VPS, whose UUID is that of the VPS, or None."""
    try:
        return connection.lookupByUUID(uuid.UUID(int=vps_id.int).bytes)
    except libvirt.libvirtError as failed:
        if failed.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def start(domain: libvirt.virDomain) -> None:
    """Start a defined domain; fine if another worker was first."""
    _fine_if_done(domain.create)
    forget_start(domain)


def forget_start(domain: libvirt.virDomain) -> None:
    """Take the name of the start out of the definition: it belongs to the running domain alone.

    A start by hand, past us, is then seen to have no name, and never passes for the one before.
    """
    mark = read_mark(domain, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    if mark is not None and mark.start:
        write_mark(domain, msgspec.structs.replace(mark, start=""), libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def grow_disk(domain: libvirt.virDomain, size_gb: int) -> None:
    """Have the disk of a running guest at least as large as it is to be; its first boot stage grows the file system."""
    size_bytes = size_gb * 1024**3
    if domain.isActive() and domain.blockInfo("vda")[0] < size_bytes:
        domain.blockResize("vda", size_bytes, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)


def resume(domain: libvirt.virDomain) -> None:
    """Let a guest that was halted, such as by a full disk, go on."""
    if domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
        _fine_if_done(domain.resume)


def is_off(connection: libvirt.virConnect, vps_id: VpsId) -> bool:
    """Return whether the guest is off or absent."""
    domain = find(connection, vps_id)
    return domain is None or not domain.isActive()


def press_power_button(connection: libvirt.virConnect, vps_id: VpsId) -> None:
    """Ask the guest to shut down."""
    domain = find(connection, vps_id)
    if domain is not None:
        _fine_if_done(lambda: domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN))


def press_restart(connection: libvirt.virConnect, vps_id: VpsId) -> None:
    """Ask the guest to shut down; libvirt starts it again in the same process."""
    _running(connection, vps_id).reboot(libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN)


def reset(connection: libvirt.virConnect, vps_id: VpsId) -> None:
    """Restart the guest at once, like by its reset button."""
    domain = _running(connection, vps_id)
    domain.reset(0)
    resume(domain)


def force_off(connection: libvirt.virConnect, vps_id: VpsId) -> None:
    """Have the guest off at once, like by pulling its plug."""
    domain = find(connection, vps_id)
    if domain is not None and domain.isActive():
        _fine_if_done(domain.destroy)


def undefine(connection: libvirt.virConnect, vps_id: VpsId) -> None:
    """Have libvirt know nothing of the guest any more."""
    domain = find(connection, vps_id)
    if domain is not None:
        _fine_if_done(lambda: domain.undefineFlags(_UNDEFINE_ALL))


def has_kvm(connection: libvirt.virConnect) -> bool:
    """Return whether libvirt says that guests can run by KVM."""
    try:
        connection.getDomainCapabilities(None, "x86_64", None, "kvm", 0)
    except libvirt.libvirtError:
        return False
    return True


def _running(connection: libvirt.virConnect, vps_id: VpsId) -> libvirt.virDomain:
    domain = find(connection, vps_id)
    if domain is None or not domain.isActive():
        raise HypervisorUnavailable("a guest that is off cannot be restarted")
    return domain


def _fine_if_done(act: Callable[[], object]) -> None:
    try:
        act()
    except libvirt.libvirtError as failed:
        if failed.get_error_code() not in _DONE_ALREADY:
            raise
