"""Snapshots of a guest's disk: internal ones of its qcow2, taken while it runs or is off, named by their ids.

libvirt takes no snapshot of a running guest's disk alone: an internal one has to hold the memory as well, an external
one it cannot revert. QEMU can, by its monitor, which ``libvirt_qemu`` leads to (docs/decisions/0011-disk-snapshots.md).
The disk is the only truth; libvirt's own list of snapshots is written along, for whoever looks by ``virsh``.
"""

import json
from pathlib import PurePath
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET

import libvirt
import libvirt_qemu

from domain.compute.ports import HypervisorUnavailable
from domain.ids import SnapshotId

DISK = "vda"
"""The guest's own disk; its seed and whatever else it has are not part of a snapshot."""


def take(domain: libvirt.virDomain, snapshot_id: SnapshotId, disk: PurePath) -> None:
    """Have a snapshot of the disk; one that is there stays as it is. ``disk``: its path as QEMU has it."""
    if snapshot_id in listed(domain):
        return
    if domain.isActive():
        _ask(domain, "blockdev-snapshot-internal-sync", disk, snapshot_id, fine="already exists")
        _note(domain, snapshot_id)
        return
    # One that was taken and not noted, since the host died in between, goes: a disk takes two of one name.
    _note(domain, snapshot_id).delete(0)
    domain.snapshotCreateXML(_text(_written(snapshot_id, _described(domain))), 0)


def remove(domain: libvirt.virDomain, snapshot_id: SnapshotId, disk: PurePath) -> None:
    """Have no such snapshot; absent is done."""
    if domain.isActive():
        _ask(domain, "blockdev-snapshot-delete-internal-sync", disk, snapshot_id, fine="does not exist")
        if snapshot_id in listed(domain):
            found = domain.snapshotLookupByName(str(snapshot_id))
            found.delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)
        return
    _note(domain, snapshot_id).delete(0)


def revert(domain: libvirt.virDomain, snapshot_id: SnapshotId) -> None:
    """Have the disk of a guest that is off as it was. Raises libvirtError where there is no such snapshot."""
    noted = _note(domain, snapshot_id)
    try:
        domain.revertToSnapshot(noted, 0)
    except libvirt.libvirtError:
        noted.delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)  # Whatever it noted may not be there.
        raise


def listed(domain: libvirt.virDomain) -> frozenset[SnapshotId]:
    """Return the snapshots that libvirt knows of a domain; those that are not named by an id are not ours."""
    names = domain.snapshotListNames(0)
    return frozenset(id_ for id_ in map(_id_of, names) if id_ is not None)


def _note(domain: libvirt.virDomain, snapshot_id: SnapshotId) -> libvirt.virDomainSnapshot:
    """Have libvirt know of a snapshot that the disk has or had, with the guest defined as it is now."""
    described = _described(domain)
    snapshot = _written(snapshot_id, described)
    ET.SubElement(snapshot, "state").text = "shutoff"
    ET.SubElement(snapshot, "creationTime").text = "0"
    snapshot.append(described)
    return domain.snapshotCreateXML(_text(snapshot), libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE)


def _written(snapshot_id: SnapshotId, described: ET.Element) -> ET.Element:
    """Return a snapshot of the disk alone as libvirt is asked for it, however many other disks the guest has."""
    snapshot = ET.Element("domainsnapshot")
    ET.SubElement(snapshot, "name").text = str(snapshot_id)
    ET.SubElement(snapshot, "memory", {"snapshot": "no"})
    disks = ET.SubElement(snapshot, "disks")
    for target in described.iterfind("devices/disk/target"):
        name = target.get("dev", "")
        ET.SubElement(disks, "disk", {"name": name, "snapshot": "internal" if name == DISK else "no"})
    return snapshot


def _described(domain: libvirt.virDomain) -> ET.Element:
    text = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
    return ET.fromstring(text)  # noqa: S314 — from libvirtd over a socket of mode 0600, written by us.


def _text(element: ET.Element) -> str:
    return ET.tostring(element, encoding="unicode")


def _ask(domain: libvirt.virDomain, command: str, disk: PurePath, snapshot_id: SnapshotId, *, fine: str) -> None:
    """Have QEMU do something to a snapshot of the disk; ``fine``: what it says where that is done already."""
    answer = _monitor(domain, command, {"device": _node_of(domain, disk), "name": str(snapshot_id)})
    told = answer.get("error", {}).get("desc", "")
    if told and fine not in told:
        raise HypervisorUnavailable(f"{command}: {told}")


def _node_of(domain: libvirt.virDomain, disk: PurePath) -> str:
    """Return what QEMU calls the disk."""
    for block in _monitor(domain, "query-block", {}).get("return", ()):
        inserted = block.get("inserted", {})
        if inserted.get("file") == str(disk):
            return str(inserted["node-name"])
    raise HypervisorUnavailable("the guest runs without its disk")


def _monitor(domain: libvirt.virDomain, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
    asked = json.dumps({"execute": command, "arguments": arguments})
    answer: dict[str, Any] = json.loads(libvirt_qemu.qemuMonitorCommand(domain, asked, 0))
    return answer


def _id_of(name: str) -> SnapshotId | None:
    try:
        return SnapshotId(UUID(name))
    except ValueError:
        return None
