"""Issuing: a statement is given the next number of its month, once."""

from collections.abc import Sequence

import msgspec

from domain.deciding import AggregateRef, Decision, Fold
from domain.errors import Refusal
from domain.events import Event
from domain.ids import AccountId, StreamId, statements_stream
from domain.ports import Claim
from domain.statements.events import StatementIssued
from domain.statements.month import Month
from domain.statements.statement import Statement
from domain.statements.tax import TaxRate, tax_lines
from domain.time import MINUTE, Instant

STATEMENT_CLAIM = "statement"
"""The scope of the claim that each statement has on its account and month."""
CLOCKS_DIFFER_MAX = 1 * MINUTE
"""A month is taken to be over this much later, since it is the database's clock that says what is recorded in it."""


class MonthNotOver(Refusal):
    """A statement is numbered once its month is over."""

    code = "month_not_over"
    sentence = "the month is not over"


class Numbered(msgspec.Struct, frozen=True):
    """How many statements of a month have been issued."""

    count: int = 0


def evolve(numbered: Numbered, event: Event) -> Numbered:
    """Return how many there are after an event."""
    return Numbered(numbered.count + 1) if isinstance(event, StatementIssued) else numbered


FOLD: Fold[Numbered] = Fold(initial=Numbered(), evolve=evolve, snapshot=Numbered)


def statements_ref(month: Month) -> AggregateRef[Numbered]:
    """Return the reference of the statements of a month."""
    return AggregateRef(stream_of(month), FOLD)


def is_over(month: Month, now: Instant) -> bool:
    """Return whether nothing can be recorded in a month any more."""
    return now >= month.ends + CLOCKS_DIFFER_MAX


def issue(
    numbered: Numbered, statement: Statement, rates: Sequence[TaxRate], issuer: str, until: int, now: Instant
) -> Decision:
    """Give a statement its number. Raises MonthNotOver; the claim is taken where it has one already.

    ``until``: the last position when ``statement`` was made up.
    """
    month = statement.month
    if not is_over(month, now):
        raise MonthNotOver(month=str(month))
    issued = StatementIssued(
        account_id=statement.account_id,
        month=str(month),
        number=f"{month}-{numbered.count + 1:06d}",
        issuer=issuer,
        opening=statement.opening,
        closing=statement.closing,
        charges=statement.charges,
        taxes=tax_lines(statement.charges, rates),
        until=until,
    )
    claim = Claim(STATEMENT_CLAIM, claim_key(statement.account_id, month), statement.account_id)
    return Decision(events=((stream_of(month), issued),), claims=(claim,))


def claim_key(account_id: AccountId, month: Month) -> bytes:
    """Return what a statement claims: this account's of this month."""
    return account_id.bytes + str(month).encode()


def stream_of(month: Month) -> StreamId:
    """Return the stream in which the statements of a month are numbered."""
    return statements_stream(str(month))
