"""What tables beside the events keep of a person, destroyed when the account is erased."""

from collections.abc import Collection

from psycopg_pool import AsyncConnectionPool

from adapters.pooled_connection import pooled_connection
from domain.ids import AccountId, TokenId

_BLOBS = "DELETE FROM work.blob WHERE account_id = %s"
_ANSWERS = "SELECT ledger.forget_answers(%s)"
_LAST_USES = "DELETE FROM tokens.last_use WHERE token_id = ANY(%s)"


class PostgresLeftovers:
    """Implements ``domain.accounts.ports.Leftovers``: blobs, kept answers, last uses of tokens."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        """``pool``: of connections in autocommit mode."""
        self._pool = pool

    async def forget(self, account_id: AccountId, emails: Collection[str], token_ids: Collection[TokenId]) -> None:  # noqa: ARG002
        """Destroy what is kept of an account; see ``Leftovers.forget``."""
        async with pooled_connection(self._pool) as connection:
            await connection.execute(_BLOBS, [account_id])
            await connection.execute(_ANSWERS, [account_id])
            await connection.execute(_LAST_USES, [list(token_ids)])
