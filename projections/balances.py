"""The balance of each wallet, as operators see them at a glance."""

from collections import defaultdict
from collections.abc import Sequence
from typing import get_args

from domain.ids import AccountId
from domain.money import MicroUsd
from domain.wallet.movements import Moving, movement
from projections.read_model import Connection, Entry, ReadModel, columns_of

_SQL = """
CREATE TABLE balance (
    account_id uuid PRIMARY KEY,
    micros bigint NOT NULL
);
"""
_ADD = """
    INSERT INTO balance (account_id, micros) SELECT * FROM unnest(%b::uuid[], %b::bigint[])
    ON CONFLICT (account_id) DO UPDATE SET micros = balance.micros + excluded.micros
"""
_OF_ACCOUNTS = "SELECT account_id, micros FROM balance WHERE account_id = ANY(%b::uuid[])"


async def balances_of(connection: Connection, account_ids: Sequence[AccountId]) -> dict[AccountId, MicroUsd]:
    """Return the balances of these accounts, those without a wallet left out."""
    cursor = await connection.execute(_OF_ACCOUNTS, [list(account_ids)])
    return {AccountId(account_id): MicroUsd(micros) for account_id, micros in await cursor.fetchall()}


async def _apply(connection: Connection, batch: Sequence[Entry]) -> None:
    moved: defaultdict[AccountId, int] = defaultdict(int)
    for entry in batch:
        if isinstance(event := entry.event, Moving):
            moved[event.account_id] += movement(event)
    await connection.execute(_ADD, columns_of(sorted(moved.items())))


BALANCES = ReadModel(
    name="balances",
    tables=("balance",),
    sql=_SQL,
    events=get_args(Moving),
    apply=_apply,
)
