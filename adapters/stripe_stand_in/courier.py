"""Brings events to the webhook, again and again until they are answered with a 2xx."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TypeAlias

import httpx

from adapters.stripe_stand_in.storage import Body, Storage, from_text, to_text

TRIES_MAX = 16
AT_ONCE_MAX = 8
ANSWER_WITHIN_S = 10.0
BACKOFF_LEAST_S = 0.25
BACKOFF_MOST_S = 60.0
# Another process may have made an event; one of ours rings the bell.
LOOK_EVERY_S = 1.0

Envelope: TypeAlias = tuple[str, bytes, str]

_LOG = logging.getLogger(__name__)


class Courier:
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
                due = self._due()
                await asyncio.gather(*(self._deliver(client, event, *envelope) for event, envelope in due))
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: in Python 3.11 it may swallow the cancellation that ends this loop.
                    async with asyncio.timeout(self._pause_s()):
                        await self._bell.wait()

    def _due(self) -> list[tuple[Body, Envelope]]:
        with self._storage.transaction() as connection:
            rows = connection.execute(
                "SELECT body FROM deliveries JOIN objects ON id = event WHERE tries < ? ORDER BY number", (TRIES_MAX,)
            ).fetchall()
        now = self._now()
        waiting = [from_text(row[0]) for row in rows]
        ids = {event["id"] for event in waiting}
        self._not_before = {id_: at for id_, at in self._not_before.items() if id_ in ids}
        ripe = [event for event in waiting if self._not_before.get(event["id"], 0) <= now]
        due = [(event, envelope) for event in ripe if (envelope := self._envelope(event)) is not None]
        if len(due) > AT_ONCE_MAX:
            self._bell.set()
        return due[:AT_ONCE_MAX]

    async def _deliver(self, client: httpx.AsyncClient, event: Body, url: str, raw: bytes, signature: str) -> None:
        headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signature}
        try:
            answered = (await client.post(url, content=raw, headers=headers)).is_success
        except httpx.HTTPError as error:
            _LOG.debug("the webhook was not reached: %s", error)
            answered = False
        self._note(event, answered=answered)

    def _note(self, event: Body, *, answered: bool) -> None:
        id_ = event["id"]
        with self._storage.transaction() as connection:
            if answered:
                connection.execute("DELETE FROM deliveries WHERE event = ?", (id_,))
                told = to_text(event | {"pending_webhooks": 0})
                connection.execute("UPDATE objects SET body = ? WHERE id = ?", (told, id_))
                self._not_before.pop(id_, None)
                return
            connection.execute("UPDATE deliveries SET tries = tries + 1 WHERE event = ?", (id_,))
            row = connection.execute("SELECT tries FROM deliveries WHERE event = ?", (id_,)).fetchone()
        tries = row[0] if row is not None else 1
        if tries >= TRIES_MAX:
            _LOG.warning("the webhook never answered, %s is given up", id_)
        self._not_before[id_] = self._now() + min(BACKOFF_LEAST_S * 2 ** (tries - 1), BACKOFF_MOST_S)

    def _pause_s(self) -> float:
        now = self._now()
        return min(LOOK_EVERY_S, *(at - now for at in self._not_before.values() if at > now), LOOK_EVERY_S)

    def _now(self) -> float:
        assert self._loop is not None, "it was started"
        return self._loop.time()
