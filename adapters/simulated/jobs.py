"""A played job: known from its start on, told only as far as its time has come."""

import msgspec

from domain.compute.output import whole_output
from domain.compute.ports import JobOutcome, JobSpec
from domain.time import MICROSECONDS_PER_SECOND, Instant

MICROSECONDS_PER_MILLISECOND = 1_000


class Written(msgspec.Struct, frozen=True):
    """Bytes that a command writes, so many microseconds after its start."""

    after_us: int
    to_stderr: bool
    content: bytes


class Play(msgspec.Struct, frozen=True):
    """All that a command will do, unless it is ended before."""

    written: tuple[Written, ...]
    ends_after_us: int
    exit_code: int


class PlayedJob:
    """One job in a played guest. It runs from ``started_at``, in the boot ``boot`` of its guest only."""

    def __init__(self, spec: JobSpec, play: Play, started_at: Instant, boot: int) -> None:
        self._spec = spec
        self._play = play
        self._started_at = started_at
        self._boot = boot
        self._cancelled_after_us: int | None = None

    def ended(self, now: Instant, boot: int) -> bool:
        """Return whether nothing of it runs any more."""
        return boot != self._boot or now - self._started_at >= self._ends_after_us()

    def cancel(self, now: Instant, boot: int) -> None:
        """End it now, unless it has ended by itself."""
        if not self.ended(now, boot):
            self._cancelled_after_us = max(0, now - self._started_at)

    def cancel_unstarted(self) -> None:
        """Have it cancelled before it did anything."""
        self._cancelled_after_us = 0

    def outcome(self, boot: int) -> JobOutcome:
        """Return how it ended; only asked once it has."""
        lost = boot != self._boot
        end_us = self._ends_after_us()
        cancelled = self._cancelled_after_us is not None
        timed_out = not lost and not cancelled and self._play.ends_after_us > end_us
        known = not (lost or cancelled or timed_out)
        return JobOutcome(
            exit_code=self._play.exit_code if known else None,
            timed_out=timed_out,
            cancelled=cancelled,
            duration_ms=end_us // MICROSECONDS_PER_MILLISECOND,
            stdout=whole_output(self._output(to_stderr=False), self._spec.output_limit_bytes),
            stderr=whole_output(self._output(to_stderr=True), self._spec.output_limit_bytes),
            error="the guest was restarted while the command ran" if lost else None,
        )

    def _ends_after_us(self) -> int:
        if self._cancelled_after_us is not None:
            return self._cancelled_after_us
        return min(self._play.ends_after_us, self._spec.timeout_s * MICROSECONDS_PER_SECOND)

    def _output(self, *, to_stderr: bool) -> bytes:
        end_us = self._ends_after_us()
        return b"".join(
            part.content for part in self._play.written if part.to_stderr == to_stderr and part.after_us <= end_us
        )
