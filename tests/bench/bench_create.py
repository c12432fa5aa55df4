"""From the request for a VPS to the first login, beside the same guest started by hand and reached by ``ssh``."""

import asyncio
import secrets
import shutil
import tempfile
import time
from pathlib import Path

from adapters.guest_image.builder import GuestImage, ensure_built
from adapters.libvirt_host.host import EmbeddedHost
from adapters.libvirt_host.kvm_probe import probe_kvm
from tests.bench.figures import Figure, interleaved
from tests.guests import Login, cache_folder, guest_spec, hypervisor_on, new_key_pair
from tests.journeys.killed_process import Customer, KilledProcess
from tests.ports import free_port

ROUNDS = 10
WARM_UP_ROUNDS = 1
RATIO_MAX = 1.25


async def run() -> list[Figure]:
    """Make a VPS through the whole service and a guest by hand in turns, on the same image."""
    image = ensure_built(cache_folder() / "images")
    folder = _made_folder(image)
    home = folder / "home"
    kvm = probe_kvm(image.kernel, image.initrd, cache=cache_folder() / "kvm.json").usable
    service, host = KilledProcess(home, free_port()), EmbeddedHost(folder / "host", images=image.folder.parent, kvm=kvm)
    try:
        await asyncio.to_thread(service.start)
        host.ensure_started()
        return [await _measured(service, host, image, folder, kvm=kvm)]
    finally:
        service.close()
        host.remove()
        shutil.rmtree(folder)


def _made_folder(image: GuestImage) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="litevps-bench-"))
    folder.chmod(0o711)
    (folder / "host").mkdir()
    (folder / "home").mkdir(mode=0o711)
    (folder / "home" / "images").symlink_to(image.folder.parent)
    return folder


async def _measured(
    service: KilledProcess, host: EmbeddedHost, image: GuestImage, folder: Path, *, kvm: bool
) -> Figure:
    customer = Customer(service)
    await asyncio.to_thread(customer.sign_up)
    hypervisor = hypervisor_on(host, image, accelerated=kvm)

    async def by_service() -> float:
        begun = time.perf_counter()
        await asyncio.to_thread(customer.create, secrets.token_hex(8))
        await asyncio.to_thread(customer.await_state, "running")
        taken = time.perf_counter() - begun
        await asyncio.to_thread(customer.delete)
        return taken

    async def by_hand() -> float:
        host_key, login_key = new_key_pair(), new_key_pair()
        spec = guest_spec(host_key, login_key)
        login = Login(folder, spec.ssh_port, host_key, login_key)
        begun = time.perf_counter()
        await hypervisor.ensure_prepared(spec)
        await hypervisor.ensure_running(spec)
        await asyncio.to_thread(login.wait)
        done = await asyncio.to_thread(login.run, "true")
        taken = time.perf_counter() - begun
        assert done.returncode == 0, done.stderr
        await hypervisor.ensure_removed(spec.vps_id)
        return taken

    await interleaved(WARM_UP_ROUNDS, by_service, by_hand)
    service_s, hand_s = await interleaved(ROUNDS, by_service, by_hand)
    await hypervisor.close()
    return Figure("create to first login, median", service_s, "s", hand_s, RATIO_MAX, at_most=True)
