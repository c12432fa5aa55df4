"""The step that has a guest which is on reach what its owner last said."""

from api.application.fail_points import fail_point
from api.application.repository import Loaded
from api.application.worker_context import spec_of
from api.workers.steps.attempt import Attempt
from api.workers.steps.booting import hypervisor_of
from domain.compute import outcomes
from domain.compute.steps import Step
from domain.compute.vps import Vps, vps_ref
from domain.deciding import Decision
from domain.time import Instant


async def apply_policy(attempt: Attempt, vps: Vps, step: Step) -> None:
    """Have the host put the policy in force."""
    worker, ref = attempt.worker, vps_ref(vps.vps_id)
    fail_point("filter:before-host")
    await hypervisor_of(worker, vps).ensure_egress(spec_of(vps, worker.service_key))
    fail_point("filter:after-host")

    def decide(loaded: Loaded, now: Instant) -> Decision:
        return outcomes.filtered(loaded.of(ref), step, vps.egress_revision, now)

    await worker.record([ref], decide, "filter", vps.account_id)
