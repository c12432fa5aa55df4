"""The steps that lead to a guest that is off, or gone; and the end of a step that came to nothing."""

from collections.abc import Callable
from typing import Any

from api.application.fail_points import reach
from api.application.repository import Sight
from api.application.worker_context import Workshop
from api.workers.host_observation import observe_host
from api.workers.steps.booting import hypervisor_of
from domain.compute import outcomes
from domain.compute.capacity import Reservations, capacity_view
from domain.compute.host import HostState, host_view
from domain.compute.steps import Step
from domain.compute.vps import Vps, vps_view
from domain.deciding import Decision, View
from domain.pricing.price_book import PRICES, PriceBook
from domain.time import Instant
from domain.wallet.wallet import Wallet, wallet_view

EndOutcome = Callable[[Vps | None, Wallet, HostState, Reservations, PriceBook, Step, Instant], Decision]


async def halt(workshop: Workshop, vps: Vps, step: Step) -> None:
    """Have the guest off, its last minutes proven before."""
    await workshop.shell.forget(vps.vps_id)
    if vps.host_id is not None:
        await _prove_last_minutes(workshop, vps)
        reach("halt:before-host")
        await hypervisor_of(workshop, vps).ensure_off(vps.vps_id, grace_s=step.grace_s)
        reach("halt:after-host")
    await _record_end(workshop, vps, step, outcomes.went_off)


async def remove(workshop: Workshop, vps: Vps, step: Step) -> None:
    """Have nothing left of the guest, its last minutes proven before."""
    await workshop.shell.forget(vps.vps_id)
    if vps.host_id is not None:
        await _prove_last_minutes(workshop, vps)
        reach("remove:before-host")
        await hypervisor_of(workshop, vps).ensure_removed(vps.vps_id)
        reach("remove:after-host")
    await _record_end(workshop, vps, step, outcomes.removed)


async def give_up(workshop: Workshop, vps: Vps, step: Step, error: str, *, by_guest: bool = False) -> None:
    """Record that a step came to nothing: the VPS is in error, and costs nothing from here on.

    ``by_guest``: whether the guest was on and let it fail.
    """
    view, wallet = vps_view(vps.vps_id), wallet_view(vps.account_id)

    def decide(sight: Sight, now: Instant) -> Decision:
        return outcomes.failed(sight.of(view), sight.of(wallet), step, error, now, by_guest=by_guest)

    await workshop.record([view, wallet], decide, "fail", vps.account_id)


async def _prove_last_minutes(workshop: Workshop, vps: Vps) -> None:
    # What is charged ended when the stop was accepted, which is before this: so this proves all of it,
    # and it is recorded before the guest is touched, lest a crash in between cost the proof.
    if vps.power == "up":
        await observe_host(workshop, hypervisor_of(workshop, vps))


async def _record_end(workshop: Workshop, vps: Vps, step: Step, outcome: EndOutcome) -> None:
    off_at = workshop.clock.now()
    await workshop.settle(vps.account_id)
    view, wallet = vps_view(vps.vps_id), wallet_view(vps.account_id)
    host = host_view(vps.host_id) if vps.host_id is not None else None
    reserved = capacity_view(vps.host_id) if vps.host_id is not None else None

    def decide(sight: Sight, _now: Instant) -> Decision:
        shown = sight.of(host) if host is not None else None
        held = sight.of(reserved) if reserved is not None else Reservations()
        return outcome(sight.of(view), sight.of(wallet), shown, held, sight.of(PRICES), step, off_at)

    of_host = [each for each in (host, reserved) if each is not None]
    views: list[View[Any]] = [view, wallet, PRICES, *of_host]
    await workshop.record(views, decide, step.name, vps.account_id)
