"""Making statements: drawn up, numbered where the month is over, put into words."""

import msgspec
import structlog

from api.ledger import Context, Sight
from api.runtime import Runtime
from api.statements.source import Drawn
from api.statements.told import ToldStatement, told_statement
from domain.accounts.account import account_view
from domain.deciding import Decision
from domain.errors import NotFound
from domain.events import Actor
from domain.ids import AccountId
from domain.ports import ClaimTaken
from domain.pricing.price_book import PRICES
from domain.settings.settings import SETTINGS_VIEW
from domain.statements.events import StatementIssued
from domain.statements.issuing import CLOCKS_DIFFER_MAX, is_over, issue, statements_view
from domain.statements.month import Month, month_of
from domain.statements.tax import tax_lines
from domain.time import Instant
from projections.statements import Issued

_log = structlog.get_logger(__name__)

ISSUE_EVERY_S = 300.0
DUE_AT_ONCE_MAX = 500
"""How many statements one round issues at most; the next goes on."""


async def statement_for(runtime: Runtime, account_id: AccountId, month: Month, context: Context) -> ToldStatement:
    """Return an account's statement of a month, issued by this call at the latest if the month is over.

    ``context``: of whoever asks. Raises NotFound for a month to come, and for one before there was a wallet.
    """
    now = runtime.clock.now()
    drawn = None if month.begins > now else await runtime.statements.drawn(account_id, month)
    if drawn is None:
        raise NotFound
    if drawn.issued is None and is_over(month, now):
        drawn = await _issued(runtime, drawn, context)
    account, prices, settings = account_view(account_id), PRICES, SETTINGS_VIEW
    sight = await runtime.ledger.read(account, prices, settings)
    vps_ids = {line.vps_id for line in (*drawn.statement.charged, *drawn.statement.waived)}
    return told_statement(
        drawn,
        email=sight.of(account).email,
        issuer=sight.of(settings).issuer,
        taxes=tax_lines(drawn.statement.charges, sight.of(settings).tax),
        vps_names=await runtime.statements.names(account_id, vps_ids),
        plan_names={plan_id: plan.name for plan_id, plan in sight.of(prices).plans.items()},
    )


async def issue_due(runtime: Runtime) -> int:
    """Issue statements of months that are over for accounts in whose wallet something moved; return how many.

    At most ``DUE_AT_ONCE_MAX``: whoever calls again goes on with the rest.
    """
    # A month that ended just now may still get an event: none of it is due yet.
    before = month_of(Instant(runtime.clock.now() - CLOCKS_DIFFER_MAX))
    due = await runtime.statements.due(before, DUE_AT_ONCE_MAX)
    issued = 0
    for account_id, month in due:
        try:
            await _issue_one(runtime, account_id, month)
        except AssertionError:
            # Its numbers contradict each other; whoever comes after it is not to wait until somebody has looked.
            _log.exception("statement not issued", account_id=str(account_id), month=str(month))
        else:
            issued += 1
    return issued


async def _issue_one(runtime: Runtime, account_id: AccountId, month: Month) -> None:
    drawn = await runtime.statements.drawn(account_id, month)
    assert drawn is not None, "something moved in this month"
    if drawn.issued is None:
        context = Context(Actor("service", part="statements"), account_id, step="issue-statement")
        await _issued(runtime, drawn, context)


async def _issued(runtime: Runtime, drawn: Drawn, context: Context) -> Drawn:
    """Return what was drawn with its number; issued by somebody else meanwhile, it has the one that they gave."""
    statement = drawn.statement
    view = statements_view(statement.month)

    def decide(sight: Sight, now: Instant) -> Decision:
        settings = sight.of(SETTINGS_VIEW)
        return issue(sight.of(view), statement, settings.tax, settings.issuer, drawn.until, now)

    try:
        outcome = await runtime.ledger.execute((view, SETTINGS_VIEW), decide, context)
    except ClaimTaken:
        again = await runtime.statements.drawn(statement.account_id, statement.month)
        assert again is not None, "the month was there a moment ago"
        assert again.issued is not None, "whoever has the claim has issued it"
        return again
    [(_, event)] = outcome.events
    assert isinstance(event, StatementIssued)
    return msgspec.structs.replace(drawn, issued=Issued(outcome.at, event))
