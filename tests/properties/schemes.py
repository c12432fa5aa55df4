"""Schemes: what a customer tries who does not want to pay, and how the guests behave that he has prepared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Act = Literal[
    "create",
    "start",
    "stop",
    "restart",
    "delete",
    "snapshot",
    "restore",
    "power_off",
    "reboot",
    "kill_sshd",
    "run_sshd",
    "halt",
    "nothing",
]
Anchor = Literal["now", "minute", "observation", "tick", "login", "off", "boot deadline"]


@dataclass(frozen=True)
class Move:
    """What a customer does, and when: so long after the next of some instants that matter."""

    act: Act
    anchor: Anchor = "now"
    after_s: float = 0.0
    minute: int = 1
    """For ``minute``: which one from now."""


@dataclass(frozen=True)
class Image:
    """How guests behave that a customer has prepared."""

    sshd_after_s: float | None = 5.0
    """How long after a start its SSH answers; None: never."""
    ignores_shutdown: bool = False


@dataclass
class Scheme:
    """What one customer tries: how guests are made, what is done with each VPS, and what happens to the service."""

    plays: Sequence[Sequence[Move]]
    image: Image = Image()
    outages: Sequence[tuple[float, float]] = ()
    """When the service goes away, and for how long."""
    funds: int = 1_000_000
    observe_phase_s: float = 0.0
    tick_phase_s: float = 0.0
