"""What is recorded of statements: that one was issued, under which number, and what it came to."""

from domain.events import Event
from domain.ids import AccountId
from domain.money import MicroUsd
from domain.statements.tax import TaxLine


class StatementIssued(Event, frozen=True, tag="statements.statement-issued.v1"):
    """The statement of an account for a month that is over has a number, and never changes from here on."""

    account_id: AccountId
    month: str
    """Such as ``2026-11``."""
    number: str
    """Such as ``2026-11-000001``; those of a month have no gaps."""
    issuer: str
    """Who issued it, as it was called then."""
    opening: MicroUsd
    closing: MicroUsd
    charges: MicroUsd
    """What was charged for minutes, less what of charges was put right; it includes the taxes."""
    taxes: tuple[TaxLine, ...]
    """By the rates that were set when it was issued."""
    until: int
    """The last position that was recorded when it was made up; everything of the month is before it."""
