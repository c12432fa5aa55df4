"""The output of a job is kept once, in memory and in PostgreSQL alike."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.memory.job_outputs import MemoryJobOutputs
from adapters.postgres.blobs import PostgresJobOutputs
from domain.exec.ports import JobOutputs, KeptOutput
from domain.ids import AccountId, JobId

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "postgres"])
async def outputs(request: pytest.FixtureRequest) -> AsyncIterator[JobOutputs]:
    if request.param == "memory":
        yield MemoryJobOutputs()
        return
    url = request.getfixturevalue("database_url")
    async with AsyncConnectionPool(url, min_size=1, max_size=2, open=False, kwargs={"autocommit": True}) as pool:
        yield PostgresJobOutputs(pool)


async def test_what_is_kept_is_found_and_stays(outputs: JobOutputs) -> None:
    job_id, account_id = JobId(uuid4()), AccountId(uuid4())

    assert await outputs.find(job_id) is None
    await outputs.keep(job_id, account_id, KeptOutput("sealed out", "sealed err"))
    await outputs.keep(job_id, account_id, KeptOutput("another", ""))

    assert await outputs.find(job_id) == KeptOutput("sealed out", "sealed err")
