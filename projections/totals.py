"""The sum of the postings on every account of the books: the trial balance as it stands."""

from collections import defaultdict
from collections.abc import Sequence
from typing import get_args

from domain.books.postings import POSTINGS_VERSION, MoneyEvent, postings
from domain.money import MicroUsd
from projections.read_model import Connection, Entry, ReadModel, columns_of

_SQL = """
CREATE TABLE posting_total (
    account text PRIMARY KEY,
    micros bigint NOT NULL
);
"""
_ADD = """
    INSERT INTO posting_total (account, micros) SELECT * FROM unnest(%b::text[], %b::bigint[])
    ON CONFLICT (account) DO UPDATE SET micros = posting_total.micros + excluded.micros
"""
_ALL = "SELECT account, micros FROM posting_total WHERE account LIKE %s ORDER BY account"
_SUM = "SELECT coalesce(sum(micros), 0)::bigint FROM posting_total"


async def totals(connection: Connection, prefix: str = "") -> dict[str, MicroUsd]:
    """Return the total of each account of the books whose name begins so; debit is positive."""
    pattern = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    cursor = await connection.execute(_ALL, [pattern])
    return {account: MicroUsd(micros) for account, micros in await cursor.fetchall()}


async def trial_balance(connection: Connection) -> MicroUsd:
    """Return the sum over all accounts, which is zero."""
    row = await (await connection.execute(_SUM)).fetchone()
    assert row is not None
    return MicroUsd(row[0])


async def _apply(connection: Connection, batch: Sequence[Entry]) -> None:
    moved: defaultdict[str, int] = defaultdict(int)
    for entry in batch:
        for posting in postings(entry.event):
            moved[posting.account] += posting.amount
    if moved:
        await connection.execute(_ADD, columns_of(sorted(moved.items())))


TOTALS = ReadModel(
    name="totals",
    tables=("posting_total",),
    sql=_SQL,
    events=get_args(MoneyEvent),
    apply=_apply,
    fold_version=POSTINGS_VERSION,
)
