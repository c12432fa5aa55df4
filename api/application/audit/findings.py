"""Findings: what an audit looked at, what it found wrong, and the report of it all."""

import msgspec

from domain.money import MicroUsd

FINDINGS_MAX = 10
"""How many faults of one kind are told in words; all are counted."""


class Check(msgspec.Struct):
    """One promise of the ledger, and where it was found broken."""

    promise: str
    seen: int = 0
    """How many events, rows or streams were looked at."""
    faults: int = 0
    findings: list[str] = []

    def fault(self, finding: str) -> None:
        """Note that the promise is broken, and where."""
        self.faults += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)

    def expect(self, holds: bool, finding: str) -> None:
        """Count one thing looked at, and note the finding if it does not hold."""
        self.seen += 1
        if not holds:
            self.fault(finding)


class Report(msgspec.Struct, frozen=True):
    """What an audit came to."""

    position: int
    """The last position that was looked at."""
    duration_s: float
    checks: tuple[Check, ...]
    open_items: dict[str, MicroUsd] = {}
    """What waits for somebody to tell more, by account of the books; no fault, and worth a look."""

    @property
    def ok(self) -> bool:
        """Return whether every promise was found kept."""
        return not any(check.faults for check in self.checks)
