"""Accounts of which minutes are due, found by folding the feed in memory: what a read model does elsewhere."""

from domain.codec import decode
from domain.ids import AccountId, StreamId
from domain.ports import EventStore
from domain.time import Instant
from domain.wallet.wallet import FOLD, Wallet

_BATCH = 10_000


class MemoryDueAccounts:
    """Implements ``domain.wallet.ports.DueAccounts``."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._position = 0
        self._wallets: dict[StreamId, Wallet] = {}

    async def due_accounts(self, now: Instant, after: AccountId | None, limit: int) -> list[AccountId]:
        """Return accounts with a minute that begins by ``now``, in the order of their ids, past ``after``."""
        while batch := await self._store.read_feed(self._position, _BATCH):
            for recorded in batch:
                if recorded.type.startswith("wallet."):
                    before = self._wallets.get(recorded.stream, FOLD.initial)
                    self._wallets[recorded.stream] = FOLD.evolve(before, decode(recorded))
            self._position = batch[-1].position
        due = sorted(
            wallet.account_id
            for wallet in self._wallets.values()
            if wallet.account_id is not None
            and any(meter.due_at is not None and meter.due_at <= now for meter in wallet.meters.values())
        )
        return [account_id for account_id in due if after is None or account_id > after][:limit]
