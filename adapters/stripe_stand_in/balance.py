"""Stripe's side of the money: balance transactions, what is pending and available, and payouts to the bank."""

from typing import Literal

from adapters.stripe_stand_in.errors import ApiError, refused
from adapters.stripe_stand_in.objects import CURRENCY, StripeObjects
from adapters.stripe_stand_in.storage import Body, fresh_id

# What a card charge costs in the United States: 2.9 % and 30 cents, https://stripe.com/pricing
FEE_PER_MILLE = 29
FEE_FIXED_CENTS = 30
DISPUTE_FEE_CENTS = 1500

AVAILABLE_AFTER_S = 2 * 86_400
ARRIVES_AFTER_S = 86_400

TransactionType = Literal[
    "charge", "payment", "refund", "payment_refund", "refund_failure", "adjustment", "payout", "payout_failure"
]
_CATEGORIES: dict[TransactionType, str] = {
    "charge": "charge", "payment": "charge", "refund": "refund", "payment_refund": "refund",
    "refund_failure": "refund_failure", "payout": "payout", "payout_failure": "payout_reversal",
}  # fmt: skip


def charge_fee(amount: int) -> int:
    """Return what Stripe takes from a charge, in cents, half a cent rounded up."""
    return (amount * FEE_PER_MILLE + 500) // 1000 + FEE_FIXED_CENTS


def move(
    objects: StripeObjects,
    type_: TransactionType,
    source: str,
    amount: int,
    *,
    fee: int = 0,
    fee_name: str = "Stripe processing fees",
    category: str | None = None,
    description: str | None = None,
    after_s: int = 0,
) -> Body:
    """Make a balance transaction of so many cents, available after so many seconds."""
    fees = [{"amount": fee, "application": None, "currency": CURRENCY, "description": fee_name, "type": "stripe_fee"}]
    return objects.keep({
        "id": fresh_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": objects.now + after_s,
        "balance_type": "payments",
        "created": objects.now,
        "currency": CURRENCY,
        "description": description,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": fees if fee else [],
        "net": amount - fee,
        "reporting_category": category or _CATEGORIES[type_],
        "source": source,
        "type": type_,
    })  # fmt: skip


def balance(objects: StripeObjects) -> Body:
    """Return what is available and what is pending, in cents."""
    kept = objects.every("balance_transaction")
    available = sum(body["net"] for body in kept if body["available_on"] <= objects.now)
    pending = sum(body["net"] for body in kept) - available
    return {
        "object": "balance",
        "available": [{"amount": available, "currency": CURRENCY, "source_types": {"card": available}}],
        "livemode": False,
        "pending": [{"amount": pending, "currency": CURRENCY, "source_types": {"card": pending}}],
    }


def make_available(objects: StripeObjects) -> Body:
    """Make everything pending available now."""
    for body in objects.every("balance_transaction"):
        if body["available_on"] > objects.now:
            objects.keep(body | {"available_on": objects.now})
    now = balance(objects)
    objects.tell("balance.available", now)
    return now


def pay_out(objects: StripeObjects, amount: int | None = None) -> Body:
    """Send so many cents to the bank, or all that is available. Raises ApiError."""
    available = balance(objects)["available"][0]["amount"]
    wanted = available if amount is None else amount
    if wanted <= 0 or wanted > available:
        raise refused("You have insufficient funds in your Stripe account for this payout.", "balance_insufficient")
    payout: Body = {
        "id": fresh_id("po"),
        "object": "payout",
        "amount": wanted,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": objects.now + ARRIVES_AFTER_S,
        "automatic": amount is None,
        "created": objects.now,
        "currency": CURRENCY,
        "description": "STRIPE PAYOUT",
        "destination": None,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "completed" if amount is None else "not_applicable",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "in_transit",
        "trace_id": None,
        "type": "bank_account",
    }
    if amount is None:
        for body in objects.every("balance_transaction"):
            if body["available_on"] <= objects.now and "_payout" not in body:
                objects.keep(body | {"_payout": payout["id"]})
    moved = move(objects, "payout", payout["id"], -wanted, description="STRIPE PAYOUT")
    objects.keep(moved | {"_payout": payout["id"]})
    payout = objects.keep(payout | {"balance_transaction": moved["id"]})
    objects.tell("payout.created", payout)
    return payout


def payout_arrived(objects: StripeObjects, id_: str) -> Body:
    """Let a payout arrive at the bank. Raises ApiError."""
    payout = _payout_that_is(objects, id_, {"in_transit"})
    payout = objects.keep(payout | {"status": "paid"})
    objects.tell("payout.paid", payout, {"status": "in_transit"})
    return payout


def payout_failed(objects: StripeObjects, id_: str) -> Body:
    """Let a payout come back, on its way or within days after it was told paid. Raises ApiError."""
    payout = _payout_that_is(objects, id_, {"in_transit", "paid"})
    back = move(objects, "payout_failure", payout["id"], payout["amount"], description="STRIPE PAYOUT FAILURE")
    failed = {
        "status": "failed",
        "failure_balance_transaction": back["id"],
        "failure_code": "account_closed",
        "failure_message": "The bank account has been closed.",
    }
    told = objects.keep(payout | failed)
    objects.tell("payout.failed", told, {"status": payout["status"]})
    return told


def _payout_that_is(objects: StripeObjects, id_: str, statuses: set[str]) -> Body:
    payout = objects.get("payout", id_, "payout")
    if payout["status"] not in statuses:
        raise ApiError(f"The payout {id_} is {payout['status']}.", code="payout_unexpected_state")
    return payout
