"""Payment reconciliation: finds what webhooks missed and what was left undone, by looking at Stripe unasked."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

import structlog

from api.application.payments.applying import apply_payment, read_from_stripe
from api.application.payments.checkouts import ensure_opened
from api.application.payments.dependencies import LEASE_S, PaymentsContext, as_service
from api.application.payments.refunding import ensure_refunded
from api.application.payments.webhooks import EVENT_LEASE, HANDLED_KINDS, PAUSES, keep_event, look_up
from api.application.queues import Later, Queue, RoundEnds
from api.application.repository import Loaded
from domain.deciding import AggregateRef, Decision
from domain.errors import Contended
from domain.ids import STRIPE_STREAM, PaymentId, stripe_event_stream, stripe_transaction_stream
from domain.pauses import Pauses
from domain.payments.cursors import CURSORS, What, note_swept
from domain.payments.events import StripeBalanceMoved
from domain.payments.inbox import inbox_ref
from domain.payments.ports import PaymentsUnavailable, StripeEvent
from domain.payments.transactions import apply_transaction, transaction_ref
from domain.payments.work import look_at
from domain.ports import StoreFailed, StoreUnavailable
from domain.time import HOUR, Instant, seconds

EVERY_S, EVERY_S_DEVELOPMENT = 60.0, 3.0
SWEEP_WITHIN_S = 45.0
"""How long one sweep takes at most; the next goes on."""
AT_ONCE_MAX = 8
BATCH_MAX = 200
LISTED_MAX = 1_000
"""Of one of Stripe's lists, asked for and taken in at once."""
ROUNDS_MAX = 50
"""Batches of one list in one sweep."""
OVERLAP = seconds(600)
"""How far back Stripe's lists are looked through again: what happens first is not always listed first."""
EVENTS_KEPT_FOR = 31 * 24 * HOUR
"""How far back Stripe's list of events goes: https://docs.stripe.com/api/events says 30 days."""
HELD_BACK_FOR = 24 * HOUR
"""How long what is listed and cannot be recorded is asked for again, with all that was listed since."""
MISSES_MAX = 3
"""After so many things in a row that Stripe did not answer, it is asked whether it answers at all."""
SWEEP_LEASE, PAYMENT_LEASE, TRANSACTION_LEASE = "stripe-sweep", "payment", "stripe-transaction"
LOOKED_AGAIN_S_MIN, LOOKED_AGAIN_S_MAX = 30.0, 3600.0
"""How soon a payment of which nothing was new is looked at again: at first, and at most."""

T = TypeVar("T")

_Listed = tuple[str, Instant, T]
"""Something of a list of Stripe's: its id, when it happened, and what it is."""

_log = structlog.get_logger(__name__)


class StripeAway(RoundEnds):
    """Stripe does not answer, whatever it is asked."""


class PaymentReconciler:
    """One process's share of looking; any number may sweep, one at a time does."""

    def __init__(self, payments: PaymentsContext, *, looked_again_s: float = LOOKED_AGAIN_S_MIN) -> None:
        self._payments = payments
        self._looked_again_s = looked_again_s
        self._misses = 0
        """How often in a row Stripe did not answer."""
        self._kept_events = self._queue(
            EVENT_LEASE, payments.open_payments.pending_events, self._look_up, stripe_event_stream, PAUSES.after
        )
        self._due_payments = self._queue(
            PAYMENT_LEASE, self._payments_due, self._look_at, lambda payment_id: payment_id, self._looked_again
        )
        self._pending_transactions = self._queue(
            TRANSACTION_LEASE, self._transactions_due, self._look_again, stripe_transaction_stream, PAUSES.after
        )

    def _queue(
        self,
        scope: str,
        waiting: Callable[[T | None, int], Awaitable[Sequence[T]]],
        work: Callable[[T], Awaitable[object]],
        lease_key: Callable[[T], UUID],
        pause_s: Callable[[int], float],
    ) -> Queue[T]:
        async def counted(key: T) -> None:
            try:
                await work(key)
            except PaymentsUnavailable as away:
                await self._check_stripe(away)
                raise
            self._misses = 0

        return Queue(
            scope,
            self._payments.leases,
            waiting,
            counted,
            lease_key=lease_key,
            lease_s=LEASE_S,
            at_once_max=AT_ONCE_MAX,
            batch_max=BATCH_MAX,
            pause_s=pause_s,
            foreseen=(PaymentsUnavailable, Contended),
        )

    async def run(self) -> None:
        """Do what is due, as far as Stripe answers. Raises StoreUnavailable."""
        key, lease_s = UUID(int=STRIPE_STREAM.int), SWEEP_WITHIN_S + 15.0
        try:
            await self._payments.leased(SWEEP_LEASE, key, self._in_time, lambda _failures: 0, lease_s)
        except StripeAway as away:
            _log.warning("sweep waits for Stripe", problem=str(away))

    async def _in_time(self) -> None:
        """Take each part in turn. Each has its share of the time, and what those before it left of theirs."""
        self._misses = 0
        parts = (
            self._kept_events.work_off,
            self._due_payments.work_off,
            self._look_through_events,
            self._look_through_transactions,
            self._pending_transactions.work_off,
        )
        begun_s = asyncio.get_running_loop().time()
        for number, part in enumerate(parts, start=1):
            try:
                async with asyncio.timeout_at(begun_s + SWEEP_WITHIN_S * number / len(parts)):
                    await part()
            except TimeoutError:
                _log.info("a part of the sweep goes on next time", part=number)
            except (StoreUnavailable, StripeAway):
                raise
            except PaymentsUnavailable as away:
                _log.warning("a part of the sweep waits for Stripe", part=number, problem=str(away))
                await self._check_stripe(away)
            except Exception:  # noqa: BLE001 Of this part; the others are none the worse for it.
                _log.exception("a part of the sweep failed", part=number)

    async def _check_stripe(self, away: PaymentsUnavailable) -> None:
        """Raise StripeAway if it was not for what was asked that Stripe did not answer, so often in a row."""
        self._misses += 1
        if self._misses < MISSES_MAX:
            return
        try:
            await self._payments.gateway.answers()
        except PaymentsUnavailable:
            raise StripeAway(str(away)) from away
        self._misses = 0

    async def _look_up(self, stripe_event_id: str) -> None:
        await look_up(self._payments, stripe_event_id)

    async def _payments_due(self, after: PaymentId | None, limit: int) -> Sequence[PaymentId]:
        return await self._payments.open_payments.due_payments(self._payments.clock.now(), after, limit)

    def _looked_again(self, failures: int) -> float:
        return Pauses(self._looked_again_s, LOOKED_AGAIN_S_MAX).after(failures)

    async def _look_at(self, payment_id: PaymentId) -> None:
        payment = await self._payments.payment(payment_id)
        if payment is not None and payment.state == "requested":
            payment = await ensure_opened(self._payments, payment_id)
        if payment is None or not payment.awaits_stripe:
            return
        for refund in payment.refunds.values():
            if refund.state == "requested" and refund.refund_id is not None:
                await ensure_refunded(self._payments, payment_id, refund.refund_id)
        if (
            payment.session_id is not None
            and (seen := await read_from_stripe(self._payments, payment.session_id)) is not None
        ):
            await apply_payment(self._payments, payment.account_id, payment_id, seen)
        after = await self._payments.payment(payment_id)
        at = None if after is None else look_at(after)
        if at is not None and at <= self._payments.clock.now():
            raise Later

    async def _look_through_events(self) -> None:
        async def take_in(batch: Sequence[_Listed[StripeEvent]]) -> Instant | None:
            handled = [one for one in batch if one[2].kind in HANDLED_KINDS]
            refs = {stripe_event_id: inbox_ref(stripe_event_id) for stripe_event_id, _, _ in handled}
            known = await self._known(refs, lambda _, inbox: inbox.received)
            new = [one for one in handled if one[0] not in known]
            # All are kept before any is looked up, so that what is passed over is never lost.
            missed = await self._record_each("events", new, lambda event: keep_event(self._payments, event))
            await self._kept_events.deal_with([stripe_event_id for stripe_event_id, _, _ in new])
            return missed

        async def events_since(since: Instant, limit: int) -> list[_Listed[StripeEvent]]:
            found = await self._payments.gateway.events_since(since, limit)
            return [(event.stripe_event_id, event.happened_at, event) for event in found]

        kept_since = Instant(self._payments.clock.now() - EVENTS_KEPT_FOR)
        await self._look_through("events", events_since, take_in, kept_since)

    async def _look_through_transactions(self) -> None:
        async def take_in(batch: Sequence[_Listed[StripeBalanceMoved]]) -> Instant | None:
            refs = {transaction_id: transaction_ref(transaction_id) for transaction_id, _, _ in batch}
            moved = {transaction_id: moved for transaction_id, _, moved in batch}
            known = await self._known(refs, lambda id_, state: not apply_transaction(state, moved[id_]))
            new = [one for one in batch if one[0] not in known]
            return await self._record_each("transactions", new, self._record_transaction)

        async def transactions_since(since: Instant, limit: int) -> list[_Listed[StripeBalanceMoved]]:
            found = await self._payments.gateway.transactions_since(since, limit)
            return [(moved.transaction_id, moved.happened_at, moved) for moved in found]

        await self._look_through("transactions", transactions_since, take_in, Instant(0))

    async def _known(self, refs: Mapping[str, AggregateRef[T]], is_known: Callable[[str, T], bool]) -> set[str]:
        """Return those of which all is recorded; none, where one of them cannot be read: then each is looked at."""
        try:
            loaded = await self._payments.aggregates.load(*refs.values())
            return {id_ for id_, ref in refs.items() if is_known(id_, loaded.of(ref))}
        except StoreFailed:
            raise
        except Exception:  # noqa: BLE001 Who is to blame is found when each is recorded by itself.
            return set()

    async def _record_each(
        self, what: What, batch: Sequence["_Listed[T]"], record: Callable[[T], Awaitable[object]]
    ) -> Instant | None:
        """Record each of what was listed; return when the first happened of those that could not be."""
        missed: Instant | None = None
        for id_, at, one in batch:
            try:
                await record(one)
            except StoreUnavailable:
                raise
            except Exception:  # noqa: BLE001 Of this one; those listed after it are recorded all the same.
                _log.exception("what Stripe lists is not recorded yet", what=what, id=id_)
                missed = missed or at
        return missed

    async def _transactions_due(self, after: str | None, limit: int) -> Sequence[str]:
        return await self._payments.open_payments.due_transactions(self._payments.clock.now(), after, limit)

    async def _look_again(self, transaction_id: str) -> None:
        moved = await self._payments.gateway.find_transaction(transaction_id)
        if moved is None or not moved.is_available:
            raise Later
        await self._record_transaction(moved)

    async def _record_transaction(self, moved: StripeBalanceMoved) -> None:
        ref = transaction_ref(moved.transaction_id)

        def decide(loaded: Loaded, _now: Instant) -> Decision:
            events = apply_transaction(loaded.of(ref), moved)
            return Decision(tuple((ref.stream, event) for event in events))

        await self._payments.aggregates.execute([ref], decide, as_service("transaction", None))

    async def _look_through(
        self,
        what: What,
        listed: Callable[[Instant, int], Awaitable[list["_Listed[T]"]]],
        take_in: Callable[[Sequence["_Listed[T]"]], Awaitable[Instant | None]],
        earliest: Instant,
    ) -> None:
        """Go through a list of Stripe's from a little before where the last sweep came to, batch by batch.

        ``take_in``: returns when the first happened of what could not be taken in; the next sweep begins there.
        """
        cursors = (await self._payments.aggregates.load(CURSORS)).of(CURSORS)
        since, limit = Instant(max(earliest, cursors.of(what) - OVERLAP)), LISTED_MAX
        held_back_since = Instant(self._payments.clock.now() - HELD_BACK_FOR)
        missed: Instant | None = None
        for _ in range(ROUNDS_MAX):
            batch = await listed(since, limit)
            if not batch:
                return
            missed_now = await take_in(batch)
            missed = missed or missed_now
            newest, until, _ = batch[-1]
            await self._note_swept(what, newest, until if missed is None else min(until, max(missed, held_back_since)))
            if len(batch) < limit:
                return
            # A whole batch of one instant: only a larger one goes beyond it.
            limit = limit * 2 if until == since else LISTED_MAX
            since = until

    async def _note_swept(self, what: What, newest: str, until: Instant) -> None:
        def decide(loaded: Loaded, _now: Instant) -> Decision:
            events = note_swept(loaded.of(CURSORS), what, newest, until)
            return Decision(tuple((CURSORS.stream, event) for event in events))

        await self._payments.aggregates.execute([CURSORS], decide, as_service("swept", None))
