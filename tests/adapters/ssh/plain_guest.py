"""A guest without a hypervisor of ours: plain QEMU on the guest image, reached on the loopback interface."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from adapters.guest_image.builder import GuestImage
from adapters.libvirt.seed import write_seed
from adapters.ssh.keys import new_host_key
from domain.compute.ports import GuestAddress, GuestSpec
from domain.ids import VpsId

STOP_TIMEOUT_S = 10


@contextmanager
def plain_guest(image: GuestImage, folder: Path, client_key_public: str) -> Iterator[GuestAddress]:
    """Boot a guest that lets this key in; it is killed afterwards. It may not answer yet."""
    private, public = new_host_key()
    spec = GuestSpec(
        vps_id=VpsId(uuid4()),
        generation=1,
        hostname="plain",
        vcpu=1,
        memory_mb=256,
        disk_gb=1,
        image=image.name,
        ssh_port=_free_port(),
        authorized_keys=(client_key_public,),
        host_key_private=private,
    )
    write_seed(spec, folder / "seed.iso")
    disk = folder / "disk.qcow2"
    overlay = ("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image.disk, disk, "2G")
    subprocess.run(overlay, check=True)
    with (folder / "console.log").open("wb") as console:
        process = subprocess.Popen(_qemu(image, folder, spec), stdin=subprocess.DEVNULL, stdout=console, stderr=console)
    try:
        yield GuestAddress(vps_id=spec.vps_id, ssh_host="127.0.0.1", ssh_port=spec.ssh_port, host_key_public=public)
    finally:
        process.kill()
        process.wait(STOP_TIMEOUT_S)


def _qemu(image: GuestImage, folder: Path, spec: GuestSpec) -> list[str]:
    forward = f"hostfwd=tcp:127.0.0.1:{spec.ssh_port}-:22"
    return [
        *("qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", str(spec.memory_mb)),
        *("-nodefaults", "-display", "none", "-serial", "stdio"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", "console=ttyS0 quiet"),
        *("-drive", f"file={folder}/disk.qcow2,if=virtio,format=qcow2"),
        *("-drive", f"file={folder}/seed.iso,if=virtio,format=raw,readonly=on"),
        *("-netdev", f"user,id=net,restrict=on,{forward}", "-device", "virtio-net-pci,netdev=net"),
        *("-device", "virtio-rng-pci"),
    ]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
