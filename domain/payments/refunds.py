"""Refunds: what of a payment goes back because it was asked for, here or in Stripe's dashboard."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import msgspec

from domain.errors import Invalid, Refusal, not_none
from domain.ids import PaymentId, RefundId
from domain.money import ZERO, MicroUsd
from domain.payments.events import (
    OutsideRefundFound,
    RefundCause,
    RefundFailed,
    RefundFeeForgone,
    RefundFeeKept,
    RefundOpened,
    RefundRequested,
    RefundSettled,
)
from domain.payments.payment import Payment, Refund
from domain.payments.ports import SeenRefund
from domain.payments.recording import Recording
from domain.time import MINUTE, Instant
from domain.wallet.events import FundsTaken
from domain.wallet.paid_in import MoreThanRefundable, take_refund
from domain.wallet.top_up import CENT
from domain.wallet.wallet import Wallet, evolve

REFUNDABLE_FOR = 180 * 24 * 60 * MINUTE
"""How long after its request a payment is refunded: later, not every way of paying takes money back."""

NO_FEES: Mapping[PaymentId, MicroUsd] = MappingProxyType({})


class NothingToRefund(Refusal):
    """Of the balance, nothing can go back to a payment that it came from."""

    code = "nothing_to_refund"
    sentence = "nothing to refund"


class ChosenRefund(msgspec.Struct, frozen=True):
    """A refund to record in one append: of its payment, and of the wallet."""

    payment_id: PaymentId
    requested: RefundRequested
    taken: FundsTaken
    fee_kept: RefundFeeKept | None = None
    """What of ``taken`` does not go back."""


def refundable(payments: Iterable[Payment], wallet: Wallet, now: Instant) -> MicroUsd:
    """Return how much can go back to its payers, in whole cents."""
    return MicroUsd(sum(amount for _, amount in _parts(payments, wallet.refundable, now)))


def choose_refunds(
    payments: Sequence[Payment],
    wallet: Wallet,
    amount: MicroUsd | None,
    cause: RefundCause,
    new_ids: Iterable[RefundId],
    now: Instant,
    fees: Mapping[PaymentId, MicroUsd] = NO_FEES,
) -> list[ChosenRefund]:
    """Choose what of which payments of an account goes back, the newest first, in whole cents of each.

    ``amount``: None for all that can. ``new_ids``: at least as many as there are payments; one and the same
    request must bring the same. ``fees``: what Stripe kept of which payments, where that does not go back: of a part
    of a payment its share, in whole cents. Raises NothingToRefund, MoreThanRefundable, or Invalid for an amount that is
    not above zero and in whole cents.
    """
    if amount is not None and (amount <= 0 or amount % CENT):
        raise Invalid(fields={"amount": "must be above 0 and in whole cents"})
    most = refundable(payments, wallet, now)
    if not most:
        raise NothingToRefund
    if amount is not None and amount > most:
        raise MoreThanRefundable(refundable=most, requested=amount)
    ids = iter(new_ids)
    chosen: list[ChosenRefund] = []
    for payment, part in _parts(payments, amount or most, now):
        refund_id = next(ids)
        fee = fee_of(payment, part, fees.get(payment.payment_id, ZERO))
        of_payment = (payment.account_id, payment.payment_id, refund_id)
        requested = RefundRequested(*of_payment, MicroUsd(part - fee), cause)
        taken = take_refund(wallet, payment.payment_id, str(refund_id), part)
        wallet = evolve(wallet, taken)
        fee_kept = RefundFeeKept(*of_payment, fee) if fee else None
        chosen.append(ChosenRefund(payment.payment_id, requested, taken, fee_kept))
    return chosen


def fee_of(payment: Payment, part: MicroUsd, fee: MicroUsd) -> MicroUsd:
    """Return what of a part of a payment does not go back, in whole cents, where Stripe kept this fee of the payment.

    All parts together keep the share of the fee that they are of the payment, rounded down; a cent goes back at least.
    """
    asked = [refund for refund in payment.refunds.values() if refund.stands and refund.refund_id is not None]
    gone = sum(refund.gone for refund in asked) + part
    share = fee * gone // payment.credited // CENT * CENT
    return MicroUsd(max(0, min(share - sum(refund.fee for refund in asked), part - CENT)))


def apply_refund(recording: Recording, seen: SeenRefund) -> None:
    """Record whatever is new of a refund. One that failed stays so, whatever is told of it later."""
    refund = _recorded(recording.payment, seen)
    if refund is None:
        if seen.state == "failed" or seen.amount <= 0:
            return
        refund = _found_outside(recording, seen)
    elif refund.state == "requested":
        refund = _opened(recording, refund, seen)
    if seen.state == "settled" and refund.state == "open":
        payment = recording.payment
        recording.note(RefundSettled(payment.account_id, payment.payment_id, refund.key, refund.amount))
        recording.claim(f"{seen.stripe_refund_id}:settled")
    elif seen.state == "failed" and refund.state != "failed":
        fail_refund(recording, refund)


def fail_refund(recording: Recording, refund: Refund) -> None:
    """Record that a refund will not reach the payer, and give back what was taken for it."""
    payment = recording.payment
    recording.give_back("refund-failed", refund.key, refund.gone)
    recording.note(
        RefundFailed(
            account_id=payment.account_id,
            payment_id=payment.payment_id,
            key=refund.key,
            amount=refund.amount,
            was_settled=refund.state == "settled",
        )
    )
    if refund.fee and refund.refund_id is not None:
        recording.note(RefundFeeForgone(payment.account_id, payment.payment_id, refund.refund_id, refund.fee))
    recording.claim(f"{refund.stripe_refund_id or refund.key}:failed")


def _recorded(payment: Payment, seen: SeenRefund) -> Refund | None:
    """Return what is recorded of a refund; a second one of Stripe's under the same id of ours is not it."""
    ours = payment.refunds.get(str(seen.refund_id))
    if ours is not None and (ours.stripe_refund_id == seen.stripe_refund_id or ours.state == "requested"):
        return ours
    return payment.refunds.get(seen.stripe_refund_id)


def _opened(recording: Recording, refund: Refund, seen: SeenRefund) -> Refund:
    refund_id = not_none(refund.refund_id, "what was requested here has an id of ours")
    payment = recording.payment
    recording.note(RefundOpened(payment.account_id, payment.payment_id, refund_id, seen.stripe_refund_id))
    recording.claim(f"{seen.stripe_refund_id}:open")
    return recording.payment.refunds[refund.key]


def _found_outside(recording: Recording, seen: SeenRefund) -> Refund:
    payment = recording.payment
    borne = recording.claw_back("outside-refund", seen.stripe_refund_id, seen.amount)
    recording.note(
        OutsideRefundFound(
            account_id=payment.account_id,
            payment_id=payment.payment_id,
            stripe_refund_id=seen.stripe_refund_id,
            amount=seen.amount,
            owed=borne.owed,
            goodwill=borne.goodwill,
        )
    )
    recording.claim(f"{seen.stripe_refund_id}:open")
    return recording.payment.refunds[seen.stripe_refund_id]


def _parts(payments: Iterable[Payment], most: MicroUsd, now: Instant) -> Iterator[tuple[Payment, MicroUsd]]:
    newest_first = sorted(payments, key=lambda payment: (payment.requested_at, payment.payment_id), reverse=True)
    for payment in newest_first:
        disputed = any(dispute.stands for dispute in payment.disputes.values())
        if disputed or payment.requested_at + REFUNDABLE_FOR < now:
            continue
        amount = MicroUsd(min(most, payment.left) // CENT * CENT)
        if amount:
            yield payment, amount
            most = MicroUsd(most - amount)
