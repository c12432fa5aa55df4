"""What one worker remembers of a step while it is at one VPS; whoever comes after it begins anew."""

import asyncio

from api.application.worker_context import WorkerContext
from api.workers.concurrency_limits import Permit
from domain.compute.steps import Step


class Attempt:
    """A worker, and how it has fared with the step that is due."""

    def __init__(self, worker: WorkerContext, permit: Permit) -> None:
        """``permit``: released early where the step takes long."""
        self.worker = worker
        self.permit = permit
        self.step: Step | None = None
        self.begun_s = 0.0
        """When the step was taken up, by the clock of the loop."""
        self.failures = 0
        """How often in a row it was tried in vain."""
        self.host_failed_s: float | None = None
        """When the host failed last at this step; what comes after that is not held against the guest."""
        self.launched_s: float | None = None
        """When the host was last asked to have the guest running."""
        self.rebooted = False

    @property
    def guest_waited_for_since_s(self) -> float:
        """Return since when nothing but the guest itself has kept the step from its end."""
        return self.begun_s if self.host_failed_s is None else self.host_failed_s

    def begin(self, step: Step) -> None:
        """Begin anew if this is another step than the one before."""
        if step == self.step:
            return
        self.step, self.begun_s, self.failures = step, now_s(), 0
        self.host_failed_s, self.rebooted = None, False


def now_s() -> float:
    """Return the time by the clock of the loop."""
    return asyncio.get_running_loop().time()
