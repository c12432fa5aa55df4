"""The steps that lead to a guest that runs: a place, a disk, a start, a login, a restart."""

import asyncio

from api.capacity import room_views
from api.failpoints import reach
from api.ledger import Sight
from api.steps.host_keys import host_key
from api.steps.workshop import Workshop, address_of, spec_of
from domain.compute import outcomes
from domain.compute.ports import Hypervisor, HypervisorUnavailable
from domain.compute.steps import Step
from domain.compute.vps import Vps, vps_view
from domain.deciding import Decision
from domain.time import Instant, seconds
from domain.wallet.wallet import wallet_view


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
    await hypervisor_of(workshop, vps).ensure_prepared(spec_of(vps, workshop.service_key, host_key_private=private))
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
    await workshop.shell.login(address_of(vps))
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
    await hypervisor_of(workshop, vps).ensure_rebooted(vps.vps_id, grace_s=step.grace_s)
    reach("reboot:after-host")


async def login_again(workshop: Workshop, vps: Vps, step: Step) -> None:
    """Try once to log in after a restart."""
    await workshop.shell.login(address_of(vps))
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
