"""Refunds: asked for by the API or on the dashboard, whole or in part, settled at once or later, or failed."""

from adapters.stripe_stand_in.balance import TransactionType, move
from adapters.stripe_stand_in.errors import ApiError, refused
from adapters.stripe_stand_in.faults import RefundOutcome
from adapters.stripe_stand_in.objects import StripeObjects
from adapters.stripe_stand_in.parameters import Parameters
from adapters.stripe_stand_in.storage import Body, fresh_id

_PARAMETERS = {"payment_intent", "charge", "amount", "metadata", "reason", "expand"}
_REASONS = {"duplicate", "fraudulent", "requested_by_customer", None}


def create(objects: StripeObjects, parameters: Parameters, outcome: RefundOutcome) -> Body:
    """Refund as the API is asked to. Raises ApiError."""
    parameters.only(_PARAMETERS)
    reason = parameters.text("reason")
    if reason not in _REASONS:
        raise ApiError("Invalid reason.", param="reason")
    named = parameters.text("charge") or parameters.text("payment_intent")
    if named is None:
        message = "One of the following params should be provided for this request: payment_intent or charge."
        raise ApiError(message, code="parameter_missing", param="payment_intent")
    charge = charge_of(objects, named, "charge" if parameters.text("charge") else "payment_intent")
    amount = parameters.whole("amount", 1)
    return refund(objects, charge, amount, metadata=parameters.metadata(), reason=reason, outcome=outcome)


def refund(
    objects: StripeObjects,
    charge: Body,
    amount: int | None,
    *,
    metadata: dict[str, str],
    reason: str | None,
    outcome: RefundOutcome,
) -> Body:
    """Refund so many cents of a charge, or what is left of it. Raises ApiError."""
    amount = _refundable(objects, charge, amount)
    if outcome == "refused":
        raise refused("The refund could not be processed.", "refund_disabled")
    is_card = charge["id"].startswith("ch_")
    made: Body = {
        "id": fresh_id("re" if is_card else "pyr"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": objects.now,
        "currency": charge["currency"],
        "destination_details": {"type": "card", "card": {"type": "refund", "reference_status": "pending"}},
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded" if outcome == "succeeded" else "pending",
        "transfer_reversal": None,
    }
    if outcome == "waiting":
        made["pending_reason"] = "insufficient_funds"
    else:
        made["balance_transaction"] = _taken(objects, made)
        if outcome == "pending":
            made["pending_reason"] = "processing"
    made = objects.keep(made)
    _count(objects, charge, amount)
    objects.tell("refund.created", made)
    return made


def settle(objects: StripeObjects, id_: str) -> Body:
    """Let a pending refund succeed. Raises ApiError."""
    pending = objects.get("refund", id_, "refund")
    if pending["status"] != "pending":
        raise refused(f"The refund {id_} is {pending['status']}.")
    settled = {name: value for name, value in pending.items() if name != "pending_reason"} | {"status": "succeeded"}
    if settled["balance_transaction"] is None:
        settled["balance_transaction"] = _taken(objects, settled)
    objects.keep(settled)
    _tell_update(objects, settled, pending["status"])
    return settled


def fail(objects: StripeObjects, id_: str) -> Body:
    """Let a refund fail, be it pending or told succeeded before: the money is back at Stripe. Raises ApiError."""
    before = objects.get("refund", id_, "refund")
    if before["status"] not in ("pending", "succeeded"):
        raise refused(f"The refund {id_} is {before['status']}.")
    failed = {name: value for name, value in before.items() if name != "pending_reason"}
    failed |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
    if before["balance_transaction"] is not None:
        back = move(objects, "refund_failure", id_, before["amount"], description="REFUND FAILURE")
        failed["failure_balance_transaction"] = back["id"]
    objects.keep(failed)
    charge = objects.get("charge", before["charge"])
    left = charge["amount_refunded"] - before["amount"]
    objects.keep(charge | {"amount_refunded": left, "refunded": False})
    objects.tell("refund.failed", failed)
    _tell_update(objects, failed, before["status"])
    return failed


def charge_of(objects: StripeObjects, id_: str, param: str = "charge") -> Body:
    """Return the charge that a charge's or a payment intent's id leads to. Raises ApiError."""
    if param == "charge":
        return objects.get("charge", id_, param)
    intent = objects.get("payment_intent", id_, param)
    charge = objects.find(intent["latest_charge"] or "")
    if charge is None or charge["status"] != "succeeded":
        message = f"This PaymentIntent ({id_}) does not have a successful charge to refund."
        raise refused(message, "payment_intent_unexpected_state", param)
    return charge


def _refundable(objects: StripeObjects, charge: Body, amount: int | None) -> int:
    id_, left = charge["id"], charge["amount"] - charge["amount_refunded"]
    if charge["status"] != "succeeded":
        raise refused(f"Charge {id_} is {charge['status']}; it cannot be refunded.", "charge_not_refundable")
    if not all(dispute["is_charge_refundable"] for dispute in objects.every("dispute", charge=id_)):
        raise refused(f"Charge {id_} has been charged back; cannot issue a refund.", "charge_disputed")
    if left == 0:
        raise refused(f"Charge {id_} has already been refunded.", "charge_already_refunded")
    if amount is not None and amount > left:
        message = f"Refund amount ({_dollars(amount)}) is greater than unrefunded amount on charge ({_dollars(left)})"
        raise refused(message, param="amount")
    return left if amount is None else amount


def _count(objects: StripeObjects, charge: Body, amount: int) -> None:
    refunded = charge["amount_refunded"] + amount
    told = objects.keep(charge | {"amount_refunded": refunded, "refunded": refunded == charge["amount"]})
    objects.tell("charge.refunded", told, {"amount_refunded": charge["amount_refunded"]})


def _taken(objects: StripeObjects, made: Body) -> str:
    type_: TransactionType = "refund" if made["id"].startswith("re_") else "payment_refund"
    id_: str = move(objects, type_, made["id"], -made["amount"], description="REFUND FOR CHARGE")["id"]
    return id_


def _tell_update(objects: StripeObjects, refund_: Body, before: str) -> None:
    objects.tell("refund.updated", refund_, {"status": before})
    objects.tell("charge.refund.updated", refund_, {"status": before})


def _dollars(cents: int) -> str:
    return f"${cents // 100}.{cents % 100:02}"
