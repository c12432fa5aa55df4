"""What Stripe's side of payments means in double entry: money cleared, withheld, paid out."""

from typing import assert_never

from domain.books import chart
from domain.books.posting import Posting, moved
from domain.money import MicroUsd
from domain.payments.events import (
    DisputeLost,
    RefundFailed,
    RefundFeeForgone,
    RefundFeeKept,
    RefundSettled,
    StripeBalanceMoved,
    StripeFundsAvailable,
)

StripeSide = (
    RefundFeeKept
    | RefundFeeForgone
    | RefundSettled
    | RefundFailed
    | DisputeLost
    | StripeBalanceMoved
    | StripeFundsAvailable
)

_AGAINST = {
    "charge": chart.CLEARING,
    "refund": chart.CLEARING,
    "refund-failure": chart.CLEARING,
    "dispute": chart.DISPUTED,
    "dispute-reversal": chart.DISPUTED,
    "payout": chart.BANK,
    "payout-failure": chart.BANK,
    "fee": chart.STRIPE_FEES,
    "other": chart.UNEXPLAINED,
}


def stripe_postings(event: StripeSide) -> tuple[Posting, ...]:
    """Return what an event of Stripe's side posts, which sums to zero."""
    match event:
        case RefundFeeKept():
            return moved(event.amount, debit=chart.REFUNDS_PAYABLE, credit=chart.REFUND_FEES)
        case RefundFeeForgone():
            return moved(event.amount, debit=chart.REFUND_FEES, credit=chart.REFUNDS_PAYABLE)
        case RefundSettled():
            return moved(event.amount, debit=chart.REFUNDS_PAYABLE, credit=chart.CLEARING)
        case RefundFailed():
            # What had been told as paid out is to be paid out again, so that the wallet can have it back.
            was_paid = event.amount if event.was_settled else MicroUsd(0)
            return moved(was_paid, debit=chart.CLEARING, credit=chart.REFUNDS_PAYABLE)
        case DisputeLost():
            return moved(event.amount, debit=chart.DISPUTE_RESERVE, credit=chart.DISPUTED)
        case StripeBalanceMoved():
            held = chart.AVAILABLE if event.is_available else chart.PENDING
            return (
                *moved(event.amount, debit=held, credit=_AGAINST[event.kind]),
                *moved(event.fee, debit=chart.STRIPE_FEES, credit=held),
            )
        case StripeFundsAvailable():
            return moved(event.net, debit=chart.AVAILABLE, credit=chart.PENDING)
        case _:
            assert_never(event)
