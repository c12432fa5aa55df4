"""Watching: raising what accounts are to be told of, once each, whoever looks and however often."""

from collections import defaultdict

import structlog

from api.ledger import Context
from api.runtime import Runtime
from domain.alerts.alerts import alerts_view, raise_alerts
from domain.alerts.following import Due
from domain.events import Actor
from domain.ids import AccountId
from domain.ports import StoreUnavailable

DUE_MAX = 1_000
"""Looked at in one go; what is left comes in the next."""

_log = structlog.get_logger(__name__)


async def raise_due(runtime: Runtime) -> int:
    """Raise everything that is to be told; return for how many accounts that was anything.

    Two that do it at once raise it once: the later one decides again over what the other recorded.
    """
    by_account: defaultdict[AccountId, list[Due]] = defaultdict(list)
    for due in await runtime.alert_work.due_alerts(DUE_MAX):
        by_account[due.account_id].append(due)
    raised = 0
    for account_id, told in by_account.items():
        try:
            raised += await _raise(runtime, account_id, told)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 Of one account; the others are told all the same.
            _log.exception("alerts not raised", account_id=str(account_id))
    return raised


async def _raise(runtime: Runtime, account_id: AccountId, due: list[Due]) -> bool:
    view, notice_id = alerts_view(account_id), runtime.ids.new()
    context = Context(actor=Actor("service", part="alerts"), account_id=account_id, cause=due[-1].cause, step="alert")
    outcome = await runtime.ledger.execute(
        (view,), lambda sight, _: raise_alerts(sight.of(view), account_id, due, notice_id), context
    )
    return bool(outcome.events)
