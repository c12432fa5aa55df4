"""Payment intents and charges: what a customer's attempt to pay a Checkout Session leaves behind."""

from typing import Literal

from adapters.stripe_stand_in.balance import AVAILABLE_AFTER_S, charge_fee, move
from adapters.stripe_stand_in.objects import StripeObjects
from adapters.stripe_stand_in.storage import Body, fresh_id

Method = Literal["card", "us_bank_account"]

_DECLINED: Body = {
    "type": "card_error",
    "code": "card_declined",
    "decline_code": "generic_decline",
    "message": "Your card was declined.",
}
_CARD: Body = {
    "brand": "visa",
    "country": "US",
    "exp_month": 12,
    "exp_year": 2040,
    "funding": "credit",
    "last4": "4242",
}


def start(objects: StripeObjects, session: Body, method: Method) -> Body:
    """Return the session's payment intent, which is made at the first attempt to pay."""
    if session["payment_intent"] is not None:
        return objects.get("payment_intent", session["payment_intent"])
    intent = objects.keep({
        "id": fresh_id("pi"),
        "object": "payment_intent",
        "amount": session["amount_total"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": None,
        "confirmation_method": "automatic",
        "created": objects.now,
        "currency": session["currency"],
        "customer": None,
        "description": session["_intent"].get("description"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": session["_intent"]["metadata"],
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": {},
        "payment_method_types": [method],
        "processing": None,
        "receipt_email": session["_intent"].get("receipt_email"),
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    })  # fmt: skip
    objects.tell("payment_intent.created", intent)
    return intent


def succeed(objects: StripeObjects, intent: Body, charge: Body, *, fees_later: bool = False) -> Body:
    """Let a charge succeed, and with it its intent. Its fee may be known only later, as Stripe says it may."""
    charge = objects.keep(charge | {"status": "succeeded", "paid": True, "amount_captured": charge["amount"]})
    objects.tell("charge.succeeded", charge)
    intent = objects.keep(
        intent
        | {"status": "succeeded", "amount_received": charge["amount"], "latest_charge": charge["id"]}
        | {"processing": None, "last_payment_error": None, "payment_method": charge["payment_method"]}
    )
    objects.tell("payment_intent.succeeded", intent)
    if not fees_later:
        post_fees(objects, charge)
    return intent


def post_fees(objects: StripeObjects, charge: Body) -> Body:
    """Give a charge that succeeded its balance transaction, if it has none."""
    if charge["balance_transaction"] is not None or charge["status"] != "succeeded":
        return charge
    moved = move(
        objects,
        "charge" if charge["id"].startswith("ch_") else "payment",
        charge["id"],
        charge["amount"],
        fee=charge_fee(charge["amount"]),
        description=charge["description"],
        after_s=AVAILABLE_AFTER_S,
    )
    charge = objects.keep(charge | {"balance_transaction": moved["id"]})
    objects.tell("charge.updated", charge, {"balance_transaction": None})
    return charge


def process(objects: StripeObjects, intent: Body, charge: Body) -> Body:
    """Leave a charge waiting for a bank that takes days."""
    intent = objects.keep(
        intent
        | {"status": "processing", "latest_charge": charge["id"], "payment_method": charge["payment_method"]}
        | {"payment_method_types": ["us_bank_account"], "last_payment_error": None}
    )
    objects.tell("payment_intent.processing", intent)
    objects.tell("charge.pending", charge)
    return intent


def fail(objects: StripeObjects, intent: Body, charge: Body) -> Body:
    """Let a charge fail; its intent may be tried again."""
    failure = {"status": "failed", "paid": False, "failure_code": _DECLINED["code"]}
    charge = objects.keep(charge | failure | {"failure_message": _DECLINED["message"]})
    objects.tell("charge.failed", charge)
    intent = objects.keep(
        intent
        | {"status": "requires_payment_method", "latest_charge": charge["id"], "processing": None}
        | {"last_payment_error": _DECLINED | {"charge": charge["id"]}, "payment_method": None}
    )
    objects.tell("payment_intent.payment_failed", intent)
    return intent


def make_charge(objects: StripeObjects, intent: Body, method: Method, email: str | None) -> Body:
    """Make the pending charge of one attempt."""
    is_card = method == "card"
    details = {"type": method, method: _CARD if is_card else {"bank_name": "STRIPE TEST BANK", "last4": "6789"}}
    return objects.keep({
        "id": fresh_id("ch" if is_card else "py"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": {"address": None, "email": email, "name": None, "phone": None, "tax_id": None},
        "calculated_statement_descriptor": "LITEVPS",
        "captured": True,
        "created": objects.now,
        "currency": intent["currency"],
        "customer": None,
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": {"network_status": "approved_by_network", "risk_level": "normal", "type": "authorized"},
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": fresh_id("pm"),
        "payment_method_details": details,
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "pending",
        "transfer_data": None,
        "transfer_group": None,
    })  # fmt: skip
