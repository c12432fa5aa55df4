"""The steps that lead to a guest that runs: a place, a disk, a start, a login, a restart."""

import asyncio
from collections.abc import Awaitable

from api.application.blobs import texts_of
from api.application.capacity import room_refs
from api.application.fail_points import fail_point
from api.application.host_keys import host_key
from api.application.repository import Loaded
from api.application.worker_context import WorkerContext, address_of, spec_of
from api.workers.steps.attempt import Attempt, now_s
from domain.compute import outcomes
from domain.compute.ports import Hypervisor, HypervisorUnavailable
from domain.compute.steps import Step, next_step
from domain.compute.vps import Vps, vps_ref
from domain.deciding import Decision
from domain.ids import vps_stream
from domain.images.images import IMAGES
from domain.time import Instant, seconds
from domain.wallet.wallet import wallet_ref

LOOK_AGAIN_S = 1.0
"""How often it is asked, while a guest keeps us waiting, whether the step is still to be taken."""
RELAUNCH_EVERY_S = 10.0
"""How often a guest that does not answer is looked after: it may have gone off in the meantime."""


async def place(attempt: Attempt, vps: Vps, step: Step) -> None:
    """Find a place for a VPS that was asked for before hosts had reservations. Raises NoCapacity."""
    worker = attempt.worker
    ref, hosts = vps_ref(vps.vps_id), await room_refs(worker)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        return outcomes.placed(loaded.of(ref), step, hosts.rooms(loaded, new=True), now)

    await worker.record([ref, *hosts.refs], decide, "place", vps.account_id)


async def prepare(attempt: Attempt, vps: Vps, step: Step) -> None:
    """Have disk and seed ready on the host."""
    worker = attempt.worker
    private, public = host_key(worker.sealer, vps.vps_id)
    fail_point("prepare:before-host")
    stream, told = vps_stream(vps.vps_id), {"user_data": vps.user_data}
    texts = await texts_of(worker.blobs, worker.sealer, stream, vps.account_id, told)
    image = (await worker.aggregates.load(IMAGES)).of(IMAGES).find(vps.image)
    spec = spec_of(
        vps,
        worker.service_key,
        host_key_private=private,
        user_data=texts["user_data"],
        image_key="" if image is None else image.key,
    )
    await hypervisor_of(worker, vps).ensure_prepared(spec)
    fail_point("prepare:after-host")
    ref = vps_ref(vps.vps_id)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        return outcomes.prepared(loaded.of(ref), step, public, now)

    await worker.record([ref], decide, "prepare", vps.account_id)


async def launch(attempt: Attempt, vps: Vps, step: Step) -> None:
    """Have the guest started; done again before a login, it finds out whether the guest is still on."""
    worker = attempt.worker
    fail_point("launch:before-host")
    seen = await hypervisor_of(worker, vps).ensure_running(spec_of(vps, worker.service_key))
    fail_point("launch:after-host")
    ref = vps_ref(vps.vps_id)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        return outcomes.launched(loaded.of(ref), step, seen.start_id, now)

    await worker.record([ref], decide, "launch", vps.account_id)
    attempt.launched_s = now_s()


async def login(attempt: Attempt, vps: Vps, step: Step) -> None:
    """Try once to log in: the first login after a start is the instant from which the VPS runs."""
    # Also the first thing done by a worker that takes over from one that died.
    if attempt.launched_s is None or now_s() - attempt.launched_s >= RELAUNCH_EVERY_S:
        await launch(attempt, vps, step)
    worker = attempt.worker
    fail_point("login:before-guest")
    if not await while_wanted(worker, vps, step, worker.shell.login(address_of(vps))):
        return
    at, waited = worker.clock.now(), seconds(now_s() - attempt.guest_waited_for_since_s)
    fail_point("login:after-guest")
    ref, wallet = vps_ref(vps.vps_id), wallet_ref(vps.account_id)

    def decide(loaded: Loaded, _now: Instant) -> Decision:
        return outcomes.came_up(loaded.of(ref), loaded.of(wallet), step, at, waited=waited)

    await worker.record([ref, wallet], decide, "login", vps.account_id)


async def reboot(attempt: Attempt, vps: Vps, step: Step) -> None:
    """Have the guest's operating system started anew, and try once to log in."""
    worker = attempt.worker
    if not attempt.rebooted:
        await _start_anew(worker, vps, step)
        attempt.rebooted = True
    if not await while_wanted(worker, vps, step, worker.shell.login(address_of(vps))):
        return
    ref = vps_ref(vps.vps_id)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        return outcomes.restarted(loaded.of(ref), step, now)

    await worker.record([ref], decide, "reboot", vps.account_id)


async def _start_anew(worker: WorkerContext, vps: Vps, step: Step) -> None:
    await worker.shell.forget(vps.vps_id)
    fail_point("reboot:before-host")
    rebooting = hypervisor_of(worker, vps).ensure_rebooted(vps.vps_id, grace_s=step.row.grace_s)
    await while_wanted(worker, vps, step, rebooting)
    fail_point("reboot:after-host")


def hypervisor_of(worker: WorkerContext, vps: Vps) -> Hypervisor:
    """Return the hypervisor of the host that a VPS is on. Raises HypervisorUnavailable."""
    assert vps.host_id is not None, "a VPS is placed before its host is asked for anything"
    hypervisor = worker.hypervisors.get(vps.host_id)
    if hypervisor is None:
        raise HypervisorUnavailable("this process does not drive the host")
    return hypervisor


async def while_wanted(worker: WorkerContext, vps: Vps, step: Step, effect: Awaitable[object]) -> bool:
    """Wait for what a guest can draw out, for as long as the step is to be taken; return whether it came to its end.

    What a guest is on for after its stop or delete was accepted is free: it must not hold that up by never answering.
    """
    under_way = asyncio.ensure_future(effect)
    try:
        while not (await asyncio.wait([under_way], timeout=LOOK_AGAIN_S))[0]:
            if next_step(await worker.vps(vps.vps_id)) != step:
                return False
        await under_way
        return True
    finally:
        if not under_way.done():
            under_way.cancel()
            await asyncio.wait([under_way])
