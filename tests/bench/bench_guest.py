"""A guest from nothing to the first login on a bare host, through our hypervisor and by hand, and its image."""

import asyncio
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

from adapters.guest_image.builder import GuestImage, ensure_built
from adapters.guest_image.lite import LITE
from adapters.guest_image.root_folder import unpack_packages
from adapters.libvirt.folders import domain_name
from adapters.libvirt_host.host import EmbeddedHost
from adapters.libvirt_host.kvm_probe import probe_kvm
from domain.compute.ports import GuestSpec
from tests.bench.figures import Figure, interleaved
from tests.bench.floors import in_thread
from tests.guests import KeyPair, Login, cache_folder, guest_spec, hypervisor_on, new_key_pair

ROUNDS = 5
BUILDS = 2
STARTED_MAX = 1.25
BUILT_MAX = 1.5
SIZE_MAX = 0.7
BY_HAND = "the same guest by `virsh`, reached by stock `ssh`"


async def run() -> list[Figure]:
    """Build an image from nothing, then start guests both ways in turns."""
    folder = Path(tempfile.mkdtemp(prefix="litevps-bench-"))
    try:
        built, figures = await _built(folder)
        kvm = probe_kvm(built.kernel, built.initrd, cache=cache_folder() / "kvm.json").usable
        host = EmbeddedHost(folder / "host", images=built.folder.parent, kvm=kvm)
        try:
            host.ensure_started()
            return [*figures, await _started_both_ways(host, built, folder, kvm=kvm)]
        finally:
            host.remove()
    finally:
        shutil.rmtree(folder)


async def _built(folder: Path) -> tuple[GuestImage, list[Figure]]:
    images = [folder / f"images-{number}" for number in range(BUILDS)]
    unpacked = [folder / f"unpacked-{number}" for number in range(BUILDS)]
    waiting, by_hand = iter(images), iter(unpacked)

    def build() -> float:
        begun = time.perf_counter()
        ensure_built(next(waiting))
        return time.perf_counter() - begun

    def unpack() -> float:
        target = next(by_hand)
        (target / "kernel").mkdir(parents=True)
        begun = time.perf_counter()
        unpack_packages(LITE, target / "root", target / "kernel")
        return time.perf_counter() - begun

    build_s, unpack_s = await interleaved(BUILDS, in_thread(build), in_thread(unpack))
    image = ensure_built(images[0])
    size_bytes = sum(path.stat().st_blocks * 512 for path in image.folder.iterdir())
    packed_bytes = await asyncio.to_thread(_packed_bytes, unpacked[0])
    for left in (*images[1:], *unpacked):
        shutil.rmtree(left)
    return image, [
        Figure(
            name="guest image built",
            measured=build_s,
            unit="s",
            floor=unpack_s,
            floor_is="the same packages fetched and unpacked by mmdebstrap",
            target=BUILT_MAX,
            at_most=True,
        ),
        Figure(
            name="guest image on disk",
            measured=size_bytes / 1e6,
            unit="MB",
            floor=packed_bytes / 1e6,
            floor_is="the same packages, unpacked, as .tar.gz",
            target=SIZE_MAX,
            at_most=True,
        ),
    ]


def _packed_bytes(folder: Path) -> int:
    packed = folder.with_suffix(".tar.gz")
    with tarfile.open(packed, "w:gz", compresslevel=6) as archive:
        archive.add(folder, "")
    size_bytes = packed.stat().st_size
    packed.unlink()
    return size_bytes


async def _started_both_ways(host: EmbeddedHost, image: GuestImage, folder: Path, *, kvm: bool) -> Figure:
    hypervisor = hypervisor_on(host, image, accelerated=kvm)
    keys = new_key_pair()

    async def by_us() -> float:
        spec = guest_spec(keys, keys)
        begun = time.perf_counter()
        await hypervisor.ensure_prepared(spec)
        await hypervisor.ensure_running(spec)
        await asyncio.to_thread(_log_in, folder, spec, keys)
        taken = time.perf_counter() - begun
        await hypervisor.ensure_removed(spec.vps_id)
        return taken

    async def by_hand() -> float:
        return await asyncio.to_thread(started_by_hand, host, image, folder, keys, kvm=kvm)

    ours, theirs = await interleaved(ROUNDS, by_us, by_hand)
    await hypervisor.close()
    return Figure(
        name="guest to first login",
        measured=ours,
        unit="s",
        floor=theirs,
        floor_is=BY_HAND,
        target=STARTED_MAX,
        at_most=True,
    )


def started_by_hand(host: EmbeddedHost, image: GuestImage, folder: Path, keys: KeyPair, *, kvm: bool) -> float:
    """Do what a person would do in a shell, and return how long it took until ``ssh`` was in."""
    spec = guest_spec(keys, keys)
    mine, inside = host.guests / str(spec.vps_id), host.guests_inside / str(spec.vps_id)
    seed = folder / f"seed-{spec.vps_id}"
    begun = time.perf_counter()
    mine.mkdir()
    seed.mkdir()
    (seed / "meta-data").write_text(f"instance-id: {spec.vps_id}\nlocal-hostname: box\n")
    (seed / "user-data").write_text("")
    (seed / "authorized_keys").write_text(keys.public + "\n")
    (seed / "ssh_host_ed25519_key").write_text(keys.private)
    _shell("genisoimage", "-quiet", "-V", "cidata", "-J", "-r", "-o", str(mine / "seed.iso"), str(seed))
    base = f"{host.images_inside}/{image.key}/disk.qcow2"
    _shell("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", base, f"{mine}/disk.qcow2", "1G")
    xml = folder / f"{spec.vps_id}.xml"
    xml.write_text(_plain_domain(spec, image, f"{host.images_inside}", f"{inside}", kvm=kvm))
    _shell("virsh", "-c", host.uri, "define", str(xml))
    _shell("virsh", "-c", host.uri, "start", domain_name(spec.vps_id))
    _log_in(folder, spec, keys)
    taken = time.perf_counter() - begun
    _shell("virsh", "-c", host.uri, "destroy", domain_name(spec.vps_id))
    _shell("virsh", "-c", host.uri, "undefine", domain_name(spec.vps_id))
    shutil.rmtree(mine)
    return taken


def _log_in(folder: Path, spec: GuestSpec, keys: KeyPair) -> None:
    login = Login(folder, spec.ssh_port, keys, keys)
    login.wait()
    done = login.run("true")
    assert done.returncode == 0, done.stderr


def _shell(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _plain_domain(spec: GuestSpec, image: GuestImage, images: str, guest: str, *, kvm: bool) -> str:
    forward = f"user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:{spec.ssh_port}-:22"
    disk = "<disk type='file' device='disk'><driver name='qemu' type='{}'/><source file='{}'/>{}</disk>"
    return f"""
    <domain type='{"kvm" if kvm else "qemu"}' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
      <name>{domain_name(spec.vps_id)}</name><memory unit='MiB'>{spec.memory_mb}</memory><vcpu>{spec.vcpu}</vcpu>
      <os><type arch='x86_64' machine='pc'>hvm</type><kernel>{images}/{image.key}/kernel</kernel>
        <initrd>{images}/{image.key}/initrd</initrd><cmdline>console=ttyS0 quiet no_timer_check</cmdline></os>
      <features><acpi/></features><cpu mode='{"host-passthrough" if kvm else "maximum"}'/>
      <devices>
        {disk.format("qcow2", f"{guest}/disk.qcow2", "<target dev='vda' bus='virtio'/>")}
        {disk.format("raw", f"{guest}/seed.iso", "<target dev='vdb' bus='virtio'/><readonly/>")}
        <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
      </devices>
      <qemu:commandline><qemu:arg value='-netdev'/><qemu:arg value='{forward}'/><qemu:arg value='-device'/>
        <qemu:arg value='virtio-net-pci,netdev=n,addr=0x10,romfile='/></qemu:commandline>
    </domain>"""
