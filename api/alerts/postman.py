"""The postman, a part of the service of its own: however long a mail server takes, nothing else waits for it."""

import asyncio

import structlog

from api.alerts.sending import send_due
from api.alerts.watching import raise_due
from api.runtime import Runtime
from domain.ports import StoreUnavailable

LOOK_EVERY_S = 2.0
DRAIN_S = 10.0
"""How long a mail server is waited for once the service ends; a mail it has taken by then may come twice."""

_log = structlog.get_logger(__name__)


class Postman:
    """Raises and sends what is due again and again; any number of processes may have one."""

    def __init__(self, runtime: Runtime, *, look_every_s: float = LOOK_EVERY_S) -> None:
        self._runtime = runtime
        self._look_every_s = look_every_s

    async def run(self) -> None:
        """Look after mail until cancelled; what is being handed over by then is finished, within ``DRAIN_S``."""
        while True:
            round_ = asyncio.create_task(self._go_round())
            try:
                await asyncio.shield(round_)
            except asyncio.CancelledError:
                await _ended(round_)
                raise
            await asyncio.sleep(self._look_every_s)

    async def _go_round(self) -> None:
        try:
            await raise_due(self._runtime)
            await send_due(self._runtime)
        except StoreUnavailable as away:
            _log.warning("mail waits for the store", problem=str(away))
        except Exception:  # noqa: BLE001 A postman who stumbles goes his round again.
            _log.exception("mail not looked after")


async def _ended(round_: asyncio.Task[None]) -> None:
    await asyncio.wait([round_], timeout=DRAIN_S)
    if not round_.done():
        round_.cancel()
        await asyncio.wait([round_])
