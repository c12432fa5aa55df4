"""From the request for a VPS to the first login, through the whole service."""

import asyncio
import secrets
import shutil
import tempfile
import time
from pathlib import Path

from adapters.guest_image.builder import GuestImage, ensure_built
from adapters.libvirt_host.host import EmbeddedHost
from adapters.libvirt_host.kvm_probe import probe_kvm
from tests.bench.bench_guest import BY_HAND, started_by_hand
from tests.bench.figures import Figure, interleaved
from tests.guests import cache_folder, new_key_pair
from tests.journeys.killed_process import Customer, KilledProcess
from tests.ports import free_port

ROUNDS = 5
WARM_UP_ROUNDS = 1
CREATED_MAX = 1.25


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
    keys = new_key_pair()

    async def by_service() -> float:
        begun = time.perf_counter()
        await asyncio.to_thread(customer.create, secrets.token_hex(8))
        await asyncio.to_thread(customer.await_state, "running")
        taken = time.perf_counter() - begun
        await asyncio.to_thread(customer.delete)
        return taken

    async def by_hand() -> float:
        return await asyncio.to_thread(started_by_hand, host, image, folder, keys, kvm=kvm)

    await interleaved(WARM_UP_ROUNDS, by_service, by_hand)
    service_s, hand_s = await interleaved(ROUNDS, by_service, by_hand)
    return Figure(
        name="create to first login",
        measured=service_s,
        unit="s",
        floor=hand_s,
        floor_is=BY_HAND,
        target=CREATED_MAX,
        at_most=True,
    )
