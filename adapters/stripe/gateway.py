"""The gateway to Stripe: Checkouts, refunds, what Stripe holds, and what it tells by webhook."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import httpx
import msgspec
import structlog

from adapters.stripe import shapes
from adapters.stripe.connection import Connection, Missing
from adapters.stripe.signatures import check_signature
from domain.ids import PaymentId, RefundId
from domain.money import MicroUsd
from domain.payments.events import StripeBalanceMoved
from domain.payments.ports import (
    CheckoutOrder,
    OpenedCheckout,
    PaymentsRefused,
    PaymentsUnavailable,
    RefundOrder,
    SeenPayment,
    SeenRefund,
    StripeEvent,
)
from domain.time import MICROSECONDS_PER_SECOND, Instant

DONE_PATH, LEFT_PATH = "/billing/done", "/billing/left"
"""Where Stripe sends the payer afterwards, below our own address."""
PRODUCT = "LiteVPS funds"
PAGE_ITEMS = 100
"""As many as Stripe gives at once."""
PAGES_MAX = 10
"""How far a list is walked through at once; of more, the older half of the time is asked for by itself.

Stripe tells the newest first, so it costs as many calls as this to learn that there is more.
"""

T = TypeVar("T", bound=msgspec.Struct)
ListPage = Callable[[Any], Awaitable[Any]]

_log = structlog.get_logger(__name__)


class StripeGateway:
    """Implements ``domain.payments.ports.PaymentGateway``."""

    def __init__(
        self,
        secret_key: str,
        webhook_secrets: Sequence[str],
        *,
        public_url: str,
        api_base: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        page_items: int = PAGE_ITEMS,
        pages_max: int = PAGES_MAX,
    ) -> None:
        """``webhook_secrets``: any of them signs, so that one can follow another; ``public_url``: our own address."""
        self._webhook_secrets = tuple(webhook_secrets)
        self._public_url = public_url
        self._connection = Connection(secret_key, api_base=api_base, transport=transport)
        self._v1 = self._connection.v1
        self._page_items = page_items
        self._pages_max = pages_max

    async def close(self) -> None:
        """Let go of all connections."""
        await self._connection.close()

    async def answers(self) -> None:
        """Return if Stripe answers to our key. Raises PaymentsUnavailable."""
        await self._connection.read(self._v1.balance.retrieve_async(), dict)

    async def ensure_checkout(self, order: CheckoutOrder) -> OpenedCheckout:
        """Have a Checkout Session for a payment; see ``PaymentGateway.ensure_checkout``."""
        metadata = {shapes.PAYMENT_ID: str(order.payment_id), shapes.ACCOUNT_ID: str(order.account_id)}
        params: Any = {
            "mode": "payment",
            "client_reference_id": str(order.payment_id),
            "metadata": metadata,
            # Refunds and disputes are told of by the payment, which does not know its session.
            "payment_intent_data": {"metadata": metadata, "description": PRODUCT},
            "line_items": [{"quantity": 1, "price_data": _price(order)}],
            "adaptive_pricing": {"enabled": False},
            "success_url": self._public_url + DONE_PATH,
            "cancel_url": self._public_url + LEFT_PATH,
            "expires_at": order.expires_at // MICROSECONDS_PER_SECOND,
        }
        if order.email is not None:
            params["customer_email"] = order.email
        creating = self._v1.checkout.sessions.create_async(params, {"idempotency_key": _key(order.payment_id)})
        session = await self._read_made(creating, shapes.Session)
        if session.url is None:
            raise PaymentsRefused(f"the session {session.id} is over")
        return OpenedCheckout(session.id, session.url, shapes.instant_of(session.expires_at))

    async def expire_checkout(self, session_id: str) -> None:
        """Have nobody pay at a session any more; see ``PaymentGateway.expire_checkout``."""
        try:
            await self._connection.read(self._v1.checkout.sessions.expire_async(session_id), dict)
        except (Missing, PaymentsRefused) as over:
            _log.info("session is over", session_id=session_id, told=str(over))

    async def find_payment(self, session_id: str) -> SeenPayment | None:
        """Return what Stripe has of a session now; see ``PaymentGateway.find_payment``."""
        retrieving = self._v1.checkout.sessions.retrieve_async(session_id, {"expand": ["payment_intent"]})
        try:
            session = await self._connection.read(retrieving, shapes.Session)
        except Missing:
            return None
        if not isinstance(session.payment_intent, shapes.Intent):
            return shapes.seen_payment(session, (), ())
        of_payment = {"payment_intent": session.payment_intent.id}
        refunds, disputes = await asyncio.gather(
            self._all(self._v1.refunds.list_async, of_payment, shapes.Refund),
            self._all(self._v1.disputes.list_async, of_payment, shapes.Dispute),
        )
        return shapes.seen_payment(
            session, tuple(map(shapes.seen_refund, refunds)), tuple(map(shapes.seen_dispute, disputes))
        )

    async def session_of(self, payment_intent_id: str) -> str | None:
        """Return the session that a payment intent belongs to; see ``PaymentGateway.session_of``."""
        params: Any = {"payment_intent": payment_intent_id}
        try:
            sessions = await self._all(self._v1.checkout.sessions.list_async, params, shapes.Session)
        except (Missing, PaymentsRefused):
            return None
        return sessions[0].id if sessions else None

    async def ensure_refund(self, order: RefundOrder) -> SeenRefund:
        """Have a refund; see ``PaymentGateway.ensure_refund``."""
        of_payment = {"payment_intent": order.payment_intent_id}
        # Stripe forgets idempotency keys after a day; its refunds it never forgets.
        there = map(shapes.seen_refund, await self._all_of(self._v1.refunds.list_async, of_payment, shapes.Refund))
        if (ours := next((one for one in there if one.refund_id == order.refund_id), None)) is not None:
            return ours
        params: Any = {
            **of_payment,
            "amount": shapes.cents_of(order.amount),
            "reason": "requested_by_customer",
            "metadata": {shapes.REFUND_ID: str(order.refund_id)},
        }
        creating = self._v1.refunds.create_async(params, {"idempotency_key": _key(order.refund_id)})
        return shapes.seen_refund(await self._read_made(creating, shapes.Refund))

    async def fee_of(self, charge_id: str) -> MicroUsd | None:
        """Return what Stripe kept of a charge; see ``PaymentGateway.fee_of``."""
        retrieving = self._v1.charges.retrieve_async(charge_id, {"expand": ["balance_transaction"]})
        try:
            moved = (await self._connection.read(retrieving, shapes.Charge)).balance_transaction
        except Missing:
            return None
        return shapes.micros_of(moved.fee) if isinstance(moved, shapes.Transaction) else None

    def read_webhook(self, raw: bytes, signature: str, now: Instant) -> StripeEvent:
        """Return what a webhook tells; see ``PaymentGateway.read_webhook``."""
        check_signature(raw, signature, self._webhook_secrets, now)
        return shapes.stripe_event(raw)

    def read_event(self, raw: str) -> StripeEvent:
        """Return what an event tells that was kept; see ``PaymentGateway.read_event``."""
        return shapes.stripe_event(raw.encode())

    async def events_since(self, since: Instant, limit: int) -> Sequence[StripeEvent]:
        """Return events that happened at ``since`` or later; see ``PaymentGateway.events_since``."""
        found = await self._oldest(self._v1.events.list_async, since, limit)
        return list(_readable(found, lambda raw: shapes.stripe_event(bytes(raw))))

    async def transactions_since(self, since: Instant, limit: int) -> Sequence[StripeBalanceMoved]:
        """Return balance transactions made at ``since`` or later; see ``PaymentGateway.transactions_since``."""
        found = await self._oldest(self._list_transactions, since, limit)
        moved = _readable(found, lambda raw: _decoded(raw, shapes.Transaction))
        return [shapes.balance_moved(one) for one in moved if _is_ours(one)]

    async def find_transaction(self, transaction_id: str) -> StripeBalanceMoved | None:
        """Return a balance transaction as it is now; see ``PaymentGateway.find_transaction``."""
        try:
            retrieving = self._v1.balance_transactions.retrieve_async(transaction_id)
            return shapes.balance_moved(await self._connection.read(retrieving, shapes.Transaction))
        except Missing:
            return None

    def _list_transactions(self, params: Any) -> Awaitable[Any]:
        # However many there are in other currencies, they fill no page of ours.
        of_ours: Any = {**params, "currency": shapes.CURRENCY}
        return self._v1.balance_transactions.list_async(of_ours)

    async def _read_made(self, creating: Awaitable[Any], kind: type[T]) -> T:
        try:
            return await self._connection.read(creating, kind)
        except Missing as missing:
            raise PaymentsRefused(str(missing)) from missing

    async def _all_of(self, list_page: ListPage, params: dict[str, str], kind: type[T]) -> list[T]:
        try:
            return await self._all(list_page, params, kind)
        except Missing as missing:
            raise PaymentsRefused(str(missing)) from missing

    async def _all(self, list_page: ListPage, params: dict[str, str], kind: type[T]) -> list[T]:
        """Return everything that a list has, of which there is never much."""
        found: list[T] = []
        more: dict[str, str] = {}
        for _ in range(self._pages_max):
            page = await self._connection.read(list_page({**params, **more, "limit": self._page_items}), shapes.Page)
            found += (_decoded(raw, kind) for raw in page.data)
            if not page.has_more:
                return found
            more = {"starting_after": _decoded(page.data[-1], shapes.Listed).id}
        raise PaymentsUnavailable(f"more than {self._pages_max} pages of {params}")

    async def _oldest(self, list_page: ListPage, since: Instant, limit: int) -> list[msgspec.Raw]:
        """Return the oldest of what a list has since an instant, oldest first. Stripe tells the newest first."""
        since_s = since // MICROSECONDS_PER_SECOND
        until_s: int | None = None
        oldest: list[msgspec.Raw] = []
        while True:
            found, reached_s = await self._walked(list_page, _created(since_s, until_s), limit - len(oldest))
            if reached_s is not None:
                # Too much to walk through: the older half of the time that is left by itself.
                until_s = (since_s + reached_s) // 2
                continue
            oldest += found
            if until_s is None or len(oldest) == limit:
                return oldest
            since_s, until_s = until_s + 1, None

    async def _walked(
        self, list_page: ListPage, created: dict[str, int], limit: int
    ) -> tuple[list[msgspec.Raw], int | None]:
        """Walk a list back in time; return its oldest, or how far back the walk came if not to the end."""
        oldest: deque[msgspec.Raw] = deque(maxlen=limit)
        last: shapes.Dated | None = None
        for _ in range(self._pages_max):
            params: dict[str, Any] = {"created": created, "limit": self._page_items}
            if last is not None:
                params["starting_after"] = last.id
            page = await self._connection.read(list_page(params), shapes.Page)
            oldest.extend(page.data)
            if not page.has_more:
                return list(reversed(oldest)), None
            last = _decoded(page.data[-1], shapes.Dated)
        assert last is not None, "there is at least one page"
        if last.created == created["gte"] == created.get("lte"):
            raise PaymentsUnavailable("more within one second than can be walked through")
        return [], last.created


def _price(order: CheckoutOrder) -> dict[str, Any]:
    return {
        "currency": shapes.CURRENCY,
        "unit_amount": shapes.cents_of(order.amount),
        "product_data": {"name": PRODUCT},
    }


def _key(id_: PaymentId | RefundId) -> str:
    return f"litevps-{id_}"


def _created(since_s: int, until_s: int | None) -> dict[str, int]:
    return {"gte": since_s} if until_s is None else {"gte": since_s, "lte": until_s}


def _decoded(raw: msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        raise PaymentsUnavailable(f"Stripe answers what cannot be read: {error}") from error


def _readable(found: Iterable[msgspec.Raw], read: Callable[[msgspec.Raw], T]) -> Iterator[T]:
    """Yield what can be read of a list: one that cannot keeps nothing from being seen that comes after it."""
    for raw in found:
        try:
            yield read(raw)
        except (ValueError, PaymentsUnavailable) as unreadable:
            _log.error("left out of a list of Stripe's, since it cannot be read", problem=str(unreadable))


def _is_ours(moved: shapes.Transaction) -> bool:
    if moved.currency == shapes.CURRENCY:
        return True
    _log.warning("a balance transaction in another currency is no part of the books", transaction_id=moved.id)
    return False
