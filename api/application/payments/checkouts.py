"""Checkouts: an account asks to add funds, and Stripe opens the page where it pays."""

from api.application.fail_points import fail_point
from api.application.payments.dependencies import PaymentsContext, as_service, require_payment
from api.application.repository import CommandContext, Loaded
from domain.accounts.account import account_ref
from domain.deciding import Decision, recorded_in
from domain.errors import Refusal
from domain.ids import PaymentId, payment_stream
from domain.payments.checkout import note_opened, note_refused, request_checkout
from domain.payments.commands import RequestCheckout
from domain.payments.payment import Payment, payment_ref
from domain.payments.ports import CheckoutOrder, OpenedCheckout, PaymentsRefused
from domain.ports import Claim
from domain.time import HOUR, Instant

CHECKOUT_LIVES = HOUR
"""How long a page can be paid at; Stripe has it from half an hour to a day."""


class CheckoutRefused(Refusal):
    """Stripe would not open a Checkout. Nothing is paid; another request is another try."""

    code = "checkout_refused"
    sentence = "the payment provider refused to open a checkout"


async def ask_for_checkout(
    payments: PaymentsContext,
    command: RequestCheckout,
    context: CommandContext,
    claims: tuple[Claim, ...] = (),
    releases: tuple[tuple[str, bytes], ...] = (),
) -> None:
    """Record that an account wants to add funds. Raises Invalid, ClaimTaken."""
    ref = payment_ref(command.payment_id)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        events = request_checkout(loaded.of(ref), command, now)
        return Decision(tuple((ref.stream, event) for event in events), claims, releases)

    await payments.aggregates.execute([ref], decide, context)


async def ensure_opened(payments: PaymentsContext, payment_id: PaymentId) -> Payment:
    """Have Stripe open the Checkout that was asked for; return the payment, whatever became of it meanwhile.

    Raises PaymentsUnavailable; then it is asked for again by a repeat, or by the sweep.
    """
    payment = await payments.required_payment(payment_id)
    if payment.state != "requested":
        return payment
    account = account_ref(payment.account_id)
    email = (await payments.aggregates.load(account)).of(account).email
    order = CheckoutOrder(
        payment_id=payment_id,
        account_id=payment.account_id,
        amount=payment.amount,
        email=email or None,
        # Whoever asks, and however often, asks for just the same.
        expires_at=Instant(payment.requested_at + CHECKOUT_LIVES),
    )
    fail_point("checkout-open:before-stripe")
    opened: OpenedCheckout | None = None
    try:
        opened = await payments.gateway.ensure_checkout(order)
    except PaymentsRefused:
        opened = None
    fail_point("checkout-open:after-stripe")
    return await _noted(payments, payment, opened)


async def _noted(payments: PaymentsContext, payment: Payment, opened: OpenedCheckout | None) -> Payment:
    ref = payment_ref(payment.payment_id)

    def decide(loaded: Loaded, _now: Instant) -> Decision:
        asked_for = require_payment(loaded.of(ref), payment.payment_id)
        events = note_refused(asked_for) if opened is None else note_opened(asked_for, opened)
        return recorded_in(payment_stream(payment.payment_id), *events)

    outcome = await payments.aggregates.execute([ref], decide, as_service("checkout-open", payment.account_id))
    return require_payment(outcome.loaded.of(ref), payment.payment_id)
