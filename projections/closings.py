"""Closings: accounts that were closed, and erased, and for which something may be left to be done."""

from collections.abc import Sequence
from uuid import UUID

from domain.accounts.closing import is_to_go_back
from domain.accounts.events import AccountClosed, AccountErased, ClosingFinished, ErasureFinished
from domain.ids import AccountId
from domain.wallet.events import FundsAdded, FundsReturned
from projections.read_model import Connection, Entry, ReadModel, columns_of
from projections.reading import ReadModels

_SQL = """
CREATE TABLE closing (
    account_id uuid PRIMARY KEY,
    finished boolean NOT NULL,
    erasure text NOT NULL DEFAULT 'none'
);
CREATE INDEX closing_open ON closing (account_id) WHERE NOT finished;
CREATE INDEX closing_erasing ON closing (account_id) WHERE erasure = 'open';
"""
_CLOSED = """
    INSERT INTO closing (account_id, finished) SELECT account_id, false FROM unnest(%b::uuid[]) AS new (account_id)
    ON CONFLICT (account_id) DO NOTHING
"""
_TURN = """
    UPDATE closing SET finished = new.finished
    FROM unnest(%b::uuid[], %b::boolean[]) AS new (account_id, finished)
    WHERE closing.account_id = new.account_id
"""
_OPEN = "SELECT account_id FROM closing WHERE NOT finished AND account_id > %s ORDER BY account_id LIMIT %s"
_ERASE = """
    UPDATE closing SET erasure = new.erasure FROM unnest(%b::uuid[], %b::text[]) AS new (account_id, erasure)
    WHERE closing.account_id = new.account_id
"""
_ERASING = "SELECT account_id FROM closing WHERE erasure = 'open' AND account_id > %s ORDER BY account_id LIMIT %s"
_NOT_ERASED = "SELECT account_id FROM closing WHERE erasure = 'none' AND account_id > %s ORDER BY account_id LIMIT %s"
_BEFORE_ALL = UUID(int=0)


class TabledOpenClosings:
    """Implements ``domain.accounts.ports.OpenClosings`` by this read model."""

    def __init__(self, read_models: ReadModels) -> None:
        self._read_models = read_models

    async def open_closings(self, after: AccountId | None, limit: int) -> list[AccountId]:
        """Return closed accounts for which something may be left; see ``OpenClosings.open_closings``."""
        return await self._found(_OPEN, after, limit)

    async def open_erasures(self, after: AccountId | None, limit: int) -> list[AccountId]:
        """Return erased accounts of which something may be left; see ``OpenClosings.open_erasures``."""
        return await self._found(_ERASING, after, limit)

    async def closed_accounts(self, after: AccountId | None, limit: int) -> list[AccountId]:
        """Return accounts that are closed and not erased; see ``OpenClosings.closed_accounts``."""
        return await self._found(_NOT_ERASED, after, limit)

    async def _found(self, query: str, after: AccountId | None, limit: int) -> list[AccountId]:
        async with self._read_models.at(0, CLOSINGS) as connection:
            cursor = await connection.execute(query.encode(), [after or _BEFORE_ALL, limit])
            return [AccountId(account_id) for (account_id,) in await cursor.fetchall()]


async def _apply(connection: Connection, batch: Sequence[Entry]) -> None:
    closed: dict[AccountId, None] = {}
    finished: dict[AccountId, bool] = {}
    erasure: dict[AccountId, str] = {}
    for entry in batch:
        match entry.event:
            case AccountClosed(account_id=account_id):
                closed[account_id] = None
                finished.pop(account_id, None)
            case ClosingFinished(account_id=account_id):
                finished[account_id] = True
            case AccountErased(account_id=account_id):
                erasure[account_id] = "open"
            case ErasureFinished(account_id=account_id):
                erasure[account_id] = "finished"
            case FundsAdded(account_id=account_id) | FundsReturned(account_id=account_id) if is_to_go_back(entry.event):
                # Somebody paid at a Checkout that was open when the account was closed, or we won a dispute of before.
                finished[account_id] = False
    if closed:
        await connection.execute(_CLOSED, [list(closed)])
    if finished:
        await connection.execute(_TURN, columns_of(finished.items()))
    if erasure:
        await connection.execute(_ERASE, columns_of(erasure.items()))


CLOSINGS = ReadModel(
    name="closings",
    tables=("closing",),
    sql=_SQL,
    events=(AccountClosed, ClosingFinished, AccountErased, ErasureFinished, FundsAdded, FundsReturned),
    apply=_apply,
    fold_version=3,
)
