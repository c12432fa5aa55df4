"""Garbage: has Python look for it among all that is old only now and then, since everything else stops meanwhile.

States in memory are replaced and never point in circles, so they are given up without being looked for. Left to
itself, Python looks through all of them whenever a tick has replaced a quarter: a tenth of a second for 100,000 VPSs.
"""

import asyncio
import gc

COLLECT_EVERY_S = 600.0
_NEVER = 2_000_000_000


def collect_seldom() -> None:
    """Let old things be until they are looked for; what is young is looked through as ever."""
    gc.freeze()  # All that was made so far stays: looking through it again and again frees nothing.
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)


async def collect_periodically(every_s: float = COLLECT_EVERY_S) -> None:
    """Look seldom, and free every ``every_s`` seconds what points in circles and is old; ends when cancelled.

    One part does both, so that no process leaves off looking without looking now and then.
    """
    collect_seldom()
    while True:
        await asyncio.sleep(every_s)
        gc.collect()
