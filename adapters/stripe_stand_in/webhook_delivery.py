"""Brings events to the webhook, again and again until they are answered with a 2xx."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import httpx

from adapters.stripe_stand_in.storage import Body, Storage, from_text, to_text

TRIES_MAX = 16
AT_ONCE_MAX = 8
LOOKED_AT_MAX = 200
ANSWER_WITHIN_S = 10.0
BACKOFF_LEAST_S = 0.25
BACKOFF_MOST_S = 60.0
# Another process may have made an event; one of ours rings the bell.
LOOK_EVERY_S = 1.0

Envelope: TypeAlias = tuple[str, bytes, str]

_LOG = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    turn: str
    tries: int
    event: Body


class WebhookDelivery:
    """Delivers what is not delivered yet. `envelope` says where to, and with which bytes and signature."""

    def __init__(
        self,
        storage: Storage,
        envelope: Callable[[Body], Envelope | None],
        tick: Callable[[], None],
    ) -> None:
        self._storage = storage
        self._envelope = envelope
        self._tick = tick
        self._bell = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._not_before: dict[str, float] = {}

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._bell = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; what is not delivered is delivered after the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def ring(self) -> None:
        """Say that there may be something new, from any thread."""
        if self._task is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._bell.set)

    async def _run(self) -> None:
        async with httpx.AsyncClient(timeout=ANSWER_WITHIN_S, trust_env=False) as client:
            while True:
                self._bell.clear()
                self._tick()
                await asyncio.gather(*(self._deliver(client, waiting) for waiting in self._due()))
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: in Python 3.11 it may swallow the cancellation that ends this loop.
                    async with asyncio.timeout(self._pause_s()):
                        await self._bell.wait()

    def _due(self) -> list[_Waiting]:
        with self._storage.transaction() as connection:
            rows = connection.execute(
                "SELECT turn, tries, body FROM deliveries JOIN objects ON id = event WHERE tries < ?"
                " ORDER BY tries, number LIMIT ?",
                (TRIES_MAX, LOOKED_AT_MAX),
            ).fetchall()
        turns = {turn for turn, _, _ in rows}
        self._not_before = {turn: at for turn, at in self._not_before.items() if turn in turns}
        now = self._now()
        ripe = [row for row in rows if self._not_before.get(row[0], 0) <= now]
        waiting = [_Waiting(turn, tries, from_text(body)) for turn, tries, body in ripe[:AT_ONCE_MAX]]
        if len(ripe) > AT_ONCE_MAX and self._envelope(waiting[0].event) is not None:
            self._bell.set()
        return waiting

    async def _deliver(self, client: httpx.AsyncClient, waiting: _Waiting) -> None:
        envelope = self._envelope(waiting.event)
        if envelope is None:
            return
        url, raw, signature = envelope
        headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signature}
        try:
            answered = (await client.post(url, content=raw, headers=headers)).is_success
        except httpx.HTTPError as error:
            _LOG.debug("the webhook was not reached: %s", error)
            answered = False
        if answered:
            self._delivered(waiting)
        else:
            self._failed(waiting)

    def _delivered(self, waiting: _Waiting) -> None:
        told = to_text(waiting.event | {"pending_webhooks": 0})
        with self._storage.transaction() as connection:
            connection.execute("DELETE FROM deliveries WHERE turn = ?", (waiting.turn,))
            connection.execute("UPDATE objects SET body = ? WHERE id = ?", (told, waiting.event["id"]))

    def _failed(self, waiting: _Waiting) -> None:
        with self._storage.transaction() as connection:
            connection.execute("UPDATE deliveries SET tries = tries + 1 WHERE turn = ?", (waiting.turn,))
        if waiting.tries + 1 >= TRIES_MAX:
            _LOG.warning("the webhook never answered, %s is given up", waiting.event["id"])
        pause = min(BACKOFF_LEAST_S * 2**waiting.tries, BACKOFF_MOST_S)
        self._not_before[waiting.turn] = self._now() + pause

    def _pause_s(self) -> float:
        now = self._now()
        return min(LOOK_EVERY_S, *(at - now for at in self._not_before.values() if at > now), LOOK_EVERY_S)

    def _now(self) -> float:
        assert self._loop is not None, "it was started"
        return self._loop.time()
