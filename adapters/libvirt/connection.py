"""The connection to one host's libvirtd: calls in threads, bounded in time, opened again when it is lost."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import libvirt

from domain.compute.ports import HypervisorUnavailable

CALL_TIMEOUT_S = 60.0
OPENING_TIMEOUT_S = 10.0
CALLS_MAX = 32
"""At once, those included that nobody waits for any more because a daemon does not answer."""

KEEPALIVE_INTERVAL_S = 5
KEEPALIVE_MISSES_MAX = 4

T = TypeVar("T")
_LOST = frozenset(
    {
        libvirt.VIR_FROM_RPC,
        libvirt.VIR_FROM_REMOTE,
    }
)
_loop_lock = threading.Lock()
_loop_started = False


class HostConnection:
    """Runs work against a libvirt connection in a thread, so that nothing waits in the event loop."""

    def __init__(
        self, uri: str, *, revive: Callable[[], object] | None = None, timeout_s: float = CALL_TIMEOUT_S
    ) -> None:
        """``revive`` is called, in a thread, when nobody answers at the URI: it may start the daemon again."""
        self._uri = uri
        self._revive = revive
        self._timeout_s = timeout_s
        self._opening = threading.Lock()
        self._connection: libvirt.virConnect | None = None
        self._calls = threading.BoundedSemaphore(CALLS_MAX)
        self.opened = 0
        """How often a connection was opened: what was remembered of an earlier one may not hold."""
        self.reboots: Counter[str] = Counter()
        """How often each guest was seen to restart its operating system, by UUID of the domain."""

    async def call(self, work: Callable[[libvirt.virConnect], T]) -> T:
        """Run ``work`` with the connection; once more on a new one if the old one turns out to be lost.

        Raises HypervisorUnavailable, also when it takes longer than the time-out.
        """
        if not self._calls.acquire(blocking=False):
            raise HypervisorUnavailable("libvirt does not answer, and too many calls wait for it")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def tell(settle: Callable[[Any], None], outcome: object) -> None:
            if not answer.done():
                settle(outcome)

        def run() -> None:
            settled: tuple[Callable[[Any], None], object]
            try:
                settled = (answer.set_result, self._run(work))
            except BaseException as failed:  # noqa: BLE001 — it is raised where the answer is awaited.
                settled = (answer.set_exception, failed)
            finally:
                self._calls.release()
            with suppress(RuntimeError):  # The loop was closed meanwhile: nobody waits any more.
                loop.call_soon_threadsafe(tell, *settled)

        # A thread that may be left behind: one that waits for a stuck daemon must not keep the process from ending.
        threading.Thread(target=run, name="libvirt-call", daemon=True).start()
        try:
            return await asyncio.wait_for(answer, self._timeout_s)
        except TimeoutError as late:
            self._connection = None
            raise HypervisorUnavailable(f"libvirt gave no answer for {self._timeout_s:.0f} s") from late

    async def close(self) -> None:
        """Close the connection; guests do not notice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await asyncio.to_thread(_close, connection)

    def _run(self, work: Callable[[libvirt.virConnect], T]) -> T:
        connection = self._opened()
        try:
            return work(connection)
        except libvirt.libvirtError as failed:
            if failed.get_error_domain() not in _LOST and connection.isAlive() == 1:
                raise HypervisorUnavailable(str(failed)) from failed
            self._forget(connection)
        try:
            return work(self._opened())
        except libvirt.libvirtError as failed:
            raise HypervisorUnavailable(str(failed)) from failed

    def _opened(self) -> libvirt.virConnect:
        if not self._opening.acquire(timeout=OPENING_TIMEOUT_S):
            raise HypervisorUnavailable("libvirt takes no connection")
        try:
            if self._connection is None:
                _ensure_event_loop()
                try:
                    self._connection = self._open()
                except libvirt.libvirtError as failed:
                    if self._revive is None:
                        raise HypervisorUnavailable(str(failed)) from failed
                    self._connection = self._open_revived(self._revive)
            return self._connection
        finally:
            self._opening.release()

    def _open_revived(self, revive: Callable[[], object]) -> libvirt.virConnect:
        try:
            revive()
            return self._open()
        except Exception as failed:
            raise HypervisorUnavailable(f"libvirtd could not be started again: {failed}") from failed

    def _open(self) -> libvirt.virConnect:
        connection = libvirt.open(self._uri)
        connection.setKeepAlive(KEEPALIVE_INTERVAL_S, KEEPALIVE_MISSES_MAX)
        connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, self._rebooted, None)
        self.opened += 1
        return connection

    def _rebooted(self, _connection: object, domain: libvirt.virDomain, _opaque: Any) -> None:
        self.reboots[domain.UUIDString()] += 1

    def _forget(self, connection: libvirt.virConnect) -> None:
        if self._connection is connection:
            self._connection = None
        _close(connection)


def _close(connection: libvirt.virConnect) -> None:
    try:
        connection.close()
    except libvirt.libvirtError:
        return  # It was lost already, which is as good as closed.


def _ensure_event_loop() -> None:
    """Have libvirt's own event loop in a thread: keep-alive and events need it before the first connection."""
    global _loop_started  # noqa: PLW0603 — libvirt has one loop a process, registered once.
    with _loop_lock:
        if _loop_started:
            return
        libvirt.registerErrorHandler(_say_nothing, None)
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=_run_events, name="libvirt-events", daemon=True).start()
        _loop_started = True


def _run_events() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _say_nothing(_context: object, _error: object) -> None:
    """Keep libvirt from writing to standard error what it raises anyway."""
