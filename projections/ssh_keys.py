"""The SSH keys that each account keeps with us; names and keys stay sealed."""

from collections.abc import Sequence
from typing import Any

import msgspec

from domain.accounts.events import SshKeyAdded, SshKeyRemoved
from domain.ids import AccountId, SshKeyId
from domain.time import Instant
from projections.read_model import Connection, Entry, ReadModel, columns_of

_SQL = """
CREATE TABLE ssh_key (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    name text NOT NULL,
    public_key text NOT NULL,
    fingerprint text NOT NULL,
    added_at bigint NOT NULL,
    position bigint NOT NULL
);
CREATE INDEX ssh_key_of_account ON ssh_key (account_id, position DESC);
"""
_INSERT = """
    INSERT INTO ssh_key (id, account_id, name, public_key, fingerprint, added_at, position)
    SELECT * FROM unnest(
        %b::uuid[], %b::uuid[], %b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[]
    )
"""
_DELETE = "DELETE FROM ssh_key WHERE id = ANY(%b::uuid[])"
_COUNT = "SELECT count(*) FROM ssh_key WHERE account_id = %s"
_OF_ACCOUNT = """
    SELECT id, account_id, name, public_key, fingerprint, added_at FROM ssh_key
    WHERE account_id = %s ORDER BY position DESC LIMIT %s OFFSET %s
"""


class SshKeyRow(msgspec.Struct, frozen=True):
    """One SSH key."""

    id: SshKeyId
    account_id: AccountId
    name: str
    """Sealed."""
    public_key: str
    """Sealed."""
    fingerprint: str
    added_at: Instant


async def ssh_keys_of(
    connection: Connection, account_id: AccountId, limit: int, offset: int
) -> tuple[list[SshKeyRow], int]:
    """Return an account's keys, newest first, and how many it has in all."""
    counted = await (await connection.execute(_COUNT, [account_id])).fetchone()
    assert counted is not None
    cursor = await connection.execute(_OF_ACCOUNT, [account_id, limit, offset])
    return [SshKeyRow(*row) for row in await cursor.fetchall()], counted[0]


async def _apply(connection: Connection, batch: Sequence[Entry]) -> None:
    added: dict[SshKeyId, tuple[Any, ...]] = {}
    removed: list[SshKeyId] = []
    for entry in batch:
        match entry.event:
            case SshKeyAdded() as key:
                position = entry.recorded.position
                added[key.ssh_key_id] = (
                    *(key.ssh_key_id, key.account_id, key.name, key.public_key, key.fingerprint),
                    *(key.at, position),
                )
            case SshKeyRemoved(ssh_key_id=ssh_key_id):
                if added.pop(ssh_key_id, None) is None:
                    removed.append(ssh_key_id)
    if added:
        await connection.execute(_INSERT, columns_of(added.values()))
    if removed:
        await connection.execute(_DELETE, [removed])


SSH_KEYS = ReadModel(name="ssh_keys", tables=("ssh_key",), sql=_SQL, events=(SshKeyAdded, SshKeyRemoved), apply=_apply)
