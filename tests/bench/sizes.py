"""Sizes: how much is made up to be measured.

Each is a variable of the environment, so that one can be set alone.
"""

import os
from typing import Literal

LONG_LIFE = "LITEVPS_BENCH_YEAR"
"""Names a folder in which the ledger of a customer who has been there long is kept for the next time."""

Choice = Literal["usual", "large"]
_CHOICES: dict[Choice, dict[str, str]] = {
    "usual": {"LITEVPS_BENCH_EVENTS": "200000", "LITEVPS_BENCH_DAYS": "59"},
    "large": {"LITEVPS_BENCH_EVENTS": "1000000", "LITEVPS_BENCH_DAYS": "365"},
}


def choose(choice: Choice) -> None:
    """Set the sizes that nobody has set."""
    for name, value in _CHOICES[choice].items():
        os.environ.setdefault(name, value)


def events() -> int:
    """Return how many events a made-up ledger of many customers has."""
    return int(os.environ.get("LITEVPS_BENCH_EVENTS", _CHOICES["usual"]["LITEVPS_BENCH_EVENTS"]))


def days() -> int:
    """Return how many days the customer of a long life has been there."""
    return int(os.environ.get("LITEVPS_BENCH_DAYS", _CHOICES["usual"]["LITEVPS_BENCH_DAYS"]))
