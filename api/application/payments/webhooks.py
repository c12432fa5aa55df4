"""Webhooks: what Stripe tells is kept first, then looked up and applied, once, whoever comes to it."""

from uuid import UUID

import structlog

from api.application.payments.applying import apply_payment, look_at_stripe
from api.application.payments.dependencies import CashDesk, as_service
from api.application.repository import Sight
from domain.deciding import Decision
from domain.ids import UNKNOWN_PAYER, AccountId, PaymentId, stripe_event_stream
from domain.payments.inbox import Inbox, inbox_view, note_applied, receive
from domain.payments.payment import Payment
from domain.payments.ports import SeenPayment, StripeEvent
from domain.payments.recording import STRIPE_CLAIM
from domain.ports import Claim, ClaimTaken
from domain.time import Instant

WEBHOOK_PATH = "/api/billing/webhook"
EVENT_LEASE = "stripe-event"
HEEDED = frozenset(
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


async def keep_event(desk: CashDesk, event: StripeEvent) -> None:
    """Keep what Stripe told, sealed for the account that it is about; told again, it is kept once."""
    payment = await _known_payment(desk, event)
    account_id = UNKNOWN_PAYER if payment is None else payment.account_id
    view = inbox_view(event.stripe_event_id)

    def decide(sight: Sight, _now: Instant) -> Decision:
        events = receive(sight.of(view), event, account_id)
        if not events:
            return Decision()
        claim = Claim(STRIPE_CLAIM, f"{event.stripe_event_id}:received".encode(), view.stream)
        return Decision(tuple((view.stream, one) for one in events), (claim,))

    try:
        await desk.ledger.execute([view], decide, as_service("webhook", account_id))
    except ClaimTaken as taken:
        if taken.scope != STRIPE_CLAIM:
            raise


async def apply_event(desk: CashDesk, stripe_event_id: str) -> bool:
    """Look up what an event is about, and record whatever is new; tell whether that is done, by whomever.

    Raises PaymentsUnavailable. Whoever comes while another is at it, or soon after it failed, leaves it to the sweep.
    """
    view = inbox_view(stripe_event_id)
    if (await desk.ledger.read(view)).of(view).applied:
        return True

    async def apply() -> None:
        await look_up(desk, stripe_event_id)

    return await desk.leased(EVENT_LEASE, stripe_event_stream(stripe_event_id), apply, pause_after)


def pause_after(failures: int) -> float:
    """Return for how many seconds something is left alone that failed so often before."""
    return float(min(2 ** min(failures, 10), 300))


async def look_up(desk: CashDesk, stripe_event_id: str) -> None:
    """Do what ``apply_event`` does, for whoever has the event's lease. Raises PaymentsUnavailable."""
    view = inbox_view(stripe_event_id)
    inbox = (await desk.ledger.read(view)).of(view)
    if inbox.applied or not inbox.received:
        return
    payment: Payment | None = None
    if inbox.kind in HEEDED:
        payment = await _apply_raw(desk, inbox)
    payment_id = None if payment is None else payment.payment_id

    def decide(sight: Sight, _now: Instant) -> Decision:
        events = note_applied(sight.of(view), stripe_event_id, payment_id)
        return Decision(tuple((view.stream, one) for one in events))

    account_id = None if payment is None else payment.account_id
    await desk.ledger.execute([view], decide, as_service("applied", account_id))


async def _apply_raw(desk: CashDesk, inbox: Inbox) -> Payment | None:
    try:
        event = desk.gateway.read_event(inbox.raw)
    except ValueError:
        # It could be read when it came in, but the key of its account is erased, and with it which payment it is about.
        await _look_at_all_of(desk, inbox.account_id)
        return None
    return await _apply(desk, event)


async def _look_at_all_of(desk: CashDesk, account_id: AccountId | None) -> None:
    """Look at every payment of an account of which anything can still go back; open ones the sweep looks at."""
    if account_id is None or account_id == UNKNOWN_PAYER:
        return
    for payment_id in await desk.open_payments.refundable_payments(account_id):
        payment = await desk.payment(payment_id)
        if payment is None or payment.session_id is None:
            continue
        if (seen := await look_at_stripe(desk, payment.session_id)) is not None:
            await apply_payment(desk, account_id, payment_id, seen)


async def _apply(desk: CashDesk, event: StripeEvent) -> Payment | None:
    """Look at what an event points at; return the payment of ours that it is about."""
    known = await _known_payment(desk, event)
    seen = await _seen(desk, event, known)
    if seen is None:
        return known
    payment = await _referred_to(desk, seen.payment_reference) or known
    if payment is None:
        _log.info("a payment at Stripe is nobody's of ours", stripe_event_id=event.stripe_event_id)
        return None
    await apply_payment(desk, payment.account_id, payment.payment_id, seen)
    return payment


async def _seen(desk: CashDesk, event: StripeEvent, known: Payment | None) -> SeenPayment | None:
    session_id = event.session_id
    if session_id is None and known is not None:
        session_id = known.session_id
    if session_id is None and event.payment_intent_id is not None:
        session_id = await desk.gateway.session_of(event.payment_intent_id)
    return None if session_id is None else await look_at_stripe(desk, session_id)


async def _known_payment(desk: CashDesk, event: StripeEvent) -> Payment | None:
    """Return the payment of ours that an event names, as far as that can be told without asking Stripe."""
    if (named := await _referred_to(desk, event.payment_reference)) is not None:
        return named
    if event.payment_intent_id is None:
        return None
    claim = await desk.store.find_claim(STRIPE_CLAIM, f"{event.payment_intent_id}:paid".encode())
    return None if claim is None else await desk.payment(PaymentId(claim.holder))


async def _referred_to(desk: CashDesk, reference: str | None) -> Payment | None:
    try:
        payment_id = PaymentId(UUID(reference or ""))
    except ValueError:
        return None
    return await desk.payment(payment_id)
