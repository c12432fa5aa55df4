"""Concurrency limits: permits for a few to do something heavy at once, shared out among accounts."""

import asyncio
from collections import Counter

from domain.ids import AccountId


class FairSemaphore:
    """So many at once. While others wait, nobody who has its share gets more; nothing is kept free for anybody."""

    def __init__(self, permits_max: int, share_max: int) -> None:
        """``share_max``: how many permits one account may have while another waits."""
        self._free = permits_max
        self._share_max = share_max
        self._held: Counter[AccountId] = Counter()
        self._waiting: list[tuple[AccountId, asyncio.Future[None]]] = []

    async def take(self, account_id: AccountId) -> "Permit":
        """Wait for a permit, in the order of asking but for those who have their share."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((account_id, turn))
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # It was handed out just before.
                self.give_back(account_id)
            raise
        return Permit(self, account_id)

    def give_back(self, account_id: AccountId) -> None:
        """Take a permit back from an account, for the next."""
        self._free += 1
        self._held[account_id] -= 1
        if not self._held[account_id]:
            del self._held[account_id]
        self._hand_out()

    def _hand_out(self) -> None:
        self._waiting = [one for one in self._waiting if not one[1].done()]
        while self._free and self._waiting:
            within_share = (one for one in self._waiting if self._held[one[0]] < self._share_max)
            chosen = next(within_share, self._waiting[0])
            self._waiting.remove(chosen)
            account_id, turn = chosen
            self._free -= 1
            self._held[account_id] += 1
            turn.set_result(None)


class Permit:
    """One permit that somebody has, until it is released: at the end of the block, or before."""

    def __init__(self, semaphore: FairSemaphore, account_id: AccountId) -> None:
        self._semaphore = semaphore
        self._account_id = account_id
        self._left = False

    def release(self) -> None:
        """Let the next one have it; released twice is released once."""
        if not self._left:
            self._left = True
            self._semaphore.give_back(self._account_id)

    def __enter__(self) -> "Permit":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
