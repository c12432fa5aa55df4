"""Finds out whether KVM works here, by having it boot a kernel."""

import os
import subprocess
from pathlib import Path

import msgspec

PROBE_TIMEOUT_S = 8.0
"""With KVM the kernel says its word in well under a second."""

_DEVICE = Path("/dev/kvm")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_WORD = b"litevps: a kernel boots here"
"""What the image's initrd says when it is only probed."""


class KvmVerdict(msgspec.Struct, frozen=True):
    """Whether guests may run by KVM. It holds until the machine is booted again."""

    usable: bool
    reason: str
    """For people: why not, or how it was found out."""
    boot_id: str


def probe_kvm(kernel: Path, initrd: Path, *, cache: Path) -> KvmVerdict:
    """Return whether KVM boots this kernel, tried at most once a boot of the machine and kept in ``cache``.

    A device that is there, opens, and is praised by libvirt may still not run a guest, as on rented machines
    that are guests themselves. Without KVM, QEMU translates: guests work, at a tenth of the speed.
    """
    if (known := known_verdict(cache)) is not None:
        return known
    usable, reason = _try(kernel, initrd)
    verdict = KvmVerdict(usable=usable, reason=reason, boot_id=_BOOT_ID.read_text().strip())
    cache.parent.mkdir(parents=True, exist_ok=True)
    part = cache.with_name(f".{cache.name}.{os.getpid()}.part")
    part.write_bytes(msgspec.json.encode(verdict))
    part.rename(cache)
    return verdict


def known_verdict(cache: Path) -> KvmVerdict | None:
    """Return what was found out since this machine was booted; None: nothing yet."""
    try:
        known = msgspec.json.decode(cache.read_bytes(), type=KvmVerdict)
    except (OSError, msgspec.DecodeError):
        return None
    return known if known.boot_id == _BOOT_ID.read_text().strip() else None


def _try(kernel: Path, initrd: Path) -> tuple[bool, str]:
    if not _DEVICE.exists():
        return False, f"this machine has no {_DEVICE}"
    command = (
        *(() if os.geteuid() == 0 else ("sudo", "-n")),
        "timeout", "--signal=KILL", str(PROBE_TIMEOUT_S),
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-sandbox", "on",
        "-machine", "pc,accel=kvm", "-cpu", "host", "-m", "128", "-display", "none", "-no-reboot",
        "-kernel", str(kernel), "-initrd", str(initrd), "-append", "console=ttyS0 panic=-1 litevps.probe",
        "-serial", "stdio",
    )  # fmt: skip
    try:
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=2 * PROBE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as failed:
        return False, f"a guest could not be tried: {failed}"
    if _WORD in run.stdout:
        return True, "a kernel booted under KVM"
    last_words = run.stderr.decode(errors="replace").strip().splitlines()[-1:]
    return False, f"no kernel boots under KVM here{''.join(f' ({word})' for word in last_words)}"
