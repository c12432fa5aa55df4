"""Applying what Stripe is seen to hold of a payment: whatever is new of it, in the payment and in its wallet.

What Stripe tells only grows (open, paid, refunded, disputed, decided), so that whatever is shown twice, or late,
brings nothing new, and it does not matter how much was missed in between.
"""

import msgspec

from domain.errors import not_none
from domain.events import Event
from domain.ids import PaymentId, RefundId, StreamId, VpsId, payment_stream, wallet_stream
from domain.payments.checkout import note_expired
from domain.payments.disputes import apply_dispute
from domain.payments.events import CheckoutFailed, PaymentMismatched, PaymentReceived
from domain.payments.payment import Payment
from domain.payments.ports import SeenPayment, SeenRefund
from domain.payments.recording import Recording
from domain.payments.refunds import apply_refund, fail_refund
from domain.ports import Claim
from domain.time import Instant
from domain.wallet.events import VpsReleased
from domain.wallet.funds import owner
from domain.wallet.paid_in import add_payment
from domain.wallet.wallet import Wallet

CURRENCY = "usd"
MODE = "payment"
"""Of the Checkout Sessions that are opened here: paid once, nothing by subscription."""


class Applied(msgspec.Struct, frozen=True):
    """What is to be recorded in one append; all empty where nothing is new."""

    payment_id: PaymentId
    payment_events: tuple[Event, ...]
    wallet_events: tuple[Event, ...]
    claims: tuple[Claim, ...]
    released: tuple[tuple[VpsId, int], ...]
    """VPSs, each with its generation, whose stop is to be asked for in the same append, since the account is frozen."""

    def events(self, wallet: Wallet) -> tuple[tuple[StreamId, Event], ...]:
        """Return all events with their streams."""
        wallet_id = wallet_stream(owner(wallet))
        return (
            *((payment_stream(self.payment_id), event) for event in self.payment_events),
            *((wallet_id, event) for event in self.wallet_events),
        )


def apply_seen(payment: Payment, wallet: Wallet, seen: SeenPayment, now: Instant) -> Applied:
    """Record whatever is new of a payment; applied twice, or after something newer, nothing is."""
    recording = Recording(payment, wallet, now)
    _apply_checkout(recording, seen)
    known = recording.payment
    # A second session under the name of this payment is told of as a mismatch; what goes back of it is not ours.
    if known.state == "received" and seen.payment_intent_id == known.payment_intent_id:
        _apply_what_goes_back(recording, seen)
    return _applied(recording)


def apply_refund_seen(payment: Payment, wallet: Wallet, seen: SeenRefund, now: Instant) -> Applied:
    """Record whatever is new of one refund, such as that Stripe has taken it on."""
    recording = Recording(payment, wallet, now)
    apply_refund(recording, seen)
    return _applied(recording)


def note_refund_refused(payment: Payment, wallet: Wallet, refund_id: RefundId, now: Instant) -> Applied:
    """Record that Stripe will not make a refund that was asked for, so that the account has the money back."""
    recording = Recording(payment, wallet, now)
    refund = payment.refunds[str(refund_id)]
    if refund.state == "requested":
        fail_refund(recording, refund)
    return _applied(recording)


def mismatch(payment: Payment, seen: SeenPayment) -> tuple[str, str, str] | None:
    """Return the first field in which Stripe tells of something else than was asked for: name, expected, seen."""
    checks = [
        ("mode", MODE, seen.mode),
        ("currency", CURRENCY, seen.currency),
        ("amount", str(payment.amount), str(seen.amount)),
        ("payment", str(payment.payment_id), str(seen.payment_reference)),
        ("account", str(payment.account_id), str(seen.account_reference)),
        ("session", payment.session_id or seen.session_id, seen.session_id),
    ]
    if seen.state == "paid":
        checks.append(("amount", str(payment.amount), str(seen.received)))
    return next((check for check in checks if check[1] != check[2]), None)


def _apply_checkout(recording: Recording, seen: SeenPayment) -> None:
    payment = recording.payment
    if payment.mismatched:
        return
    differs = mismatch(payment, seen)
    if differs is not None:
        recording.note(PaymentMismatched(payment.account_id, payment.payment_id, *differs))
    elif payment.state == "received":
        return
    elif seen.state == "paid":
        _receive(recording, seen)
    elif seen.state == "expired":
        recording.note(*note_expired(payment))
    elif seen.state == "declined" and payment.state in ("requested", "open"):
        recording.note(CheckoutFailed(payment.account_id, payment.payment_id, "declined"))


def _receive(recording: Recording, seen: SeenPayment) -> None:
    payment = recording.payment
    payment_intent_id = not_none(seen.payment_intent_id, "what is paid has a payment intent")
    charge_id = not_none(seen.charge_id, "what is paid has a charge")
    recording.claim(f"{payment_intent_id}:paid")
    recording.note(
        PaymentReceived(
            account_id=payment.account_id,
            payment_id=payment.payment_id,
            session_id=seen.session_id,
            payment_intent_id=payment_intent_id,
            charge_id=charge_id,
            amount=payment.amount,
        )
    )
    recording.move(*add_payment(recording.wallet, payment.payment_id, payment.amount))


def _apply_what_goes_back(recording: Recording, seen: SeenPayment) -> None:
    # What came back pays for what went, so that nobody is frozen by the order of a list.
    for dispute in seen.disputes:
        if dispute.state == "won":
            apply_dispute(recording, dispute)
    for refund in sorted(seen.refunds, key=lambda refund: refund.state != "failed"):
        apply_refund(recording, refund)
    for dispute in seen.disputes:
        apply_dispute(recording, dispute)


def _applied(recording: Recording) -> Applied:
    released = [event for event in recording.wallet_events if isinstance(event, VpsReleased)]
    return Applied(
        payment_id=recording.payment.payment_id,
        payment_events=tuple(recording.payment_events),
        wallet_events=tuple(recording.wallet_events),
        claims=tuple(recording.claims),
        released=tuple((event.vps_id, event.generation) for event in released),
    )
