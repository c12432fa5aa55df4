"""The recipe of the lite guest: which packages and files it is made of, and the key that names them."""

import hashlib
import platform
from pathlib import Path

NAME = "debian-12-lite"
SUITE = "bookworm"
KERNEL_PACKAGE = "linux-image-cloud-amd64"
FILE_SYSTEM_MIB = 512
"""Size of the file system in the image; a guest grows it to its disk on first boot."""

PACKAGES = (
    "base-files",
    "base-passwd",
    "bash",
    "busybox-static",
    "coreutils",
    "dash",
    "diffutils",
    "e2fsprogs",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "iproute2",
    "kmod",
    "less",
    "libc-bin",
    "login",
    "mawk",
    "mount",
    "ncurses-base",
    "netbase",
    "openssh-client",
    "openssh-server",
    "openssh-sftp-server",
    "passwd",
    "perl-base",
    "procps",
    "sed",
    "tar",
    "tzdata",
    "usr-is-merged",  # Instead of usrmerge, which brings 50 MB of Perl.
    "util-linux",
)

KERNEL_MODULES = (
    # In the order in which they are loaded: virtio_ring comes before virtio, which needs it.
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
    "virtio-rng",
    "cdrom",
    "isofs",
    "button",
    "evdev",
)

LEFT_OUT = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/zoneinfo/posix",
    "usr/share/zoneinfo/right",
    "usr/share/lintian",
    "usr/share/bug",
    "usr/share/bash-completion",
    "usr/share/perl5",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/lib/x86_64-linux-gnu/perl-base",
    "var/cache/apt",
    "var/cache/debconf",
    "var/lib/apt/lists",
    "var/log/apt",
)
"""Folders emptied in the image: nobody reads them in a guest of this size."""

LEFT_OUT_FILES = ("usr/bin/perl*", "usr/lib/openssh/ssh-*", "etc/ssh/moduli", "var/lib/dpkg/*-old")
"""Perl is needed while packages are unpacked only: there is no apt in the guest to call it later. OpenSSH's helpers
are for smart cards and hosts that log in as such; its moduli for a key exchange that no client of today prefers."""

_HERE = Path(__file__).parent
ROOTFS = _HERE / "rootfs"
INITRD_INIT = _HERE / "initrd" / "init"


def content_key() -> str:
    """Return what this recipe is called in the cache: another recipe has another key."""
    digest = hashlib.sha256()
    for text in (NAME, SUITE, KERNEL_PACKAGE, str(FILE_SYSTEM_MIB), platform.machine()):
        digest.update(text.encode() + b"\0")
    for names in (PACKAGES, KERNEL_MODULES, LEFT_OUT, LEFT_OUT_FILES):
        digest.update("\0".join(names).encode() + b"\n")
    code = (_HERE / name for name in ("recipe.py", "root_folder.py", "boot_files.py", "kernel.py", "disk.py"))
    for path in (*code, INITRD_INIT, *rootfs_files()):
        digest.update(str(path.relative_to(_HERE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def rootfs_files() -> list[Path]:
    """Return our own files that go into the guest, in a fixed order."""
    return sorted(path for path in ROOTFS.rglob("*") if path.is_file())
