"""Watching: raising what accounts are to be told of, once each, whoever looks and however often."""

from api.application.queues import work_off_accounts
from api.application.repository import CommandContext
from api.application.runtime import Runtime
from domain.alerts.alerts import alerts_ref, raise_alerts
from domain.events import Actor
from domain.ids import AccountId

DUE_MAX = 1_000
"""What one account is told of in one go; what is left comes in the next."""
LEASE_S = 15.0
"""As long after a crash an account is left alone that was being told of something."""
LEASE_SCOPE = "alerts"


async def raise_due(runtime: Runtime) -> int:
    """Raise everything that is to be told; return for how many accounts that was anything.

    Two that do it at once raise it once: the later one decides again over what the other recorded.
    """

    async def raise_for(account_id: AccountId) -> bool:
        return await _raise(runtime, account_id)

    return await work_off_accounts(
        runtime.worker.leases, LEASE_SCOPE, runtime.alert_work.due_accounts, raise_for, lease_s=LEASE_S
    )


async def _raise(runtime: Runtime, account_id: AccountId) -> bool:
    due = await runtime.alert_work.due_alerts(account_id, DUE_MAX)
    if not due:
        return False  # Somebody else was quicker.
    ref, notice_id = alerts_ref(account_id), runtime.ids.new()
    context = CommandContext(
        actor=Actor("service", part="alerts"), account_id=account_id, cause=due[-1].cause, step="alert"
    )
    outcome = await runtime.aggregates.execute(
        (ref,), lambda loaded, _: raise_alerts(loaded.of(ref), account_id, due, notice_id), context
    )
    return bool(outcome.events)
