"""The steps that lead to a guest that runs: a place, a disk, a start, a login, a restart."""

import asyncio
from collections.abc import Awaitable

from api.application.blobs import texts_of
from api.application.capacity import room_views
from api.application.fail_points import reach
from api.application.host_keys import host_key
from api.application.repository import Sight
from api.application.worker_context import Workshop, address_of, spec_of
from domain.compute import outcomes
from domain.compute.ports import Hypervisor, HypervisorUnavailable
from domain.compute.steps import Step, next_step
from domain.compute.vps import Vps, vps_view
from domain.deciding import Decision
from domain.ids import vps_stream
from domain.time import Instant, seconds
from domain.wallet.wallet import wallet_view

LOOK_AGAIN_S = 1.0
"""How often it is asked, while a guest keeps us waiting, whether the step is still to be taken."""


async def place(workshop: Workshop, vps: Vps, step: Step) -> None:
    """Find a place for a VPS that was asked for before hosts had reservations. Raises NoCapacity."""
    view, hosts = vps_view(vps.vps_id), await room_views(workshop)

    def decide(sight: Sight, now: Instant) -> Decision:
        return outcomes.placed(sight.of(view), step, hosts.rooms(sight, new=True), now)

    await workshop.record([view, *hosts.views], decide, "place", vps.account_id)


async def prepare(workshop: Workshop, vps: Vps, step: Step) -> None:
    """Have disk and seed ready on the host."""
    private, public = host_key(workshop.sealer, vps.vps_id)
    reach("prepare:before-host")
    hypervisor = hypervisor_of(workshop, vps)
    stream, told = vps_stream(vps.vps_id), {"user_data": vps.user_data}
    texts = await texts_of(workshop.blobs, workshop.sealer, stream, vps.account_id, told)
    spec = spec_of(vps, workshop.service_key, host_key_private=private, user_data=texts["user_data"])
    await hypervisor.ensure_prepared(spec)
    reach("prepare:after-host")
    view = vps_view(vps.vps_id)

    def decide(sight: Sight, now: Instant) -> Decision:
        return outcomes.prepared(sight.of(view), step, public, now)

    await workshop.record([view], decide, "prepare", vps.account_id)


async def launch(workshop: Workshop, vps: Vps, step: Step) -> None:
    """Have the guest started; done again before a login, it finds out whether the guest is still on."""
    reach("launch:before-host")
    seen = await hypervisor_of(workshop, vps).ensure_running(spec_of(vps, workshop.service_key))
    reach("launch:after-host")
    view = vps_view(vps.vps_id)

    def decide(sight: Sight, now: Instant) -> Decision:
        return outcomes.launched(sight.of(view), step, seen.start_id, now)

    await workshop.record([view], decide, "launch", vps.account_id)


async def login(workshop: Workshop, vps: Vps, step: Step, *, since_s: float) -> None:
    """Try once to log in: the first login after a start is the instant from which the VPS runs.

    ``since_s``: when it was tried first, by the clock of the loop.
    """
    reach("login:before-guest")
    if not await _while_wanted(workshop, vps, step, workshop.shell.login(address_of(vps))):
        return
    at, waited = workshop.clock.now(), seconds(asyncio.get_running_loop().time() - since_s)
    reach("login:after-guest")
    view, wallet = vps_view(vps.vps_id), wallet_view(vps.account_id)

    def decide(sight: Sight, _now: Instant) -> Decision:
        return outcomes.came_up(sight.of(view), sight.of(wallet), step, at, waited=waited)

    await workshop.record([view, wallet], decide, "login", vps.account_id)


async def reboot(workshop: Workshop, vps: Vps, step: Step) -> None:
    """Have the guest's operating system started anew."""
    await workshop.shell.forget(vps.vps_id)
    reach("reboot:before-host")
    rebooting = hypervisor_of(workshop, vps).ensure_rebooted(vps.vps_id, grace_s=step.grace_s)
    await _while_wanted(workshop, vps, step, rebooting)
    reach("reboot:after-host")


async def login_again(workshop: Workshop, vps: Vps, step: Step) -> None:
    """Try once to log in after a restart."""
    if not await _while_wanted(workshop, vps, step, workshop.shell.login(address_of(vps))):
        return
    view = vps_view(vps.vps_id)

    def decide(sight: Sight, now: Instant) -> Decision:
        return outcomes.restarted(sight.of(view), step, now)

    await workshop.record([view], decide, "reboot", vps.account_id)


def hypervisor_of(workshop: Workshop, vps: Vps) -> Hypervisor:
    """Return the hypervisor of the host that a VPS is on. Raises HypervisorUnavailable."""
    assert vps.host_id is not None, "a VPS is placed before its host is asked for anything"
    hypervisor = workshop.hypervisors.get(vps.host_id)
    if hypervisor is None:
        raise HypervisorUnavailable("this process does not drive the host")
    return hypervisor


async def _while_wanted(workshop: Workshop, vps: Vps, step: Step, effect: Awaitable[object]) -> bool:
    """Wait for what a guest can draw out, for as long as the step is to be taken; return whether it came to its end.

    What a guest is on for after its stop or delete was accepted is free: it must not hold that up by never answering.
    """
    under_way = asyncio.ensure_future(effect)
    try:
        while not (await asyncio.wait([under_way], timeout=LOOK_AGAIN_S))[0]:
            if next_step(await workshop.vps(vps.vps_id)) != step:
                return False
        await under_way
        return True
    finally:
        if not under_way.done():
            under_way.cancel()
            await asyncio.wait([under_way])
