"""Checks of statements: numbered without gaps, issued after their month, and right to the micro-dollar."""

from collections import Counter

from api.application.audit.findings import Check
from api.application.audit.wallets import Wallets
from domain.errors import Invalid
from domain.events import Event
from domain.statements.events import StatementIssued
from domain.statements.month import parse_month
from domain.statements.tax import tax_lines
from domain.time import Instant


class Statements:
    """Sees every event once, in order of position, after the wallets have."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets
        self._issued: Counter[str] = Counter()
        self._whose: set[tuple[object, str]] = set()
        self.numbers = Check("every month's statements are numbered 1, 2, 3 …, one for an account, once it is over")
        self.sums = Check("every statement says what the wallet's events come to, and what of it is tax")

    @property
    def checks(self) -> tuple[Check, ...]:
        """Return the checks that these are."""
        return self.numbers, self.sums

    def visit(self, position: int, recorded_at: Instant, event: Event) -> None:
        """Look at the next event."""
        if not isinstance(event, StatementIssued):
            return
        try:
            month = parse_month(event.month)
        except Invalid:
            self.numbers.fault(f"position {position}: {event.month!r} is no month")
            return
        self._issued[event.month] += 1
        number = f"{month}-{self._issued[event.month]:06d}"
        self.numbers.expect(event.number == number, f"position {position}: {event.number} is where {number} should be")
        if recorded_at < month.ends:
            self.numbers.fault(f"position {position}: {number} was issued before its month was over")
        if (whose := (event.account_id, event.month)) in self._whose:
            self.numbers.fault(f"position {position}: account {event.account_id} has two statements of {month}")
        self._whose.add(whose)
        found = self._wallets.at_ends_of(event.account_id, event.month)
        told = (event.opening, event.closing, event.charges)
        self.sums.expect(told == found, f"position {position}: {number} tells {told}, and the events come to {found}")
        if event.taxes != tax_lines(event.charges, [line.rate for line in event.taxes]):
            self.sums.fault(f"position {position}: the taxes of {number} are not those of {event.charges} micro-USD")
