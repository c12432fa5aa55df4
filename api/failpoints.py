"""Fail points: named places at which a test ends the process at once, as a crash would."""

import os
import signal

_VARIABLE = "LITEVPS_FAIL_AT"


def reach(name: str) -> None:
    """End this process by SIGKILL if it was started to fail here; otherwise do nothing.

    ``LITEVPS_FAIL_AT=create:before-append`` names the place. Only tests set it.
    """
    if os.environ.get(_VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
