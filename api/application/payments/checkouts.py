"""Checkouts: an account asks to add funds, and Stripe opens the page where it pays."""

from api.application.fail_points import reach
from api.application.payments.dependencies import CashDesk, as_service
from api.application.repository import Context, Sight
from domain.accounts.account import account_view
from domain.deciding import Decision, recorded_in
from domain.errors import Refusal
from domain.ids import PaymentId, payment_stream
from domain.payments.checkout import note_opened, note_refused, request_checkout
from domain.payments.commands import RequestCheckout
from domain.payments.payment import Payment, payment_view
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
    desk: CashDesk,
    command: RequestCheckout,
    context: Context,
    claims: tuple[Claim, ...] = (),
    releases: tuple[tuple[str, bytes], ...] = (),
) -> None:
    """Record that an account wants to add funds. Raises Invalid, ClaimTaken."""
    view = payment_view(command.payment_id)

    def decide(sight: Sight, now: Instant) -> Decision:
        events = request_checkout(sight.of(view), command, now)
        return Decision(tuple((view.stream, event) for event in events), claims, releases)

    await desk.ledger.execute([view], decide, context)


async def ensure_opened(desk: CashDesk, payment_id: PaymentId) -> Payment:
    """Have Stripe open the Checkout that was asked for; return the payment, whatever became of it meanwhile.

    Raises PaymentsUnavailable; then it is asked for again by a repeat, or by the sweep.
    """
    payment = await desk.payment(payment_id)
    assert payment is not None, "only what was asked for is opened"
    if payment.state != "requested":
        return payment
    account = account_view(payment.account_id)
    email = (await desk.ledger.read(account)).of(account).email
    order = CheckoutOrder(
        payment_id=payment_id,
        account_id=payment.account_id,
        amount=payment.amount,
        email=email or None,
        # Whoever asks, and however often, asks for just the same.
        expires_at=Instant(payment.requested_at + CHECKOUT_LIVES),
    )
    reach("checkout-open:before-stripe")
    opened: OpenedCheckout | None = None
    try:
        opened = await desk.gateway.ensure_checkout(order)
    except PaymentsRefused:
        opened = None
    reach("checkout-open:after-stripe")
    return await _noted(desk, payment, opened)


async def _noted(desk: CashDesk, payment: Payment, opened: OpenedCheckout | None) -> Payment:
    view = payment_view(payment.payment_id)

    def decide(sight: Sight, _now: Instant) -> Decision:
        known = sight.of(view)
        assert known is not None
        events = note_refused(known) if opened is None else note_opened(known, opened)
        return recorded_in(payment_stream(payment.payment_id), *events)

    outcome = await desk.ledger.execute([view], decide, as_service("checkout-open", payment.account_id))
    after = outcome.sight.of(view)
    assert after is not None
    return after
