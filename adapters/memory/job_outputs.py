"""The output of jobs, kept in memory."""

from domain.exec.ports import KeptOutput
from domain.ids import AccountId, JobId


class MemoryJobOutputs:
    """Implements ``domain.exec.ports.JobOutputs``; forgets all when dropped."""

    def __init__(self) -> None:
        self._kept: dict[JobId, KeptOutput] = {}

    async def keep(self, job_id: JobId, account_id: AccountId, output: KeptOutput) -> None:  # noqa: ARG002
        """Have the output kept; what is kept already stays."""
        self._kept.setdefault(job_id, output)

    async def find(self, job_id: JobId) -> KeptOutput | None:
        """Return what is kept of a job."""
        return self._kept.get(job_id)

    def holds(self, job_id: JobId) -> bool:
        """Return whether anything is kept of a job."""
        return job_id in self._kept
