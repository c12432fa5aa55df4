"""What goes wrong on demand: calls that fail, and a service that dies halfway through one."""

from collections import Counter

from domain.compute.ports import HypervisorUnavailable


class SimulatedCrash(BaseException):
    """The service died here. Not an Exception, so that nothing of ours can catch and mend it."""


class Faults:
    """Faults to come, set by a test; each happens once."""

    def __init__(self) -> None:
        self.unreachable = False
        """While set, every call to the host fails before it does anything."""
        self._fail_before: Counter[str] = Counter()
        self._fail_after: Counter[str] = Counter()
        self._effects_until_crash: int | None = None

    def fail_next(self, call: str, *, times: int = 1, after_effect: bool = False) -> None:
        """Have the next calls of a method fail: before it did anything, or done but the answer lost."""
        counter = self._fail_after if after_effect else self._fail_before
        counter[call] += times

    def crash_after(self, effects: int) -> None:
        """Have the service die right after its next ``effects``-th change to the host, counted from 1."""
        assert effects > 0
        self._effects_until_crash = effects

    def enter(self, call: str) -> None:
        """Raise HypervisorUnavailable if the host cannot be reached or this call is to fail."""
        if self.unreachable:
            raise HypervisorUnavailable("the simulated host is unreachable")
        self._fail_if_told(self._fail_before, call)

    def leave(self, call: str) -> None:
        """Raise HypervisorUnavailable if this call is to fail although all is done."""
        self._fail_if_told(self._fail_after, call)

    def effect(self) -> None:
        """Count one change to the host; raise SimulatedCrash if it was to be the last."""
        if self._effects_until_crash is None:
            return
        self._effects_until_crash -= 1
        if not self._effects_until_crash:
            self._effects_until_crash = None
            raise SimulatedCrash

    def _fail_if_told(self, counter: Counter[str], call: str) -> None:
        if counter[call]:
            counter[call] -= 1
            raise HypervisorUnavailable(f"the simulated host failed in {call}")
