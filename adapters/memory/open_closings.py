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
        still_open = sorted(account_id for account_id, is_finished in finished.items() if not is_finished)
        return [account_id for account_id in still_open if after is None or account_id > after][:limit]
