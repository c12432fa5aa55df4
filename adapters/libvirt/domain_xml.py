"""Writes the domain of a guest as libvirt wants it, with as few devices as a guest can do with."""

from pathlib import PurePath
from xml.etree import ElementTree as ET

import msgspec

from adapters.libvirt.folders import domain_name
from domain.compute.ports import GuestCard, GuestSpec

METADATA_URI = "urn:litevps:guest:1"
METADATA_PREFIX = "litevps"
_QEMU_URI = "http://libvirt.org/schemas/domain/qemu/1.0"
_KERNEL_ARGUMENTS = "console=ttyS0 quiet no_timer_check"
"""Without the check of the timer: an emulated one may be late on a busy host, and the kernel would panic."""
_CARD_SLOT = "0x10"
"""A PCI slot that libvirt does not give to anything itself: it does not know of the card."""

ET.register_namespace(METADATA_PREFIX, METADATA_URI)
ET.register_namespace("qemu", _QEMU_URI)


class GuestMark(msgspec.Struct, frozen=True):
    """What we write into a domain's metadata, by which we know it again."""

    ledger: str
    """Whose guest it is: several ledgers may have guests on one host, and each knows its own only."""
    generation: int
    start: str
    """Names one start; only kept in the running domain's metadata. "" where nobody named it."""

    def to_element(self) -> ET.Element:
        """Return the mark as it stands in a domain's definition."""
        return ET.Element(f"{{{METADATA_URI}}}guest", self._attributes())

    def to_xml(self) -> str:
        """Write the mark as libvirt's metadata calls take it: they put in the namespace themselves."""
        return ET.tostring(ET.Element("guest", self._attributes()), encoding="unicode")

    def _attributes(self) -> dict[str, str]:
        return {"ledger": self.ledger, "generation": str(self.generation), "start": self.start}

    @staticmethod
    def from_xml(text: str) -> "GuestMark":
        """Read a mark as libvirt gives it back."""
        element = ET.fromstring(text)  # noqa: S314 — from libvirtd over a socket of mode 0600, written by us.
        generation = int(element.get("generation", "0"))
        return GuestMark(ledger=element.get("ledger", ""), generation=generation, start=element.get("start", ""))


class BootFiles(msgspec.Struct, frozen=True):
    """The files a guest is started from, as libvirt sees them."""

    disk: PurePath
    base_disk: PurePath
    seed: PurePath
    kernel: PurePath | None
    """None: the disk has a boot loader of its own."""
    initrd: PurePath
    console_log: PurePath


def write_domain(
    spec: GuestSpec, mark: GuestMark, files: BootFiles, *, accelerated: bool, card: GuestCard | None = None
) -> str:
    """Return the XML of a guest's domain. ``accelerated``: by KVM; else QEMU translates every instruction.

    ``card``: how it hangs on its host's network; None: its card ends in its own QEMU.
    """
    domain = ET.Element("domain", {"type": "kvm" if accelerated else "qemu"})
    _text(domain, "name", domain_name(spec.vps_id))
    _text(domain, "uuid", str(spec.vps_id))
    ET.SubElement(domain, "metadata").append(mark.to_element())
    _text(domain, "memory", str(spec.memory_mb), unit="MiB")
    _text(domain, "vcpu", str(spec.vcpu))
    system = ET.SubElement(domain, "os")
    _text(system, "type", "hvm", arch="x86_64", machine="pc")
    if files.kernel is None:
        ET.SubElement(system, "boot", {"dev": "hd"})
    else:
        _text(system, "kernel", str(files.kernel))
        _text(system, "initrd", str(files.initrd))
        # Told at every start: the seed, which has it as well, is read at the first boot only.
        _text(system, "cmdline", f"{_KERNEL_ARGUMENTS} litevps.hostname={spec.hostname}")
    ET.SubElement(ET.SubElement(domain, "features"), "acpi")
    ET.SubElement(domain, "cpu", {"mode": "host-passthrough" if accelerated else "maximum"})
    ET.SubElement(domain, "clock", {"offset": "utc"})
    for event, action in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")):
        _text(domain, event, action)
    devices = _devices(domain, files)
    if card is None:
        _card(domain, spec.ssh_port)
    else:
        _bridged_card(devices, card)
    return ET.tostring(domain, encoding="unicode")


def _devices(domain: ET.Element, files: BootFiles) -> ET.Element:
    devices = ET.SubElement(domain, "devices")
    disk = _disk(devices, "qcow2", files.disk, target="vda")
    # Told, so that libvirt need not look into the file, which a guest's QEMU may have written to.
    backing = ET.SubElement(disk, "backingStore", {"type": "file"})
    ET.SubElement(backing, "format", {"type": "qcow2"})
    ET.SubElement(backing, "source", {"file": str(files.base_disk)})
    ET.SubElement(backing, "backingStore")
    ET.SubElement(_disk(devices, "raw", files.seed, target="vdb"), "readonly")
    console = ET.SubElement(devices, "serial", {"type": "file"})
    ET.SubElement(console, "source", {"path": str(files.console_log)})
    ET.SubElement(console, "target", {"port": "0"})
    entropy = ET.SubElement(devices, "rng", {"model": "virtio"})
    _text(entropy, "backend", "/dev/urandom", model="random")
    ET.SubElement(devices, "controller", {"type": "usb", "model": "none"})
    ET.SubElement(devices, "memballoon", {"model": "none"})
    return devices


def _disk(devices: ET.Element, kind: str, source: PurePath, *, target: str) -> ET.Element:
    disk = ET.SubElement(devices, "disk", {"type": "file", "device": "disk"})
    ET.SubElement(disk, "driver", {"name": "qemu", "type": kind})
    ET.SubElement(disk, "source", {"file": str(source)})
    ET.SubElement(disk, "target", {"dev": target, "bus": "virtio"})
    return disk


def _card(domain: ET.Element, ssh_port: int) -> None:
    """Add the network card: nothing gets out (``restrict``), and only SSH gets in, from this machine.

    libvirt 9 cannot say this itself: its own user-mode card has no forwarding, and it is too old for passt.
    """
    forward = f"hostfwd=tcp:127.0.0.1:{ssh_port}-:22"
    arguments = ET.SubElement(domain, f"{{{_QEMU_URI}}}commandline")
    for value in (
        "-netdev", f"user,id=card,restrict=on,ipv6=off,{forward}",
        "-device", f"virtio-net-pci,netdev=card,bus=pci.0,addr={_CARD_SLOT},romfile=",
    ):  # fmt: skip
        ET.SubElement(arguments, f"{{{_QEMU_URI}}}arg", {"value": value})


def _bridged_card(devices: ET.Element, card: GuestCard) -> None:
    """Add the network card at a port of the host's bridge. What it may say and reach there is the host's to filter."""
    interface = ET.SubElement(devices, "interface", {"type": "bridge"})
    ET.SubElement(interface, "mac", {"address": card.mac})
    ET.SubElement(interface, "source", {"bridge": card.bridge})
    ET.SubElement(interface, "target", {"dev": card.port})
    ET.SubElement(interface, "model", {"type": "virtio"})
    ET.SubElement(interface, "driver", {"name": "qemu"})
    ET.SubElement(interface, "rom", {"enabled": "no"})


def _text(parent: ET.Element, name: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, name, attributes).text = text
