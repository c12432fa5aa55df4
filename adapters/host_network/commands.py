"""Runs the system's programs in the network namespace that a host's guests are in."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from domain.compute.ports import NetworkUnavailable

TIMEOUT_S = 20.0
_TOLD_CHARACTERS = 500


class Commands:
    """Programs of iproute2, nftables and procps, run as root. Raises NetworkUnavailable where one fails."""

    def __init__(self, namespace: Path | None) -> None:
        self._prefix = () if namespace is None else ("nsenter", f"--net={namespace}", "--")

    def run(self, *command: str, given: str = "") -> str:
        """Run a program to its end and return what it wrote."""
        ran = self._ran(command, given)
        if ran.returncode:
            said = (ran.stderr or ran.stdout).strip()[:_TOLD_CHARACTERS]
            raise NetworkUnavailable(f"{' '.join(command)} failed: {said}")
        return ran.stdout

    def start(self, *command: str, log: Path) -> None:
        """Run a program that leaves a process behind; what it says goes to a file, since a pipe would be held open."""
        with log.open("w+") as said:
            try:
                subprocess.run(
                    (*self._prefix, *command), check=True, timeout=TIMEOUT_S, cwd="/", start_new_session=True,
                    stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                )  # fmt: skip
            except (OSError, subprocess.SubprocessError) as failed:
                said.seek(0)
                raise NetworkUnavailable(f"{command[0]} does not start: {said.read()[-_TOLD_CHARACTERS:]}") from failed

    def succeeds(self, *command: str) -> bool:
        """Return whether a program ends well; what it says is of no interest."""
        return self._ran(command, "").returncode == 0

    def json(self, *command: str) -> Any:
        """Return what a program wrote as JSON; nothing counts as an empty list."""
        return msgspec.json.decode(self.run(*command) or "[]")

    def _ran(self, command: Sequence[str], given: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                (*self._prefix, *command), input=given, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as failed:
            raise NetworkUnavailable(f"{' '.join(command)} could not be run: {failed}") from failed
