"""The system's clock."""

import time

from domain.time import Instant


class SystemClock:
    """Tells the time of the machine that it runs on."""

    def now(self) -> Instant:
        """Return the present instant."""
        return Instant(time.time_ns() // 1000)
