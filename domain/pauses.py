"""Pauses: how long what failed is left alone before it is tried again."""

import msgspec


class Pauses(msgspec.Struct, frozen=True):
    """How long something that failed is left alone before it is tried again: doubled each time, up to a longest."""

    first_s: float
    longest_s: float

    def after(self, failures: int) -> float:
        """Return how long to wait after one more failure; ``failures``: how many came before it."""
        return min(self.first_s * float(2 ** min(failures, 30)), self.longest_s)
