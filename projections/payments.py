"""Payments, their refunds, and what is still open of them: what the sweep looks through."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec

from domain.ids import AccountId, PaymentId
from domain.money import MicroUsd
from domain.payments import events
from domain.payments.payment import FOLD, Payment, Refund
from domain.payments.work import RefundStatus, look_at
from domain.ports import EventStore
from domain.time import Instant
from projections.read_model import Connection, Entry, ReadModel, columns_of
from projections.reading import ReadModels

_SQL = """
CREATE TABLE payment (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    state text NOT NULL,
    refundable boolean NOT NULL,
    look_at bigint,
    folded text NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX payment_of_account ON payment (account_id, id);
CREATE INDEX payment_to_look_at ON payment (id) WHERE look_at IS NOT NULL;
CREATE TABLE payment_refund (
    payment_id uuid NOT NULL,
    key text NOT NULL,
    account_id uuid NOT NULL,
    amount bigint NOT NULL,
    state text NOT NULL,
    fee bigint NOT NULL,
    at bigint NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (payment_id, key)
);
CREATE INDEX payment_refund_of_account ON payment_refund (account_id, position DESC, key);
CREATE TABLE stripe_event_pending (
    stripe_event_id text PRIMARY KEY,
    position bigint NOT NULL
);
CREATE TABLE stripe_transaction_pending (
    transaction_id text PRIMARY KEY,
    available_at bigint NOT NULL
);
"""
_READ = "SELECT id, folded FROM payment WHERE id = ANY(%b::uuid[])"
_WRITE = """
    INSERT INTO payment (id, account_id, state, refundable, look_at, folded)
    SELECT * FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::boolean[], %b::bigint[], %b::text[])
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, refundable = excluded.refundable,
        look_at = excluded.look_at, folded = excluded.folded
"""
_WRITE_REFUNDS = """
    INSERT INTO payment_refund (payment_id, key, account_id, amount, state, fee, at, position)
    SELECT * FROM unnest(
        %b::uuid[], %b::text[], %b::uuid[], %b::bigint[], %b::text[], %b::bigint[], %b::bigint[], %b::bigint[]
    )
    ON CONFLICT (payment_id, key) DO UPDATE SET state = excluded.state, fee = excluded.fee
"""
_ADD_EVENTS = "INSERT INTO stripe_event_pending SELECT * FROM unnest(%b::text[], %b::bigint[])"
_REMOVE_EVENTS = "DELETE FROM stripe_event_pending WHERE stripe_event_id = ANY(%b::text[])"
_ADD_TRANSACTIONS = "INSERT INTO stripe_transaction_pending SELECT * FROM unnest(%b::text[], %b::bigint[])"
_REMOVE_TRANSACTIONS = "DELETE FROM stripe_transaction_pending WHERE transaction_id = ANY(%b::text[])"
_PENDING_EVENTS = """
    SELECT stripe_event_id FROM stripe_event_pending WHERE stripe_event_id > %s ORDER BY stripe_event_id LIMIT %s
"""
_DUE = "SELECT id FROM payment WHERE look_at <= %s AND id > %s ORDER BY id LIMIT %s"
_DUE_TRANSACTIONS = """
    SELECT transaction_id FROM stripe_transaction_pending
    WHERE available_at <= %s AND transaction_id > %s ORDER BY transaction_id LIMIT %s
"""
_REFUNDABLE = "SELECT id FROM payment WHERE account_id = %s AND refundable ORDER BY id"
_OPEN = "SELECT id FROM payment WHERE account_id = %s AND state IN ('requested', 'open') ORDER BY id"
_AWAITING = "SELECT id FROM payment WHERE account_id = %s AND look_at IS NOT NULL ORDER BY id"
_REFUNDS = """
    SELECT key, payment_id, amount, state, at, fee FROM payment_refund
    WHERE account_id = %s ORDER BY position DESC, key
"""
_BEFORE_ALL = UUID(int=0)
_OF_A_PAYMENT = (
    events.CheckoutRequested,
    events.CheckoutOpened,
    events.CheckoutExpired,
    events.CheckoutFailed,
    events.PaymentReceived,
    events.PaymentMismatched,
    events.RefundRequested,
    events.RefundFeeKept,
    events.RefundOpened,
    events.OutsideRefundFound,
    events.RefundSettled,
    events.RefundFailed,
    events.DisputeOpened,
    events.DisputeWon,
    events.DisputeLost,
    events.InquiryClosed,
)

_to_json = msgspec.json.Encoder()
_from_json = msgspec.json.Decoder(Payment)


class TabledPayments:
    """Implements ``domain.payments.work.OpenPayments`` by this read model."""

    def __init__(self, read_models: ReadModels, store: EventStore) -> None:
        self._read_models = read_models
        self._store = store

    async def pending_events(self, after: str | None, limit: int) -> Sequence[str]:
        """Return events that came in and are not applied; see ``OpenPayments.pending_events``."""
        async with self._read_models.at(0, PAYMENTS) as connection:
            cursor = await connection.execute(_PENDING_EVENTS, [after or "", limit])
            return [stripe_event_id for (stripe_event_id,) in await cursor.fetchall()]

    async def due_payments(self, now: Instant, after: PaymentId | None, limit: int) -> Sequence[PaymentId]:
        """Return payments to be looked at; see ``OpenPayments.due_payments``."""
        async with self._read_models.at(0, PAYMENTS) as connection:
            cursor = await connection.execute(_DUE, [now, after or _BEFORE_ALL, limit])
            return [PaymentId(payment_id) for (payment_id,) in await cursor.fetchall()]

    async def due_transactions(self, now: Instant, after: str | None, limit: int) -> Sequence[str]:
        """Return balance transactions that should be available; see ``OpenPayments.due_transactions``."""
        async with self._read_models.at(0, PAYMENTS) as connection:
            cursor = await connection.execute(_DUE_TRANSACTIONS, [now, after or "", limit])
            return [transaction_id for (transaction_id,) in await cursor.fetchall()]

    async def refundable_payments(self, account_id: AccountId) -> Sequence[PaymentId]:
        """Return payments that did not go back wholly; see ``OpenPayments.refundable_payments``."""
        async with self._current() as connection:
            cursor = await connection.execute(_REFUNDABLE, [account_id])
            return [PaymentId(payment_id) for (payment_id,) in await cursor.fetchall()]

    async def open_payments(self, account_id: AccountId) -> Sequence[PaymentId]:
        """Return payments that may still be paid; see ``OpenPayments.open_payments``."""
        async with self._current() as connection:
            cursor = await connection.execute(_OPEN, [account_id])
            return [PaymentId(payment_id) for (payment_id,) in await cursor.fetchall()]

    async def awaiting_stripe(self, account_id: AccountId) -> Sequence[PaymentId]:
        """Return payments that are not over; see ``OpenPayments.awaiting_stripe``."""
        async with self._current() as connection:
            cursor = await connection.execute(_AWAITING, [account_id])
            return [PaymentId(payment_id) for (payment_id,) in await cursor.fetchall()]

    async def refunds(self, account_id: AccountId) -> Sequence[RefundStatus]:
        """Return the refunds of an account; see ``OpenPayments.refunds``."""
        async with self._current() as connection:
            cursor = await connection.execute(_REFUNDS, [account_id])
            return [RefundStatus(*row) for row in await cursor.fetchall()]

    @asynccontextmanager
    async def _current(self) -> AsyncIterator[Connection]:
        async with self._read_models.at(await self._store.head(), PAYMENTS) as connection:
            yield connection


async def _apply(connection: Connection, batch: Sequence[Entry]) -> None:
    await _apply_to_payments(connection, [entry for entry in batch if isinstance(entry.event, _OF_A_PAYMENT)])
    received: dict[str, int] = {}
    applied: list[str] = []
    pending: dict[str, Instant] = {}
    available: list[str] = []
    for entry in batch:
        match entry.event:
            case events.StripeEventReceived(stripe_event_id=stripe_event_id):
                received[stripe_event_id] = entry.recorded.position
            case events.StripeEventApplied(stripe_event_id=stripe_event_id):
                applied.append(stripe_event_id)
            case events.StripeBalanceMoved(transaction_id=transaction_id, is_available=False) as moved:
                pending[transaction_id] = moved.available_at
            case events.StripeFundsAvailable(transaction_id=transaction_id):
                available.append(transaction_id)
    if received:
        await connection.execute(_ADD_EVENTS, columns_of(received.items()))
    if applied:
        await connection.execute(_REMOVE_EVENTS, [applied])
    if pending:
        await connection.execute(_ADD_TRANSACTIONS, columns_of(pending.items()))
    if available:
        await connection.execute(_REMOVE_TRANSACTIONS, [available])


async def _apply_to_payments(connection: Connection, batch: Sequence[Entry]) -> None:
    streams = list({entry.recorded.stream for entry in batch})
    if not streams:
        return
    cursor = await connection.execute(_READ, [streams])
    folded: dict[UUID, Payment | None] = {id_: _from_json.decode(text) for id_, text in await cursor.fetchall()}
    refunds: dict[tuple[UUID, str], tuple[object, ...]] = {}
    for entry in batch:
        stream = entry.recorded.stream
        before, after = folded.get(stream), FOLD.evolve(folded.get(stream), entry.event)
        assert after is not None, "a payment begins with a request"
        folded[stream] = after
        for refund in _changed_refunds(before, after):
            # Where the row is there already, only its state and its fee are taken over.
            first = refunds.get((stream, refund.key))
            since = first[-2:] if first else (entry.recorded.happened_at, entry.recorded.position)
            refunds[stream, refund.key] = (
                *(stream, refund.key, after.account_id, refund.amount, refund.state, refund.fee),
                *since,
            )
    await connection.execute(_WRITE, columns_of(_row(payment) for payment in folded.values() if payment is not None))
    if refunds:
        await connection.execute(_WRITE_REFUNDS, columns_of(refunds.values()))


def _changed_refunds(before: Payment | None, after: Payment) -> Iterable[Refund]:
    known = {} if before is None else before.refunds
    return (refund for key, refund in after.refunds.items() if known.get(key) != refund)


def _row(payment: Payment) -> tuple[object, ...]:
    # The address of the Checkout page is the payer's alone, sealed or not.
    kept = _to_json.encode(msgspec.structs.replace(payment, url=None)).decode()
    refundable = payment.state == "received" and payment.left > MicroUsd(0)
    return payment.payment_id, payment.account_id, payment.state, refundable, look_at(payment), kept


PAYMENTS = ReadModel(
    name="payments",
    tables=("payment", "payment_refund", "stripe_event_pending", "stripe_transaction_pending"),
    sql=_SQL,
    events=(
        *_OF_A_PAYMENT,
        events.StripeEventReceived,
        events.StripeEventApplied,
        events.StripeBalanceMoved,
        events.StripeFundsAvailable,
    ),
    apply=_apply,
    keeps=(Payment,),
)
