"""Shapes of what Stripe tells, as far as it is read, and what each means in our words."""

from typing import Any, Literal
from uuid import UUID

import msgspec

from domain.errors import InvariantBroken
from domain.ids import RefundId
from domain.money import MicroUsd
from domain.payments.events import StripeBalanceMoved, TransactionKind
from domain.payments.ports import SeenDispute, SeenPayment, SeenRefund, StripeEvent
from domain.time import MICROSECONDS_PER_SECOND, Instant

CURRENCY = "usd"
MICROS_PER_CENT = 10_000
ACCOUNT_ID, PAYMENT_ID, REFUND_ID = "account_id", "payment_id", "refund_id"
"""Names in the metadata that we give."""

_REFUND_STATES: dict[str, Literal["settled", "failed"]] = {
    "succeeded": "settled",
    "failed": "failed",
    "canceled": "failed",
}
_DISPUTE_STATES: dict[str, Literal["inquiry", "inquiry-closed", "won", "lost"]] = {
    "warning_needs_response": "inquiry",
    "warning_under_review": "inquiry",
    "warning_closed": "inquiry-closed",
    "prevented": "inquiry-closed",
    "won": "won",
    "lost": "lost",
}
_TRANSACTION_KINDS: dict[str, TransactionKind] = {
    "charge": "charge",
    "payment": "charge",
    "refund": "refund",
    "payment_refund": "refund",
    "refund_failure": "refund-failure",
    "payout": "payout",
    "payout_failure": "payout-failure",
    "payout_cancel": "payout-failure",
    "stripe_fee": "fee",
    "stripe_fx_fee": "fee",
    "tax_fee": "fee",
}
_ADJUSTMENT_KINDS: dict[str, TransactionKind] = {"dispute": "dispute", "dispute_reversal": "dispute-reversal"}


class Intent(msgspec.Struct):
    """A PaymentIntent."""

    id: str
    status: str
    amount_received: int
    latest_charge: str | None


class Session(msgspec.Struct):
    """A Checkout Session, its PaymentIntent expanded."""

    id: str
    mode: str
    status: str | None
    payment_status: str
    amount_total: int | None
    currency: str | None
    expires_at: int
    client_reference_id: str | None = None
    metadata: dict[str, str] | None = None
    url: str | None = None
    payment_intent: Intent | str | None = None


class Refund(msgspec.Struct):
    """A refund."""

    id: str
    amount: int
    status: str | None
    metadata: dict[str, str] | None = None


class Dispute(msgspec.Struct):
    """A dispute, or an inquiry that may become one."""

    id: str
    amount: int
    status: str


class Transaction(msgspec.Struct):
    """A balance transaction."""

    id: str
    type: str
    reporting_category: str
    amount: int
    fee: int
    currency: str
    created: int
    available_on: int
    status: str
    source: str | None = None


class Charge(msgspec.Struct):
    """A charge, its balance transaction expanded: without one, or not expanded, its fee is not known."""

    id: str
    balance_transaction: Transaction | str | None = None


class Page(msgspec.Struct):
    """A page of a list, the newest first; each object as it came."""

    data: list[msgspec.Raw]
    has_more: bool


class Listed(msgspec.Struct):
    """What is listed."""

    id: str


class Dated(msgspec.Struct):
    """What all that is listed by time has in common."""

    id: str
    created: int


class _Changed(msgspec.Struct):
    object: dict[str, Any]


class Event(msgspec.Struct):
    """An event."""

    id: str
    type: str
    created: int
    data: _Changed


def cents_of(amount: MicroUsd) -> int:
    """Return whole cents."""
    cents, rest = divmod(amount, MICROS_PER_CENT)
    if rest:
        raise InvariantBroken("Stripe is asked for whole cents")
    return cents


def micros_of(cents: int) -> MicroUsd:
    """Return cents in micro-USD, exactly."""
    return MicroUsd(cents * MICROS_PER_CENT)


def instant_of(second: int) -> Instant:
    """Return an instant that Stripe tells in seconds."""
    return Instant(second * MICROSECONDS_PER_SECOND)


def seen_payment(session: Session, refunds: tuple[SeenRefund, ...], disputes: tuple[SeenDispute, ...]) -> SeenPayment:
    """Return a payment as Stripe tells of it."""
    intent = session.payment_intent if isinstance(session.payment_intent, Intent) else None
    return SeenPayment(
        session_id=session.id,
        payment_reference=session.client_reference_id,
        account_reference=(session.metadata or {}).get(ACCOUNT_ID),
        mode=session.mode,
        amount=micros_of(session.amount_total or 0),
        currency=(session.currency or "").lower(),
        state=_state_of(session, intent),
        payment_intent_id=None if intent is None else intent.id,
        charge_id=None if intent is None else intent.latest_charge,
        received=micros_of(0 if intent is None else intent.amount_received),
        refunds=refunds,
        disputes=disputes,
    )


def seen_refund(refund: Refund) -> SeenRefund:
    """Return a refund as Stripe tells of it."""
    return SeenRefund(
        stripe_refund_id=refund.id,
        refund_id=_refund_id(refund),
        amount=micros_of(refund.amount),
        state=_REFUND_STATES.get(refund.status or "", "pending"),
    )


def seen_dispute(dispute: Dispute) -> SeenDispute:
    """Return a dispute as Stripe tells of it; while anything of it is to be decided, it is open."""
    return SeenDispute(dispute.id, micros_of(dispute.amount), _DISPUTE_STATES.get(dispute.status, "open"))


def balance_moved(moved: Transaction) -> StripeBalanceMoved:
    """Return a balance transaction in our words."""
    kinds = _ADJUSTMENT_KINDS if moved.type == "adjustment" else _TRANSACTION_KINDS
    return StripeBalanceMoved(
        transaction_id=moved.id,
        kind=kinds.get(moved.reporting_category if moved.type == "adjustment" else moved.type, "other"),
        source_id=moved.source,
        amount=micros_of(moved.amount),
        fee=micros_of(moved.fee),
        available_at=instant_of(moved.available_on),
        happened_at=instant_of(moved.created),
        is_available=moved.status == "available",
    )


def stripe_event(raw: bytes) -> StripeEvent:
    """Return what an event points at. Raises ValueError for what is none."""
    text = raw.decode()
    try:
        event = msgspec.json.decode(raw, type=Event)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not an event of Stripe: {error}") from error
    about = event.data.object
    kind, id_, intent = about.get("object"), _text(about.get("id")), _text(about.get("payment_intent"))
    return StripeEvent(
        stripe_event_id=event.id,
        kind=event.type,
        happened_at=instant_of(event.created),
        session_id=id_ if kind == "checkout.session" else None,
        payment_intent_id=id_ if kind == "payment_intent" else intent,
        payment_reference=_text(about.get("client_reference_id")) or _of_metadata(about, PAYMENT_ID),
        raw=text,
    )


def _state_of(session: Session, intent: Intent | None) -> Literal["open", "unpaid", "paid", "declined", "expired"]:
    match session.status:
        case "open":
            return "open"
        case "expired":
            return "expired"
    if session.payment_status != "unpaid":
        return "paid"
    declined = intent is not None and intent.status in ("requires_payment_method", "canceled")
    return "declined" if declined else "unpaid"


def _refund_id(refund: Refund) -> RefundId | None:
    try:
        return RefundId(UUID((refund.metadata or {})[REFUND_ID]))
    except (KeyError, ValueError):
        return None


def _of_metadata(about: dict[str, Any], name: str) -> str | None:
    metadata = about.get("metadata")
    return _text(metadata.get(name)) if isinstance(metadata, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
