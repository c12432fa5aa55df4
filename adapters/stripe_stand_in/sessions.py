"""Checkout Sessions: made by the API, paid on the page, expired by time or by request."""

from typing import Any, Literal

from adapters.stripe_stand_in import payments
from adapters.stripe_stand_in.errors import ApiError, refused
from adapters.stripe_stand_in.objects import StripeObjects
from adapters.stripe_stand_in.parameters import Parameters
from adapters.stripe_stand_in.storage import Body, fresh_id

Attempt = Literal["paid", "later", "declined"]

LIVES_S = 86_400
LIVES_LEAST_S = 30 * 60
AMOUNT_MAX = 99_999_999
CLIENT_REFERENCE_CHARACTERS_MAX = 200

_PARAMETERS = {
    "mode", "line_items", "client_reference_id", "metadata", "payment_intent_data", "success_url", "cancel_url",
    "expires_at", "customer_email", "expand", "payment_method_types", "submit_type", "locale", "ui_mode",
    "customer_creation", "adaptive_pricing", "allow_promotion_codes", "billing_address_collection", "automatic_tax",
}  # fmt: skip
_UNUSED: Body = dict.fromkeys((
    "after_expiration", "allow_promotion_codes", "billing_address_collection", "client_secret",
    "collected_information", "consent", "consent_collection", "currency_conversion", "customer", "customer_account",
    "invoice", "locale", "origin_context", "payment_link", "payment_method_configuration_details", "permissions",
    "presentment_details", "recovered_from", "saved_payment_method_options", "setup_intent",
    "shipping_address_collection", "shipping_cost", "submit_type", "subscription", "wallet_options",
))  # fmt: skip

_AT_FIRST: Body = {
    "adaptive_pricing": {"enabled": False},
    "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
    "custom_fields": [],
    "custom_text": {"after_submit": None, "shipping_address": None, "submit": None},
    "customer_creation": "if_required",
    "discounts": [],
    "invoice_creation": {"enabled": False},
    "livemode": False,
    "mode": "payment",
    "payment_intent": None,
    "payment_method_collection": "if_required",
    "payment_method_options": {},
    "payment_status": "unpaid",
    "phone_number_collection": {"enabled": False},
    "shipping_options": [],
    "status": "open",
    "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
    "ui_mode": "hosted_page",
}


def create(objects: StripeObjects, parameters: Parameters) -> Body:
    """Make a session for one payment. Raises ApiError."""
    parameters.only(_PARAMETERS)
    if parameters.required("mode") != "payment":
        raise ApiError("The stand-in knows mode=payment only.", param="mode")
    reference = parameters.text("client_reference_id")
    if reference and len(reference) > CLIENT_REFERENCE_CHARACTERS_MAX:
        raise ApiError("Invalid string: at most 200 characters", param="client_reference_id")
    id_ = fresh_id("cs_test")
    items = [_line_item(item) for item in parameters.each("line_items")]
    currencies = {item["currency"] for item in items}
    if not items:
        raise ApiError("Missing required param: line_items.", code="parameter_missing", param="line_items")
    if len(currencies) > 1:
        raise ApiError("All line items must have the same currency.", param="line_items")
    total = sum(item["amount_total"] for item in items)
    email = parameters.text("customer_email")
    session: Body = (
        _UNUSED
        | _AT_FIRST
        | {
            "id": id_,
            "object": "checkout.session",
            "amount_subtotal": total,
            "amount_total": total,
            "cancel_url": parameters.text("cancel_url"),
            "client_reference_id": reference,
            "created": objects.now,
            "currency": currencies.pop(),
            "customer_details": _customer(email) if email else None,
            "customer_email": email,
            "expires_at": _expiry(objects, parameters),
            "metadata": parameters.metadata(),
            "payment_method_types": parameters.texts("payment_method_types") or ["card", "us_bank_account"],
            "success_url": parameters.required("success_url"),
            "url": f"{objects.public_url}/checkout/{id_}",
            "_intent": _intent(parameters.inside("payment_intent_data")),
            "_line_items": items,
        }
    )
    return objects.keep(session)


def attempt(objects: StripeObjects, id_: str, outcome: Attempt, *, fees_later: bool = False) -> Body:
    """Try to pay an open session: at once, by a bank that takes days, or with a card that is declined."""
    session = _open(objects, id_)
    method: payments.Method = "us_bank_account" if outcome == "later" else "card"
    intent = payments.start(objects, session, method)
    charge = payments.make_charge(objects, intent, method, session["customer_email"])
    session = objects.keep(session | {"payment_intent": intent["id"]})
    if outcome == "declined":
        payments.fail(objects, intent, charge)
        return session
    if outcome == "paid":
        payments.succeed(objects, intent, charge, fees_later=fees_later)
    else:
        payments.process(objects, intent, charge)
    status = "paid" if outcome == "paid" else "unpaid"
    details = session["customer_details"] or _customer(None)
    over = {"status": "complete", "payment_status": status, "url": None, "customer_details": details}
    session = objects.keep(session | over)
    objects.tell("checkout.session.completed", session)
    return session


def bank_answered(objects: StripeObjects, id_: str, *, succeeded: bool, fees_later: bool = False) -> Body:
    """Let the bank answer for a session that is complete and unpaid. Raises ApiError."""
    session = objects.get("checkout.session", id_, "session")
    intent = objects.get("payment_intent", session["payment_intent"] or "")
    if intent["status"] != "processing":
        raise refused(f"The payment of {id_} is {intent['status']}.", "payment_intent_unexpected_state")
    charge = objects.get("charge", intent["latest_charge"])
    if not succeeded:
        payments.fail(objects, intent, charge)
        objects.tell("checkout.session.async_payment_failed", session)
        return session
    payments.succeed(objects, intent, charge, fees_later=fees_later)
    session = objects.keep(session | {"payment_status": "paid"})
    objects.tell("checkout.session.async_payment_succeeded", session)
    return session


def expire(objects: StripeObjects, id_: str) -> Body:
    """Expire an open session. Raises ApiError."""
    return _expired(objects, _open(objects, id_))


def expire_due(objects: StripeObjects) -> None:
    """Expire every open session whose time is over."""
    for session in objects.every("checkout.session", status="open"):
        if session["expires_at"] <= objects.now:
            _expired(objects, session)


def _expired(objects: StripeObjects, session: Body) -> Body:
    session = objects.keep(session | {"status": "expired", "url": None})
    objects.tell("checkout.session.expired", session)
    return session


def _open(objects: StripeObjects, id_: str) -> Body:
    session = objects.get("checkout.session", id_, "session")
    if session["status"] != "open":
        raise refused(
            f'Only Checkout Sessions with a status in ["open"] can be changed. {id_} is {session["status"]}.',
            param="session",
        )
    return session


def _line_item(item: Parameters) -> Body:
    item.only({"price_data", "quantity"})
    price = item.inside("price_data")
    price.only({"currency", "unit_amount", "product_data", "tax_behavior"})
    product = price.inside("product_data")
    quantity = item.whole("quantity", 1) or 1
    amount = price.whole("unit_amount")
    name = product.required("name")
    currency = price.required("currency").lower()
    if amount is None:
        price.required("unit_amount")
    total = (amount or 0) * quantity
    if not 0 < total <= AMOUNT_MAX:
        raise ApiError("The amount is not between 1 and 99999999.", code="amount_too_large", param="line_items")
    return {
        "id": fresh_id("li"),
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": total,
        "amount_tax": 0,
        "amount_total": total,
        "currency": currency,
        "description": name,
        "price": {"object": "price", "currency": currency, "unit_amount": amount, "type": "one_time"},
        "quantity": quantity,
    }


def _intent(asked: Parameters) -> Body:
    asked.only({"metadata", "description", "receipt_email", "capture_method", "statement_descriptor_suffix"})
    return {
        "metadata": asked.metadata(),
        "description": asked.text("description"),
        "receipt_email": asked.text("receipt_email"),
    }


def _expiry(objects: StripeObjects, parameters: Parameters) -> int:
    asked = parameters.whole("expires_at")
    if asked is None:
        return objects.now + LIVES_S
    if not LIVES_LEAST_S <= asked - objects.now <= LIVES_S:
        message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation."
        raise ApiError(message, param="expires_at")
    return asked


def _customer(email: str | None) -> dict[str, Any]:
    fields = dict.fromkeys(("address", "business_name", "individual_name", "name", "phone", "tax_ids"))
    return fields | {"email": email, "tax_exempt": "none"}
