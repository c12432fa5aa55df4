"""Making statements: computed, numbered where the month is over, put into words."""

from collections.abc import Sequence
from uuid import UUID, uuid5

import msgspec

from api.application.queues import Queue
from api.application.repository import CommandContext, Loaded
from api.application.runtime import Runtime
from api.application.statements.presentation import StatementPresentation, present_statement
from api.application.statements.source import ComputedStatement
from domain.accounts.account import account_ref
from domain.deciding import Decision
from domain.errors import NotFound
from domain.events import Actor
from domain.ids import AccountId
from domain.ports import ClaimTaken
from domain.pricing.price_book import PRICES
from domain.settings.settings import SETTINGS_REF
from domain.statements.events import StatementIssued
from domain.statements.issuing import CLOCKS_DIFFER_MAX, is_over, issue, statements_ref
from domain.statements.month import Month, month_of
from domain.statements.tax import tax_lines
from domain.time import Instant
from projections.statements import Issued

ISSUE_EVERY_S = 300.0
LEASE_S = 60.0
LEASE_SCOPE = "statement"

_Due = tuple[AccountId, Month]


async def statement_for(
    runtime: Runtime, account_id: AccountId, month: Month, context: CommandContext
) -> StatementPresentation:
    """Return an account's statement of a month, issued by this call at the latest if the month is over.

    ``context``: of whoever asks. Raises NotFound for a month to come, and for one before there was a wallet.
    """
    now = runtime.clock.now()
    computed = None if month.begins > now else await runtime.statements.compute(account_id, month)
    if computed is None:
        raise NotFound
    if computed.issued is None and is_over(month, now):
        computed = await _issued(runtime, computed, context)
    account, prices, settings = account_ref(account_id), PRICES, SETTINGS_REF
    loaded = await runtime.aggregates.load(account, prices, settings)
    vps_ids = {line.vps_id for line in (*computed.statement.charged, *computed.statement.waived)}
    return present_statement(
        computed,
        email=loaded.of(account).email,
        issuer=loaded.of(settings).issuer,
        taxes=tax_lines(computed.statement.charges, loaded.of(settings).tax),
        vps_names=await runtime.statements.names(account_id, vps_ids, month),
        plan_names={plan_id: plan.name for plan_id, plan in loaded.of(prices).plans.items()},
    )


async def issue_due(runtime: Runtime) -> int:
    """Issue statements of months that are over for accounts in whose wallet something moved; return how many."""
    # A month that ended just now may still get an event: none of it is due yet.
    before = month_of(Instant(runtime.clock.now() - CLOCKS_DIFFER_MAX))

    async def waiting(after: _Due | None, limit: int) -> Sequence[_Due]:
        return await runtime.statements.due(before, after, limit)

    async def issue_one(due: _Due) -> bool:
        return await _issue_one(runtime, *due)

    queue = Queue(LEASE_SCOPE, runtime.worker.leases, waiting, issue_one, lease_key=_lease_key, lease_s=LEASE_S)
    return await queue.work_off()


def _lease_key(due: _Due) -> UUID:
    account_id, month = due
    return uuid5(account_id, str(month))


async def _issue_one(runtime: Runtime, account_id: AccountId, month: Month) -> bool:
    computed = await runtime.statements.compute(account_id, month)
    assert computed is not None, "something moved in this month"
    if computed.issued is not None:
        return False  # Somebody else was quicker.
    context = CommandContext(Actor("service", part="statements"), account_id, step="issue-statement")
    await _issued(runtime, computed, context)
    return True


async def _issued(runtime: Runtime, computed: ComputedStatement, context: CommandContext) -> ComputedStatement:
    """Return what was computed with its number; issued by somebody else meanwhile, it has the one that they gave."""
    statement = computed.statement
    ref = statements_ref(statement.month)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        settings = loaded.of(SETTINGS_REF)
        return issue(loaded.of(ref), statement, settings.tax, settings.issuer, computed.until, now)

    try:
        outcome = await runtime.aggregates.execute((ref, SETTINGS_REF), decide, context)
    except ClaimTaken:
        again = await runtime.statements.compute(statement.account_id, statement.month)
        assert again is not None, "the month was there a moment ago"
        assert again.issued is not None, "whoever has the claim has issued it"
        return again
    [(_, event)] = outcome.events
    assert isinstance(event, StatementIssued)
    return msgspec.structs.replace(computed, issued=Issued(outcome.at, event))
