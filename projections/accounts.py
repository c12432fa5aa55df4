"""The accounts there are and the roles they have, for operators; addresses stay sealed."""

from collections.abc import Sequence

import msgspec

from domain.accounts.events import AccountRegistered, RolesSet
from domain.ids import AccountId
from domain.time import Instant
from projections.read_model import Connection, Entry, ReadModel, columns_of

_SQL = """
CREATE TABLE account (
    id uuid PRIMARY KEY,
    email text NOT NULL,
    roles text NOT NULL,
    registered_at bigint NOT NULL,
    position bigint NOT NULL
);
CREATE INDEX account_newest ON account (position DESC);
"""
_INSERT = """
    INSERT INTO account (id, email, roles, registered_at, position)
    SELECT id, email, '', registered_at, position
    FROM unnest(%b::uuid[], %b::text[], %b::bigint[], %b::bigint[]) AS new (id, email, registered_at, position)
"""
_SET_ROLES = """
    UPDATE account SET roles = new.roles FROM unnest(%b::uuid[], %b::text[]) AS new (id, roles)
    WHERE account.id = new.id
"""
_COUNT = "SELECT count(*) FROM account"
_NEWEST = """
    SELECT id, email, roles, registered_at FROM account ORDER BY position DESC LIMIT %s OFFSET %s
"""


class AccountRow(msgspec.Struct, frozen=True):
    """One account."""

    id: AccountId
    email: str
    """Sealed."""
    roles: tuple[str, ...]
    registered_at: Instant


async def list_accounts(connection: Connection, limit: int, offset: int) -> tuple[list[AccountRow], int]:
    """Return accounts, newest first, and how many there are in all."""
    counted = await (await connection.execute(_COUNT)).fetchone()
    assert counted is not None
    cursor = await connection.execute(_NEWEST, [limit, offset])
    rows = [
        AccountRow(AccountId(id_), email, tuple(roles.split()), Instant(registered_at))
        for id_, email, roles, registered_at in await cursor.fetchall()
    ]
    return rows, counted[0]


async def _apply(connection: Connection, batch: Sequence[Entry]) -> None:
    registered = []
    roles: dict[AccountId, str] = {}
    for entry in batch:
        match entry.event:
            case AccountRegistered(account_id=account_id, email=email):
                recorded = entry.recorded
                registered.append((account_id, email, recorded.happened_at, recorded.position))
            case RolesSet(account_id=account_id):
                roles[account_id] = " ".join(entry.event.roles)
    if registered:
        await connection.execute(_INSERT, columns_of(registered))
    if roles:
        await connection.execute(_SET_ROLES, columns_of(roles.items()))


ACCOUNTS = ReadModel(name="accounts", tables=("account",), sql=_SQL, events=(AccountRegistered, RolesSet), apply=_apply)
