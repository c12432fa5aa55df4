"""Accounts that are being closed, found by folding the feed in memory: what a read model does elsewhere."""

from collections.abc import Iterable

from domain.accounts.closing import is_to_go_back
from domain.accounts.events import AccountClosed, AccountErased, ClosingFinished, ErasureFinished
from domain.codec import decode
from domain.ids import AccountId
from domain.ports import EventStore
from domain.wallet.events import FundsAdded, FundsReturned

_BATCH = 10_000


class MemoryOpenClosings:
    """Implements ``domain.accounts.ports.OpenClosings``: folds everything, each time."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def open_closings(self, after: AccountId | None, limit: int) -> list[AccountId]:
        """Return closed accounts for which something may be left; see ``OpenClosings.open_closings``."""
        finished: dict[AccountId, bool] = {}
        position = 0
        while batch := await self._store.read_feed(position, _BATCH):
            position = batch[-1].position
            for recorded in batch:
                event = decode(recorded)
                match event:
                    case AccountClosed(account_id=account_id):
                        finished[account_id] = False
                    case ClosingFinished(account_id=account_id):
                        finished[account_id] = True
                    case FundsAdded(account_id=account_id) | FundsReturned(account_id=account_id):
                        if account_id in finished and is_to_go_back(event):
                            finished[account_id] = False
        return _page([account_id for account_id, is_finished in finished.items() if not is_finished], after, limit)

    async def open_erasures(self, after: AccountId | None, limit: int) -> list[AccountId]:
        """Return erased accounts of which something may be left; see ``OpenClosings.open_erasures``."""
        _, erased, finished = await self._ends()
        return _page(erased - finished, after, limit)

    async def closed_accounts(self, after: AccountId | None, limit: int) -> list[AccountId]:
        """Return accounts that are closed and not erased; see ``OpenClosings.closed_accounts``."""
        closed, erased, _ = await self._ends()
        return _page(closed - erased, after, limit)

    async def _ends(self) -> tuple[set[AccountId], set[AccountId], set[AccountId]]:
        closed: set[AccountId] = set()
        erased: set[AccountId] = set()
        finished: set[AccountId] = set()
        position = 0
        while batch := await self._store.read_feed(position, _BATCH):
            position = batch[-1].position
            for recorded in batch:
                match decode(recorded):
                    case AccountClosed(account_id=account_id):
                        closed.add(account_id)
                    case AccountErased(account_id=account_id):
                        erased.add(account_id)
                    case ErasureFinished(account_id=account_id):
                        finished.add(account_id)
        return closed, erased, finished


def _page(account_ids: Iterable[AccountId], after: AccountId | None, limit: int) -> list[AccountId]:
    return [account_id for account_id in sorted(account_ids) if after is None or account_id > after][:limit]
