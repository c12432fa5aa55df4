"""What goes wrong on demand: calls that fail, and a service that dies halfway through one."""

import asyncio
from collections import Counter

from domain.compute.ports import HypervisorUnavailable

TOO_SLOW_S = 3_600.0
"""Longer than anybody waits: a host that takes so long hangs."""


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
        self._calls_until_failure: int | None = None
        self._undone: Counter[str] = Counter()
        self._slow_s: dict[str, float] = {}

    def fail_next(self, call: str, *, times: int = 1, after_effect: bool = False) -> None:
        """Have the next calls of a method fail: before it did anything, or done but the answer lost."""
        counter = self._fail_after if after_effect else self._fail_before
        counter[call] += times

    def fail_call(self, number: int) -> None:
        """Have the ``number``-th call from now on fail before it did anything, counted from 1, whatever it asks for."""
        assert number > 0
        self._calls_until_failure = number

    def lie_next(self, call: str, *, times: int = 1) -> None:
        """Have the next calls of ``ensure_prepared``, ``_off`` or ``_removed`` claim to be done, with nothing done."""
        self._undone[call] += times

    def slow_down(self, call: str, takes_s: float = TOO_SLOW_S) -> None:
        """Have every call of a method take so long from now on; 0: no longer than any other."""
        self._slow_s[call] = takes_s

    def crash_after(self, effects: int) -> None:
        """Have the service die right after its next ``effects``-th change to the host, counted from 1."""
        assert effects > 0
        self._effects_until_crash = effects

    def lies(self, call: str) -> bool:
        """Return whether this call is to answer without having done anything."""
        if not self._undone[call]:
            return False
        self._undone[call] -= 1
        return True

    async def enter(self, call: str) -> None:
        """Raise HypervisorUnavailable if the host cannot be reached or this call is to fail; take as long as it is to.

        Gives way at least once, as every real call does, so that what runs at the same time is interleaved.
        """
        await asyncio.sleep(self._slow_s.get(call, 0))
        if self.unreachable:
            raise HypervisorUnavailable("the simulated host is unreachable")
        if self._calls_until_failure is not None:
            self._calls_until_failure -= 1
            if not self._calls_until_failure:
                self._calls_until_failure = None
                raise HypervisorUnavailable(f"the simulated host failed in {call}")
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
