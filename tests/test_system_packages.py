"""Each Debian package that scripts/system-packages lists is there, and is there for a reason."""

import re
import subprocess
from pathlib import Path
from typing import Literal

import msgspec
import pytest

SCRIPT = Path("scripts/system-packages")


class Package(msgspec.Struct, frozen=True):
    """A Debian package, one file of it that is used, and what for."""

    name: str
    purpose: Literal["run", "test"]
    file: str
    used: str


PACKAGES = (
    Package("libvirt-daemon-system", "run", "/etc/libvirt/qemu.conf", "the user that QEMU runs as"),
    Package("qemu-system-x86", "run", "/usr/bin/qemu-system-x86_64", "guests run in it"),
    Package("qemu-utils", "run", "/usr/bin/qemu-img", "makes the disks of guests"),
    Package("genisoimage", "run", "/usr/bin/genisoimage", "writes what a guest reads at its first boot"),
    Package("mmdebstrap", "run", "/usr/bin/mmdebstrap", "unpacks the guest image"),
    Package("e2fsprogs", "run", "/sbin/mke2fs", "makes the file system of the guest image"),
    Package("nftables", "run", "/usr/sbin/nft", "filters what guests reach"),
    Package("dnsmasq-base", "run", "/usr/sbin/dnsmasq", "gives guests their address and answers their names"),
    Package("iproute2", "run", "/sbin/bridge", "makes the bridge that guests are at"),
    Package("procps", "run", "/sbin/sysctl", "has the machine forward between bridge and uplink"),
    Package("python3-venv", "run", "/usr/share/doc/python3-venv", "the virtual environment"),
    Package("python3-dev", "run", "/usr/share/doc/python3-dev", "libvirt-python is compiled with its headers"),
    Package("gcc", "run", "/usr/bin/gcc", "libvirt-python is compiled with it"),
    Package("pkg-config", "run", "/usr/share/doc/pkg-config", "libvirt-python finds libvirt by it"),
    Package("libvirt-dev", "run", "/usr/include/libvirt/libvirt.h", "libvirt-python is compiled against it"),
    Package("libvirt-clients", "run", "/usr/bin/virsh", "operators look at a host with it (docs/how-to/hosts.md)"),
    Package("openssh-client", "run", "/usr/bin/ssh", "the tutorial logs into a guest, and so do the tests"),
    Package("curl", "run", "/usr/bin/curl", "the README's quick start"),
    Package("jq", "run", "/usr/bin/jq", "the README's quick start"),
    Package("ca-certificates", "run", "/usr/sbin/update-ca-certificates", "Stripe and Turnstile are reached by TLS"),
    Package("hledger", "test", "/usr/bin/hledger", "reads the exported journal, and must come to the same sums"),
    Package("postgresql-15", "test", "/usr/lib/postgresql/15/bin/postgres", "the oldest server that is supported"),
    Package("chromium", "test", "/usr/bin/chromium", "opens the development checkout page"),
)


@pytest.mark.parametrize("purpose", ["run", "test"])
def test_what_is_installed_is_what_is_used(purpose: str) -> None:
    listed = re.search(rf"^{purpose.upper()}=\(([^)]*)\)", SCRIPT.read_text(), re.MULTILINE)

    assert listed is not None
    assert sorted(listed[1].split()) == sorted(package.name for package in PACKAGES if package.purpose == purpose)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_a_package_brings_what_is_used_of_it(package: Package) -> None:
    brought = subprocess.run(["dpkg-query", "-L", package.name], capture_output=True, text=True, check=False)

    assert package.file in brought.stdout.splitlines()
    assert Path(package.file).exists()
