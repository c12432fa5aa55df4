"""Bootstrap of the compute hosts: those that the settings name, running, and the way into their guests."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4, uuid5

import msgspec
import structlog

from adapters.clock import SystemClock
from adapters.guest_image.builder import ensure_built
from adapters.libvirt.folders import HostFolders
from adapters.libvirt.host_files import LocalHostFiles
from adapters.libvirt.hypervisor import LibvirtHypervisor
from adapters.libvirt_host.host import EmbeddedHost
from adapters.libvirt_host.kvm_probe import KvmVerdict, known_verdict, probe_kvm
from adapters.simulated.guest_shell import SimulatedGuestShell
from adapters.simulated.host import SimulatedHost
from adapters.simulated.hypervisor import SimulatedHypervisor
from adapters.ssh.guest_shell import SshGuestShell
from adapters.ssh.routed_shell import RoutedGuestShell
from api.application.capacity import ensure_registered
from api.application.host_uris import is_remote
from api.application.images import bring_images
from api.application.settings import Settings
from api.application.worker_context import WorkerContext
from api.bootstrap.networks import OpenedNetwork, network_of
from api.bootstrap.remote_hosts import RemoteHost, driven, made_ways, remote_hosts
from domain.compute.events import HostRegistered
from domain.compute.ports import GuestShell, HostObservation, Hypervisor, HypervisorUnavailable
from domain.ids import HostId, LedgerId
from domain.ports import Clock

SSH_PORT_FROM, SSH_PORT_TO = 22_000, 22_999
SIMULATED_BOOT_S = 1.0
RESERVE_MIN_MB, RESERVE_MIN_GB, RESERVE_DIVISOR = 1024, 4, 8
"""An eighth of a machine's memory and disk is not given to guests, and never less than 1 GiB and 4 GiB."""
EMBEDDED, SIMULATED = "embedded", "simulated"
MACHINE_ID_FILE = Path("/etc/machine-id")
LOOPBACK = "127.0.0.1"
_KVM_FILE = "kvm.json"
_HOSTS = UUID("6c697465-7670-5000-8000-00000000686f")

_log = structlog.get_logger(__name__)

OnProgress = Callable[[str], None]
"""Tells a person what is being done."""


class Machine(msgspec.Struct, frozen=True):
    """What a machine has for guests, shared evenly by the hosts on it."""

    memory_mb: int
    vcpu: int
    disk_gb: int


class Compute(msgspec.Struct, frozen=True, eq=False):
    """The hosts that this process drives, and the way into their guests."""

    hypervisors: Mapping[HostId, Hypervisor]
    shell: GuestShell
    machine: Machine | None
    """What this machine has for its guests; None: as much as they like."""
    images: Path | None = None
    """A folder an image, of all its hosts; None: they have none but what is played."""
    remote: Mapping[HostId, RemoteHost] = {}
    """Those of the hosts that are elsewhere."""


async def opened_compute(
    settings: Settings, clock: Clock, private_key: str, *, ledger_id: LedgerId | None, on_progress: OnProgress
) -> Compute:
    """Have the hosts running and the guest image built. ``ledger_id``: whose guests are driven; None: nobody's."""
    if settings.compute == SIMULATED:
        host = SimulatedHost(host_id_of(settings.home_folder, SIMULATED), clock, boot_s=SIMULATED_BOOT_S)
        hypervisors = {} if ledger_id is None else {host.host_id: SimulatedHypervisor(host, ledger_id)}
        return Compute(hypervisors, SimulatedGuestShell([host]), None)
    network = await asyncio.to_thread(network_of, settings)
    remote = {host.host_id: host for host in remote_hosts(settings)}
    machines = {host_id: host.machine for host_id, host in remote.items()}
    direct = SshGuestShell(private_key) if network is None else SshGuestShell(private_key, dial=network.dial)
    shell = RoutedGuestShell(direct, machines)
    if ledger_id is None:
        return Compute({}, shell, None)
    return Compute(
        await asyncio.to_thread(_driven_hosts, settings, remote.values(), ledger_id, clock, network, on_progress),
        shell,
        _this_machine(settings.home_folder),
        settings.home_folder / "images",
        remote,
    )


async def register_hosts(worker: WorkerContext, compute: Compute) -> None:
    """Record the hosts on this machine, so that VPSs can be placed on them."""
    here = [hypervisor for host_id, hypervisor in compute.hypervisors.items() if host_id not in compute.remote]
    machine, hosts = compute.machine, len(here)
    for number, hypervisor in enumerate(here, 1):
        await ensure_registered(
            worker,
            HostRegistered(
                host_id=hypervisor.host_id,
                name=f"host-{number}",
                ssh_host=hypervisor.ssh_host,
                port_from=SSH_PORT_FROM,
                port_to=SSH_PORT_TO,
                # All of them are on this machine.
                memory_mb=None if machine is None else machine.memory_mb // hosts,
                vcpu=None if machine is None else max(1, machine.vcpu // hosts),
                disk_gb=None if machine is None else machine.disk_gb // hosts,
            ),
        )
        if compute.images is not None:
            await bring_images(worker, hypervisor.host_id, _keys_of(compute.images))


async def register_remote_hosts(worker: WorkerContext, compute: Compute) -> None:
    """Record the hosts elsewhere that answer now, with what they have; for the others, what was recorded holds."""
    await asyncio.gather(*(_register_remote(worker, compute, host) for host in compute.remote.values()))


async def _register_remote(worker: WorkerContext, compute: Compute, host: RemoteHost) -> None:
    hypervisor = compute.hypervisors[host.host_id]
    assert isinstance(hypervisor, LibvirtHypervisor)
    try:
        memory_mb, vcpu = await hypervisor.power()
        disk_bytes = await asyncio.to_thread(host.machine.disk_bytes, host.uri.folder)
    except HypervisorUnavailable as problem:
        _log.warning("host cannot be registered now", host=host.uri.hostname, problem=str(problem))
        return
    registered = HostRegistered(
        host_id=host.host_id,
        name=host.uri.hostname,
        ssh_host=hypervisor.ssh_host,
        port_from=SSH_PORT_FROM,
        port_to=SSH_PORT_TO,
        memory_mb=memory_for_guests_mb(memory_mb),
        vcpu=vcpu,
        disk_gb=disk_for_guests_gb(disk_bytes),
    )
    await ensure_registered(worker, registered)
    await _bring_images(worker, compute, hypervisor)


async def _bring_images(worker: WorkerContext, compute: Compute, hypervisor: LibvirtHypervisor) -> None:
    """Have the images of this home on a host elsewhere; one that is on its way is left to the next time."""
    assert compute.images is not None, "only played hosts have none"
    for key in _keys_of(compute.images):
        try:
            await hypervisor.bring_image(key)
        except HypervisorUnavailable as problem:
            _log.info("image is not on the host yet", host_id=str(hypervisor.host_id), key=key, problem=str(problem))
            continue
        await bring_images(worker, hypervisor.host_id, frozenset({key}))


def _keys_of(images: Path) -> frozenset[str]:
    return frozenset(disk.parent.name for disk in images.glob("*/disk.qcow2"))


async def close_compute(compute: Compute) -> None:
    """Let go of hosts and guests; they are left as they are."""
    # First the hosts: those elsewhere are reached through what the shell closes.
    await asyncio.gather(*(hypervisor.close() for hypervisor in compute.hypervisors.values()))
    await compute.shell.close()


def embedded_host(settings: Settings, verdict: KvmVerdict | None, on_progress: OnProgress) -> EmbeddedHost:
    """Return the embedded host of a home folder, started or not."""
    home = settings.home_folder
    usable = verdict is not None and verdict.usable
    return EmbeddedHost(
        home / "host", images=home / "images", kvm=usable, bridged=settings.network == "nat", on_progress=on_progress
    )


async def observe_embedded_host(settings: Settings) -> HostObservation | None:
    """Return what the embedded host shows of everybody's guests; None where it does not run, nor is started."""
    embedded = embedded_host(settings, None, lambda _: None)
    if not embedded.socket.exists():
        return None
    hypervisor = LibvirtHypervisor(
        host_id=host_id_of(settings.home_folder, EMBEDDED),
        ledger_id=None,
        uri=embedded.uri,
        files=LocalHostFiles(_folders_of(embedded), {}, None),
        accelerated=False,
        clock=SystemClock(),
    )
    try:
        return await hypervisor.observe()
    except HypervisorUnavailable:
        return None
    finally:
        await hypervisor.close()


def _driven_hosts(
    settings: Settings,
    remote: Iterable[RemoteHost],
    ledger_id: LedgerId,
    clock: Clock,
    network: OpenedNetwork | None,
    on_progress: OnProgress,
) -> dict[HostId, Hypervisor]:
    """Have the guest image built and the hosts running; blocks."""
    home = settings.home_folder
    made_folder(home / "images").chmod(0o755)
    image = ensure_built(home / "images", on_progress=on_progress)
    verdict = probe_kvm(image.kernel, image.initrd, cache=home / _KVM_FILE)
    on_progress(f"guests run by {_told_of(verdict)}")
    if network is not None:
        # Before libvirtd: guests may be there already, and none is to be a moment without the filter.
        on_progress("setting up the guests' network")
        network.guests.ensure_up()
    made_ways(home)
    images = {image.name: image.key}
    hosts: dict[HostId, Hypervisor] = {host.host_id: driven(host, home, images, ledger_id, clock) for host in remote}
    for uri in settings.compute_uris:
        if is_remote(uri):
            continue
        host_id = host_id_of(home, uri)
        revive: Callable[[], object] | None = None
        if uri == EMBEDDED:
            embedded = embedded_host(settings, verdict, on_progress)
            address, revive = embedded.ensure_started(), embedded.ensure_started
            folders = _folders_of(embedded)
        else:
            guests = made_folder(home / "guests" / str(host_id))
            address, folders = uri, HostFolders(guests, home / "images", guests, home / "images")
        hosts[host_id] = LibvirtHypervisor(
            host_id=host_id,
            ledger_id=ledger_id,
            uri=address,
            files=LocalHostFiles(folders, images, ledger_id),
            accelerated=verdict.usable,
            clock=clock,
            revive=revive,
            network=None if network is None else network.guests,
            ssh_host=LOOPBACK if network is None else network.ssh_host,
        )
    return hosts


def kvm_found_out(settings: Settings) -> tuple[bool, str] | None:
    """Return whether KVM works here, and in one line by what guests run; None: not tried since the last boot."""
    verdict = known_verdict(settings.home_folder / _KVM_FILE)
    return None if verdict is None else (verdict.usable, _told_of(verdict))


def _told_of(verdict: KvmVerdict) -> str:
    return f"{'KVM' if verdict.usable else 'TCG'}: {verdict.reason.partition(chr(10))[0][:200]}"


def _folders_of(embedded: EmbeddedHost) -> HostFolders:
    inside = (embedded.guests_inside, embedded.images_inside)
    return HostFolders(embedded.guests, embedded.images, *inside, embedded.guest_logs)


def host_id_of(home: Path, uri: str) -> HostId:
    """Return the same at every start, and another one for another home or another machine."""
    return HostId(uuid5(_HOSTS, f"{_machine_id(home)}:{home}:{uri}"))


def _machine_id(home: Path) -> str:
    """Return what names this machine; where the machine has no name, one is made up, and kept in the home folder."""
    try:
        # https://www.freedesktop.org/software/systemd/man/machine-id: empty or "uninitialized" before the first boot.
        named = MACHINE_ID_FILE.read_text().strip()
    except OSError:
        named = ""
    if named not in ("", "uninitialized"):
        return named
    kept = made_folder(home) / "machine-id"
    if not kept.exists():
        part = kept.with_name(f"{kept.name}.{uuid4().hex}.part")
        part.write_text(uuid4().hex)
        with suppress(FileExistsError):  # Of two who start at once, one names the machine.
            kept.hardlink_to(part)
        part.unlink()
    return kept.read_text()


def _this_machine(home: Path) -> Machine:
    return Machine(
        memory_mb=memory_for_guests_mb(_memory_mb()),
        vcpu=len(os.sched_getaffinity(0)),
        disk_gb=disk_for_guests_gb(shutil.disk_usage(home).total),
    )


def disk_for_guests_gb(total_bytes: int) -> int:
    """Return what is left for guests of the file system that they are on, in GiB: an eighth is kept, at least 4 GiB.

    Of all there is and not of what is free just now: what guests have written is theirs already.
    """
    total_gb = total_bytes // 1024**3
    return max(0, total_gb - max(RESERVE_MIN_GB, total_gb // RESERVE_DIVISOR))


def memory_for_guests_mb(total_mb: int) -> int:
    """Return what is left for guests of a machine's memory: the service, its database and QEMU itself need some."""
    return max(0, total_mb - max(RESERVE_MIN_MB, total_mb // RESERVE_DIVISOR))


def _memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1024 * 1024)


def made_folder(folder: Path) -> Path:
    """Return a folder, made where it is missing, that other users may pass through."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    return folder
