"""Accounts that are being closed, found by folding the feed in memory: what a read model does elsewhere."""

from domain.accounts.closing import is_to_go_back
from domain.accounts.events import AccountClosed, ClosingFinished
from domain.codec import decode
from domain.ids import AccountId
from domain.ports import EventStore
from domain.wallet.events import FundsAdded, FundsReturned

_BATCH = 10_000


class MemoryOpenClosings:
    """Implements ``domain.accounts.ports.OpenClosings``: folds everything, each time."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def open_closings(self, limit: int) -> list[AccountId]:
        """Return closed accounts for which something may be left; see ``OpenClosings.open_closings``."""
        since: dict[AccountId, int | None] = {}
        position = 0
        while batch := await self._store.read_feed(position, _BATCH):
            position = batch[-1].position
            for recorded in batch:
                event = decode(recorded)
                match event:
                    case AccountClosed(account_id=account_id):
                        since[account_id] = recorded.position
                    case ClosingFinished(account_id=account_id):
                        since[account_id] = None
                    case FundsAdded(account_id=account_id) | FundsReturned(account_id=account_id):
                        if account_id in since and is_to_go_back(event):
                            since[account_id] = recorded.position
        still_open = sorted((at, account_id) for account_id, at in since.items() if at is not None)
        return [account_id for _, account_id in still_open[:limit]]
