"""Checks of wallets: balances and debts summed anew, event by event, and as they stood at the end of each month."""

from bisect import bisect_left, bisect_right
from collections import defaultdict

from api.application.audit.findings import Check
from domain.books.postings import WalletSide
from domain.events import Event
from domain.ids import AccountId
from domain.statements.month import month_of
from domain.time import Instant
from domain.wallet.events import (
    BadDebtRecovered,
    DebtWrittenOff,
    FundsAdded,
    FundsCorrected,
    FundsCredited,
    FundsReturned,
    FundsTaken,
    MinutesMetered,
    MinutesWaived,
    ReceivablePaid,
)
from domain.wallet.movements import movement

_BRINGS_MONEY = (FundsAdded, FundsCredited, FundsCorrected, FundsReturned)
"""After these, what is owed is paid off by the very next event of the wallet."""


class _Account:
    """One wallet as it becomes, and what it was before its first event of each month."""

    __slots__ = ("balance", "balances_before", "charges", "months", "owed", "paying_off")

    def __init__(self) -> None:
        self.balance = self.owed = 0
        self.paying_off = False
        self.months: list[str] = []
        self.balances_before: list[int] = []
        self.charges: defaultdict[str, int] = defaultdict(int)


class Wallets:
    """Sees every event of every wallet once, in order of position."""

    def __init__(self) -> None:
        self._accounts: defaultdict[AccountId, _Account] = defaultdict(_Account)
        self.balances = Check("no minute was ever paid that the balance did not cover")
        self.debts = Check("nobody owes less than nothing, and nobody who owes has a balance")

    @property
    def checks(self) -> tuple[Check, ...]:
        """Return the checks that these are."""
        return self.balances, self.debts

    def visit(self, position: int, recorded_at: Instant, event: Event) -> None:
        """Look at the next event."""
        if not isinstance(event, WalletSide):
            return
        account = self._accounts[event.account_id]
        if not isinstance(event, ReceivablePaid | BadDebtRecovered):
            self._expect_paid_off(account, f"position {position}: before it")
        self._mark(account, recorded_at, event)
        if not isinstance(event, DebtWrittenOff | MinutesWaived):
            account.balance += movement(event)
            self.balances.expect(
                account.balance >= 0, f"position {position}: the balance falls to {account.balance} micro-USD"
            )
        if not isinstance(event, MinutesMetered | MinutesWaived):
            account.owed += _owed(event)
            self.debts.expect(account.owed >= 0, f"position {position}: {account.owed} micro-USD are owed")
        account.paying_off = isinstance(event, _BRINGS_MONEY)
        if not account.paying_off:
            self._expect_paid_off(account, f"position {position}: after it")

    def finish(self) -> None:
        """Look at what is left."""
        for account_id, account in self._accounts.items():
            self._expect_paid_off(account, f"account {account_id}: at the end")

    def at_ends_of(self, account_id: AccountId, month: str) -> tuple[int, int, int]:
        """Return the balance at the beginning and at the end of a month, and what was charged in it."""
        account = self._accounts[account_id]
        marks = [*account.balances_before, account.balance]
        opening = marks[bisect_left(account.months, month)]
        closing = marks[bisect_right(account.months, month)]
        return opening, closing, account.charges.get(month, 0)

    def _mark(self, account: _Account, recorded_at: Instant, event: Event) -> None:
        month = str(month_of(recorded_at))
        if not account.months or account.months[-1] != month:
            account.months.append(month)
            account.balances_before.append(account.balance)
        if isinstance(event, MinutesMetered):
            account.charges[month] += sum([line.amount for line in event.lines])
        elif isinstance(event, FundsCorrected) and event.contra == "minutes":
            account.charges[month] -= event.amount

    def _expect_paid_off(self, account: _Account, where: str) -> None:
        if account.owed and account.balance:
            self.debts.fault(f"{where} {account.owed} micro-USD are owed, with {account.balance} on the balance")


def _owed(event: WalletSide) -> int:
    """Return by how much an event moves what an account owes."""
    match event:
        case FundsTaken():
            return event.owed
        case ReceivablePaid() | DebtWrittenOff():
            return -event.amount
        case _:
            return 0
