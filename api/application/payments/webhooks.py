"""Webhooks: what Stripe tells is kept first, then looked up and applied, once, whoever comes to it."""

from uuid import UUID

import structlog

from api.application.payments.applying import apply_payment, read_from_stripe
from api.application.payments.dependencies import PaymentsContext, as_service
from api.application.repository import Loaded
from domain.deciding import Decision
from domain.ids import UNKNOWN_PAYER, AccountId, PaymentId, stripe_event_stream
from domain.pauses import Pauses
from domain.payments.inbox import Inbox, inbox_ref, note_applied, receive
from domain.payments.payment import Payment
from domain.payments.ports import SeenPayment, StripeEvent
from domain.payments.recording import STRIPE_CLAIM
from domain.ports import Claim, ClaimTaken
from domain.time import Instant

WEBHOOK_PATH = "/api/billing/webhook"
EVENT_LEASE = "stripe-event"
PAUSES = Pauses(1.0, 300.0)
"""Before what Stripe told is looked at again that could not be applied."""
HANDLED_KINDS = frozenset(
    {
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
        "charge.refunded",
        "charge.refund.updated",
        "refund.created",
        "refund.updated",
        "refund.failed",
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
    }
)
"""Kinds of events after which Stripe is looked at. Others are kept, and come to nothing."""

_log = structlog.get_logger(__name__)


async def keep_event(payments: PaymentsContext, event: StripeEvent) -> None:
    """Keep what Stripe told, sealed for the account that it is about; told again, it is kept once."""
    payment = await _known_payment(payments, event)
    account_id = UNKNOWN_PAYER if payment is None else payment.account_id
    ref = inbox_ref(event.stripe_event_id)

    def decide(loaded: Loaded, _now: Instant) -> Decision:
        events = receive(loaded.of(ref), event, account_id)
        if not events:
            return Decision()
        claim = Claim(STRIPE_CLAIM, f"{event.stripe_event_id}:received".encode(), ref.stream)
        return Decision(tuple((ref.stream, one) for one in events), (claim,))

    try:
        await payments.aggregates.execute([ref], decide, as_service("webhook", account_id))
    except ClaimTaken as taken:
        if taken.scope != STRIPE_CLAIM:
            raise


async def apply_event(payments: PaymentsContext, stripe_event_id: str) -> bool:
    """Look up what an event is about, and record whatever is new; tell whether that is done, by whomever.

    Raises PaymentsUnavailable. Whoever comes while another is at it, or soon after it failed, leaves it to the sweep.
    """
    ref = inbox_ref(stripe_event_id)
    if (await payments.aggregates.load(ref)).of(ref).applied:
        return True

    async def apply() -> None:
        await look_up(payments, stripe_event_id)

    return await payments.leased(EVENT_LEASE, stripe_event_stream(stripe_event_id), apply, PAUSES.after)


async def look_up(payments: PaymentsContext, stripe_event_id: str) -> None:
    """Do what ``apply_event`` does, for whoever has the event's lease. Raises PaymentsUnavailable."""
    ref = inbox_ref(stripe_event_id)
    inbox = (await payments.aggregates.load(ref)).of(ref)
    if inbox.applied or not inbox.received:
        return
    payment: Payment | None = None
    if inbox.kind in HANDLED_KINDS:
        payment = await _apply_raw(payments, inbox)
    payment_id = None if payment is None else payment.payment_id

    def decide(loaded: Loaded, _now: Instant) -> Decision:
        events = note_applied(loaded.of(ref), stripe_event_id, payment_id)
        return Decision(tuple((ref.stream, one) for one in events))

    account_id = None if payment is None else payment.account_id
    await payments.aggregates.execute([ref], decide, as_service("applied", account_id))


async def _apply_raw(payments: PaymentsContext, inbox: Inbox) -> Payment | None:
    try:
        event = payments.gateway.read_event(inbox.raw)
    except ValueError:
        # It could be read when it came in, but the key of its account is erased, and with it which payment it is about.
        await _look_at_all_of(payments, inbox.account_id)
        return None
    return await _apply(payments, event)


async def _look_at_all_of(payments: PaymentsContext, account_id: AccountId | None) -> None:
    """Look at every payment of an account of which anything can still go back; open ones the sweep looks at."""
    if account_id is None or account_id == UNKNOWN_PAYER:
        return
    for payment_id in await payments.open_payments.refundable_payments(account_id):
        payment = await payments.payment(payment_id)
        if payment is None or payment.session_id is None:
            continue
        if (seen := await read_from_stripe(payments, payment.session_id)) is not None:
            await apply_payment(payments, account_id, payment_id, seen)


async def _apply(payments: PaymentsContext, event: StripeEvent) -> Payment | None:
    """Look at what an event points at; return the payment of ours that it is about."""
    known = await _known_payment(payments, event)
    seen = await _seen(payments, event, known)
    if seen is None:
        return known
    payment = await _referred_to(payments, seen.payment_reference) or known
    if payment is None:
        _log.info("a payment at Stripe is nobody's of ours", stripe_event_id=event.stripe_event_id)
        return None
    await apply_payment(payments, payment.account_id, payment.payment_id, seen)
    return payment


async def _seen(payments: PaymentsContext, event: StripeEvent, known: Payment | None) -> SeenPayment | None:
    session_id = event.session_id
    if session_id is None and known is not None:
        session_id = known.session_id
    if session_id is None and event.payment_intent_id is not None:
        session_id = await payments.gateway.session_of(event.payment_intent_id)
    return None if session_id is None else await read_from_stripe(payments, session_id)


async def _known_payment(payments: PaymentsContext, event: StripeEvent) -> Payment | None:
    """Return the payment of ours that an event names, as far as that can be told without asking Stripe."""
    if (named := await _referred_to(payments, event.payment_reference)) is not None:
        return named
    if event.payment_intent_id is None:
        return None
    claim = await payments.store.find_claim(STRIPE_CLAIM, f"{event.payment_intent_id}:paid".encode())
    return None if claim is None else await payments.payment(PaymentId(claim.holder))


async def _referred_to(payments: PaymentsContext, reference: str | None) -> Payment | None:
    try:
        payment_id = PaymentId(UUID(reference or ""))
    except ValueError:
        return None
    return await payments.payment(payment_id)
