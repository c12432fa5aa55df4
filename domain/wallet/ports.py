"""Ports of the wallet: where to look for accounts of which something may be due."""

from collections.abc import Sequence
from typing import Protocol

from domain.ids import AccountId
from domain.time import Instant


class DueAccounts(Protocol):
    """What a read model knows of minutes to come. It may be a moment behind, so each is looked at again."""

    async def due_accounts(self, now: Instant, after: AccountId | None, limit: int) -> Sequence[AccountId]:
        """Return accounts with a minute that begins by ``now``, in the order of their ids, past ``after``."""
        ...
