"""The sweep: finds what webhooks missed and what was left undone, by looking at Stripe unasked."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar
from uuid import UUID

import structlog

from api.ledger import Sight
from api.payments.applying import apply_payment, look_at_stripe
from api.payments.checkouts import ensure_opened
from api.payments.desk import CashDesk, as_service
from api.payments.refunding import ensure_refunded
from api.payments.webhooks import HEEDED, apply_event, keep_event
from domain.deciding import Decision
from domain.ids import STRIPE_STREAM, PaymentId
from domain.payments.cursors import CURSORS, What, note_swept
from domain.payments.events import StripeBalanceMoved
from domain.payments.inbox import inbox_view
from domain.payments.ports import PaymentsUnavailable, StripeEvent
from domain.payments.transactions import apply_transaction, transaction_view
from domain.payments.work import look_at
from domain.ports import StoreUnavailable
from domain.time import HOUR, Instant, seconds

EVERY_S, EVERY_S_DEVELOPMENT = 60.0, 3.0
SWEEP_WITHIN_S = 45.0
"""How long one sweep takes at most; the next goes on."""
AT_ONCE_MAX = 8
BATCH_MAX = 200
PENDING_MAX = 2_000
"""Events that came in and could not be applied, at one sweep: more than can be in trouble at once."""
LISTED_MAX = 1_000
"""Of one of Stripe's lists, asked for and taken in at once."""
ROUNDS_MAX = 50
"""Batches of one kind in one sweep."""
OVERLAP = seconds(600)
"""How far back Stripe's lists are looked through again: what happens first is not always listed first."""
EVENTS_KEPT_FOR = 31 * 24 * HOUR
"""How far back Stripe's list of events goes: https://docs.stripe.com/api/events says 30 days."""
MISSES_MAX = 3
"""After so many calls in a row that Stripe did not answer, the rest is left to the next sweep."""
SWEEP_LEASE, PAYMENT_LEASE = "stripe-sweep", "payment"
LOOKED_AGAIN_S_MIN, LOOKED_AGAIN_S_MAX = 30.0, 3600.0
"""How soon a payment of which nothing was new is looked at again: at first, and at most."""

K = TypeVar("K")
T = TypeVar("T")

_log = structlog.get_logger(__name__)


class NothingNew(Exception):
    """A payment is still open at Stripe as it was."""


class Sweep:
    """One process's share of looking; any number may sweep, one at a time does."""

    def __init__(self, desk: CashDesk, *, looked_again_s: float = LOOKED_AGAIN_S_MIN) -> None:
        self._desk = desk
        self._looked_again_s = looked_again_s
        self._misses = 0

    async def run(self) -> None:
        """Do what is due, as far as Stripe answers. Raises StoreUnavailable."""
        key, lease_s = UUID(int=STRIPE_STREAM.int), SWEEP_WITHIN_S + 15.0
        try:
            await self._desk.leased(SWEEP_LEASE, key, self._in_time, lambda _failures: 0, lease_s)
        except PaymentsUnavailable as away:
            _log.warning("sweep waits for Stripe", problem=str(away))

    async def _in_time(self) -> None:
        self._misses = 0
        try:
            async with asyncio.timeout(SWEEP_WITHIN_S):
                await self._apply_kept_events()
                await self._look_at_payments()
                await self._look_through_events()
                await self._look_through_transactions()
                await self._look_at_pending_transactions()
        except TimeoutError:
            _log.info("sweep goes on next time")

    async def _apply_kept_events(self) -> None:
        pending = await self._desk.open_payments.pending_events(PENDING_MAX)
        await self._each(pending, lambda stripe_event_id: apply_event(self._desk, stripe_event_id))

    async def _look_at_payments(self) -> None:
        after: PaymentId | None = None
        for _ in range(ROUNDS_MAX):
            due = await self._desk.open_payments.due_payments(self._desk.clock.now(), after, BATCH_MAX)
            await self._each(due, self._look_at_leased)
            if len(due) < BATCH_MAX:
                return
            after = due[-1]

    async def _look_at_leased(self, payment_id: PaymentId) -> None:
        async def look() -> None:
            await self._look_at(payment_id)

        try:
            await self._desk.leased(PAYMENT_LEASE, payment_id, look, self._looked_again)
        except NothingNew:
            return

    def _looked_again(self, failures: int) -> float:
        return min(self._looked_again_s * float(2 ** min(failures, 16)), LOOKED_AGAIN_S_MAX)

    async def _look_at(self, payment_id: PaymentId) -> None:
        payment = await self._desk.payment(payment_id)
        if payment is not None and payment.state == "requested":
            payment = await ensure_opened(self._desk, payment_id)
        if payment is None or not payment.awaits_stripe:
            return
        for refund in payment.refunds.values():
            if refund.state == "requested" and refund.refund_id is not None:
                await ensure_refunded(self._desk, payment_id, refund.refund_id)
        if (
            payment.session_id is not None
            and (seen := await look_at_stripe(self._desk, payment.session_id)) is not None
        ):
            await apply_payment(self._desk, payment.account_id, payment_id, seen)
        after = await self._desk.payment(payment_id)
        at = None if after is None else look_at(after)
        if at is not None and at <= self._desk.clock.now():
            raise NothingNew

    async def _look_through_events(self) -> None:
        async def take_in(batch: Sequence[StripeEvent]) -> None:
            views = {event.stripe_event_id: inbox_view(event.stripe_event_id) for event in batch}
            sight = await self._desk.ledger.read(*views.values())
            new = [event for event in batch if not sight.of(views[event.stripe_event_id]).received]
            # All are kept before any is looked up, so that what is passed over is never lost.
            for event in new:
                await keep_event(self._desk, event)
            await self._each(
                [event.stripe_event_id for event in new], lambda event_id: apply_event(self._desk, event_id)
            )

        async def events_since(since: Instant, limit: int) -> list[tuple[str, Instant, StripeEvent]]:
            found = await self._desk.gateway.events_since(since, limit)
            return [(event.stripe_event_id, event.happened_at, event) for event in found]

        async def heeded(batch: Sequence[StripeEvent]) -> None:
            if those := [event for event in batch if event.kind in HEEDED]:
                await take_in(those)

        kept_since = Instant(self._desk.clock.now() - EVENTS_KEPT_FOR)
        await self._look_through("events", events_since, heeded, kept_since)

    async def _look_through_transactions(self) -> None:
        async def take_in(batch: Sequence[StripeBalanceMoved]) -> None:
            views = [transaction_view(moved.transaction_id) for moved in batch]
            sight = await self._desk.ledger.read(*views)
            for moved, view in zip(batch, views, strict=True):
                if apply_transaction(sight.of(view), moved):
                    await self._record_transaction(moved)

        async def transactions_since(since: Instant, limit: int) -> list[tuple[str, Instant, StripeBalanceMoved]]:
            found = await self._desk.gateway.transactions_since(since, limit)
            return [(moved.transaction_id, moved.happened_at, moved) for moved in found]

        await self._look_through("transactions", transactions_since, take_in, Instant(0))

    async def _look_at_pending_transactions(self) -> None:
        async def look(transaction_id: str) -> None:
            moved = await self._desk.gateway.find_transaction(transaction_id)
            if moved is not None:
                await self._record_transaction(moved)

        due = await self._desk.open_payments.due_transactions(self._desk.clock.now(), BATCH_MAX)
        await self._each(due, look)

    async def _record_transaction(self, moved: StripeBalanceMoved) -> None:
        view = transaction_view(moved.transaction_id)

        def decide(sight: Sight, _now: Instant) -> Decision:
            events = apply_transaction(sight.of(view), moved)
            return Decision(tuple((view.stream, event) for event in events))

        await self._desk.ledger.execute([view], decide, as_service("transaction", None))

    async def _look_through(
        self,
        what: What,
        listed: Callable[[Instant, int], Awaitable[list[tuple[str, Instant, T]]]],
        take_in: Callable[[Sequence[T]], Awaitable[None]],
        earliest: Instant,
    ) -> None:
        """Go through a list of Stripe's from a little before where the last sweep came to, batch by batch."""
        cursors = (await self._desk.ledger.read(CURSORS)).of(CURSORS)
        since, limit = Instant(max(earliest, cursors.of(what) - OVERLAP)), LISTED_MAX
        for _ in range(ROUNDS_MAX):
            batch = await listed(since, limit)
            if not batch:
                return
            await take_in([one for _, _, one in batch])
            newest, until, _ = batch[-1]
            await self._note_swept(what, newest, until)
            if len(batch) < limit:
                return
            # A whole batch of one instant: only a larger one goes beyond it.
            limit = limit * 2 if until == since else LISTED_MAX
            since = until

    async def _note_swept(self, what: What, newest: str, until: Instant) -> None:
        def decide(sight: Sight, _now: Instant) -> Decision:
            events = note_swept(sight.of(CURSORS), what, newest, until)
            return Decision(tuple((CURSORS.stream, event) for event in events))

        await self._desk.ledger.execute([CURSORS], decide, as_service("swept", None))

    async def _each(self, keys: Iterable[K], look: Callable[[K], Awaitable[object]]) -> None:
        """Do something about each; one that cannot be done does not keep the others waiting."""
        slots = asyncio.Semaphore(AT_ONCE_MAX)

        async def one(key: K) -> None:
            async with slots:
                if self._misses >= MISSES_MAX:
                    return
                try:
                    await look(key)
                    self._misses = 0
                except StoreUnavailable:
                    raise
                except PaymentsUnavailable as away:
                    self._misses += 1
                    _log.warning("left for later", key=str(key), problem=str(away))
                except Exception:  # noqa: BLE001
                    _log.exception("sweep failed", key=str(key))

        await asyncio.gather(*(one(key) for key in keys))
        if self._misses >= MISSES_MAX:
            raise PaymentsUnavailable("Stripe does not answer")
