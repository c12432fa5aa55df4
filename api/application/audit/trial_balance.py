"""The trial balance at any position or instant, computed by replay from the events alone."""

from collections import defaultdict
from typing import cast, get_args

import msgspec

from api.application.audit.verify import EventReader
from domain import codec
from domain.books.deferred import PrepaidParts, funds_after, prepaid_parts
from domain.books.postings import MoneyEvent, WalletSide, postings
from domain.ids import AccountId
from domain.money import MicroUsd
from domain.ports import Recorded
from domain.time import Instant
from domain.wallet.wallet import Wallet

MONEY_NAMES: frozenset[str] = frozenset().union(*map(codec.names_read_as, get_args(MoneyEvent)))
"""Stored names of the events that have postings; the others need not be decoded, which is most of the time."""
_OF_WALLETS = frozenset(get_args(WalletSide))


class TrialBalance(msgspec.Struct, frozen=True):
    """The books as they stood."""

    position: int
    """The last event that is in it; 0 where there is none."""
    recorded_at: Instant
    """When that was recorded."""
    accounts: dict[str, MicroUsd]
    """By name, debit above zero; what was never posted to is left out."""
    prepaid: PrepaidParts
    """What of the prepaid accounts is deferred revenue."""

    @property
    def total(self) -> MicroUsd:
        """The sum of all accounts, which is zero."""
        return MicroUsd(sum(self.accounts.values()))


async def trial_balance(
    event_reader: EventReader, *, position: int | None = None, before: Instant | None = None
) -> TrialBalance:
    """Return the trial balance of all events up to ``position``, and recorded before an instant; of all by default."""
    books = Books()
    async for batch in event_reader.replay():
        for recorded in batch:
            too_far = position is not None and recorded.position > position
            if too_far or (before is not None and recorded.recorded_at >= before):
                return books.balance()
            books.add(recorded)
    return books.balance()


class Books:
    """Adds up postings event by event."""

    def __init__(self) -> None:
        self._position, self._recorded_at = 0, Instant(0)
        self._sums: defaultdict[str, int] = defaultdict(int)
        self._wallets: defaultdict[AccountId, Wallet] = defaultdict(Wallet)

    def add(self, recorded: Recorded) -> None:
        """Take in the next event."""
        self._position, self._recorded_at = recorded.position, recorded.recorded_at
        if recorded.type not in MONEY_NAMES:
            return
        event = codec.decode(recorded)
        for posting in postings(event):
            self._sums[posting.account] += posting.amount
        if type(event) in _OF_WALLETS:
            account_id = cast("WalletSide", event).account_id
            self._wallets[account_id] = funds_after(self._wallets[account_id], event)

    def balance(self) -> TrialBalance:
        """Return how the books stand."""
        accounts = {account: MicroUsd(total) for account, total in sorted(self._sums.items())}
        return TrialBalance(self._position, self._recorded_at, accounts, prepaid_parts(self._wallets.values()))
