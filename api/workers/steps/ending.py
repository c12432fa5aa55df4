"""The steps that lead to a guest that is off, or gone; and the end of a step that came to nothing."""

import asyncio
from collections.abc import Callable
from typing import Any

from api.application.fail_points import fail_point
from api.application.repository import Loaded
from api.application.worker_context import WorkerContext
from api.workers.host_observation import observe_host
from api.workers.steps.attempt import Attempt
from api.workers.steps.booting import hypervisor_of
from domain.compute import outcomes
from domain.compute.capacity import Reservations, capacity_ref
from domain.compute.host import HostState, host_ref
from domain.compute.steps import Step
from domain.compute.vps import Vps, vps_ref
from domain.deciding import AggregateRef, Decision
from domain.pricing.price_book import PRICES, PriceBook
from domain.time import Instant
from domain.wallet.wallet import Wallet, wallet_ref

HALT_PERMIT_KEPT_S = 5.0
"""How long a guest that is to shut down keeps a permit: until then, all that wait for it are on at no cost."""

EndOutcome = Callable[[Vps | None, Wallet, HostState, Reservations, PriceBook, Step, Instant], Decision]


async def halt(attempt: Attempt, vps: Vps, step: Step) -> None:
    """Have the guest off, its last minutes proven before."""
    leaving = asyncio.get_running_loop().call_later(HALT_PERMIT_KEPT_S, attempt.permit.release)
    try:
        await _halt(attempt.worker, vps, step)
    finally:
        leaving.cancel()


async def _halt(worker: WorkerContext, vps: Vps, step: Step) -> None:
    await worker.shell.forget(vps.vps_id)
    if vps.host_id is not None:
        await prove_last_minutes(worker, vps)
        fail_point("halt:before-host")
        await hypervisor_of(worker, vps).ensure_off(vps.vps_id, grace_s=step.row.grace_s)
        fail_point("halt:after-host")
    await _record_end(worker, vps, step, outcomes.went_off)


async def remove(attempt: Attempt, vps: Vps, step: Step) -> None:
    """Have nothing left of the guest, its last minutes proven before."""
    worker = attempt.worker
    await worker.shell.forget(vps.vps_id)
    if vps.host_id is not None:
        await prove_last_minutes(worker, vps)
        fail_point("remove:before-host")
        await hypervisor_of(worker, vps).ensure_removed(vps.vps_id)
        fail_point("remove:after-host")
    await _record_end(worker, vps, step, outcomes.removed)


async def give_up(worker: WorkerContext, vps: Vps, step: Step, error: str, *, by_guest: bool = False) -> None:
    """Record that a step came to nothing: the VPS is in error, and costs nothing from here on.

    ``by_guest``: whether the guest was on and let it fail.
    """
    ref, wallet = vps_ref(vps.vps_id), wallet_ref(vps.account_id)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        return outcomes.failed(loaded.of(ref), loaded.of(wallet), step, error, now, by_guest=by_guest)

    await worker.record([ref, wallet], decide, "fail", vps.account_id)


async def prove_last_minutes(worker: WorkerContext, vps: Vps) -> None:
    """Have recorded what the host shows of a guest that is about to be put off."""
    # What is charged ended when the stop was accepted, which is before this: so this proves all of it,
    # and it is recorded before the guest is touched, lest a crash in between cost the proof.
    if vps.power == "up":
        await observe_host(worker, hypervisor_of(worker, vps))


async def _record_end(worker: WorkerContext, vps: Vps, step: Step, outcome: EndOutcome) -> None:
    off_at = worker.clock.now()
    await worker.settle(vps.account_id)
    ref, wallet = vps_ref(vps.vps_id), wallet_ref(vps.account_id)
    host = host_ref(vps.host_id) if vps.host_id is not None else None
    reserved = capacity_ref(vps.host_id) if vps.host_id is not None else None

    def decide(loaded: Loaded, _now: Instant) -> Decision:
        shown = loaded.of(host) if host is not None else None
        held = loaded.of(reserved) if reserved is not None else Reservations()
        return outcome(loaded.of(ref), loaded.of(wallet), shown, held, loaded.of(PRICES), step, off_at)

    of_host = [each for each in (host, reserved) if each is not None]
    refs: list[AggregateRef[Any]] = [ref, wallet, PRICES, *of_host]
    await worker.record(refs, decide, step.name, vps.account_id)
