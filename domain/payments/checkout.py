"""Checkouts: how an account asks to add funds, and what becomes of the asking before anything is paid."""

from domain.errors import Invalid
from domain.events import Event
from domain.payments.commands import RequestCheckout
from domain.payments.events import CheckoutExpired, CheckoutFailed, CheckoutOpened, CheckoutRequested
from domain.payments.payment import Payment
from domain.payments.ports import OpenedCheckout
from domain.time import Instant
from domain.wallet.top_up import CENT, TOP_UP_MAX, TOP_UP_MIN


def request_checkout(payment: Payment | None, command: RequestCheckout, now: Instant) -> tuple[Event, ...]:
    """Ask for a Checkout, once a payment. Raises Invalid unless the amount is 5.00 to 50.00 USD in whole cents."""
    if payment is not None:
        return ()
    if command.amount % CENT or not TOP_UP_MIN <= command.amount <= TOP_UP_MAX:
        raise Invalid(fields={"amount": "must be from 5.00 to 50.00 USD, in whole cents"})
    return (
        CheckoutRequested(account_id=command.account_id, payment_id=command.payment_id, amount=command.amount, at=now),
    )


def note_opened(payment: Payment, opened: OpenedCheckout) -> tuple[Event, ...]:
    """Note where the customer can pay; nothing where that is known, or over already."""
    if payment.state != "requested":
        return ()
    return (
        CheckoutOpened(
            account_id=payment.account_id,
            payment_id=payment.payment_id,
            session_id=opened.session_id,
            url=opened.url,
            expires_at=opened.expires_at,
        ),
    )


def note_refused(payment: Payment) -> tuple[Event, ...]:
    """Note that Stripe will open no Checkout for this."""
    if payment.state != "requested":
        return ()
    return (CheckoutFailed(account_id=payment.account_id, payment_id=payment.payment_id, cause="refused"),)


def note_expired(payment: Payment) -> tuple[Event, ...]:
    """Note that nobody can pay any more. Should Stripe tell of money later, it is credited all the same."""
    if payment.state not in ("requested", "open"):
        return ()
    return (CheckoutExpired(account_id=payment.account_id, payment_id=payment.payment_id),)
