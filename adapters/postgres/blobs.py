"""The output of jobs, kept in a table beside the events."""

from psycopg_pool import AsyncConnectionPool

from adapters.postgres.lent import lent
from domain.exec.ports import KeptOutput
from domain.ids import AccountId, JobId

_KEEP = """
    INSERT INTO work.job_output (job_id, account_id, stdout, stderr) VALUES (%s, %s, %s, %s)
    ON CONFLICT (job_id) DO NOTHING
"""
_FIND = "SELECT stdout, stderr FROM work.job_output WHERE job_id = %s"


class PostgresJobOutputs:
    """Implements ``domain.exec.ports.JobOutputs``."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        """``pool``: of connections in autocommit mode."""
        self._pool = pool

    async def keep(self, job_id: JobId, account_id: AccountId, output: KeptOutput) -> None:
        """Have the output kept; what is kept already stays."""
        async with lent(self._pool) as connection:
            await connection.execute(_KEEP, [job_id, account_id, output.stdout, output.stderr])

    async def find(self, job_id: JobId) -> KeptOutput | None:
        """Return what is kept of a job."""
        async with lent(self._pool) as connection:
            cursor = await connection.execute(_FIND, [job_id])
            row = await cursor.fetchone()
        return None if row is None else KeptOutput(stdout=row[0], stderr=row[1])
