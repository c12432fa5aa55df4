"""The port to where the output of jobs is kept: apart from the events, which hold its digests."""

from typing import Protocol

import msgspec

from domain.ids import AccountId, JobId


class KeptOutput(msgspec.Struct, frozen=True):
    """Both streams of a job as they are kept: sealed under the account's key, since they tell of a person."""

    stdout: str
    stderr: str


class JobOutputs(Protocol):
    """Keeps sealed output for as long as it is wanted."""

    async def keep(self, job_id: JobId, account_id: AccountId, output: KeptOutput) -> None:
        """Have the output kept; what is kept already stays."""
        ...

    async def find(self, job_id: JobId) -> KeptOutput | None:
        """Return what is kept of a job, None where nothing is."""
        ...
