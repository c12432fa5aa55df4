"""Refunds: asked for by the API or on the dashboard, whole or in part, settled at once or later, or failed."""

from adapters.stripe_stand_in.balance import TransactionType, move
from adapters.stripe_stand_in.errors import ApiError, refused
from adapters.stripe_stand_in.faults import RefundOutcome
from adapters.stripe_stand_in.parameters import Parameters
from adapters.stripe_stand_in.storage import Body, fresh_id
from adapters.stripe_stand_in.till import Till

_PARAMETERS = {"payment_intent", "charge", "amount", "metadata", "reason", "expand"}
_REASONS = {"duplicate", "fraudulent", "requested_by_customer", None}


def create(till: Till, parameters: Parameters, outcome: RefundOutcome) -> Body:
    """Refund as the API is asked to. Raises ApiError."""
    parameters.only(_PARAMETERS)
    reason = parameters.text("reason")
    if reason not in _REASONS:
        raise ApiError("Invalid reason.", param="reason")
    named = parameters.text("charge") or parameters.text("payment_intent")
    if named is None:
        message = "One of the following params should be provided for this request: payment_intent or charge."
        raise ApiError(message, code="parameter_missing", param="payment_intent")
    charge = charge_of(till, named, "charge" if parameters.text("charge") else "payment_intent")
    amount = parameters.whole("amount", 1)
    return refund(till, charge, amount, metadata=parameters.metadata(), reason=reason, outcome=outcome)


def refund(
    till: Till,
    charge: Body,
    amount: int | None,
    *,
    metadata: dict[str, str],
    reason: str | None,
    outcome: RefundOutcome,
) -> Body:
    """Refund so many cents of a charge, or what is left of it. Raises ApiError."""
    amount = _refundable(till, charge, amount)
    if outcome == "refused":
        raise refused("The refund could not be processed.", "refund_disabled")
    is_card = charge["id"].startswith("ch_")
    made: Body = {
        "id": fresh_id("re" if is_card else "pyr"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": till.now,
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
        made["balance_transaction"] = _taken(till, made)
        if outcome == "pending":
            made["pending_reason"] = "processing"
    made = till.keep(made)
    _count(till, charge, amount)
    till.tell("refund.created", made)
    return made


def settle(till: Till, id_: str) -> Body:
    """Let a pending refund succeed. Raises ApiError."""
    pending = till.get("refund", id_, "refund")
    if pending["status"] != "pending":
        raise refused(f"The refund {id_} is {pending['status']}.")
    settled = {name: value for name, value in pending.items() if name != "pending_reason"} | {"status": "succeeded"}
    if settled["balance_transaction"] is None:
        settled["balance_transaction"] = _taken(till, settled)
    till.keep(settled)
    _tell_update(till, settled, pending["status"])
    return settled


def fail(till: Till, id_: str) -> Body:
    """Let a refund fail, be it pending or told succeeded before: the money is back at Stripe. Raises ApiError."""
    before = till.get("refund", id_, "refund")
    if before["status"] not in ("pending", "succeeded"):
        raise refused(f"The refund {id_} is {before['status']}.")
    failed = {name: value for name, value in before.items() if name != "pending_reason"}
    failed |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
    if before["balance_transaction"] is not None:
        back = move(till, "refund_failure", id_, before["amount"], description="REFUND FAILURE")
        failed["failure_balance_transaction"] = back["id"]
    till.keep(failed)
    charge = till.get("charge", before["charge"])
    left = charge["amount_refunded"] - before["amount"]
    till.keep(charge | {"amount_refunded": left, "refunded": False})
    till.tell("refund.failed", failed)
    _tell_update(till, failed, before["status"])
    return failed


def charge_of(till: Till, id_: str, param: str = "charge") -> Body:
    """Return the charge that a charge's or a payment intent's id leads to. Raises ApiError."""
    if param == "charge":
        return till.get("charge", id_, param)
    intent = till.get("payment_intent", id_, param)
    charge = till.find(intent["latest_charge"] or "")
    if charge is None or charge["status"] != "succeeded":
        message = f"This PaymentIntent ({id_}) does not have a successful charge to refund."
        raise refused(message, "payment_intent_unexpected_state", param)
    return charge


def _refundable(till: Till, charge: Body, amount: int | None) -> int:
    id_, left = charge["id"], charge["amount"] - charge["amount_refunded"]
    if charge["status"] != "succeeded":
        raise refused(f"Charge {id_} is {charge['status']}; it cannot be refunded.", "charge_not_refundable")
    if not all(dispute["is_charge_refundable"] for dispute in till.every("dispute", charge=id_)):
        raise refused(f"Charge {id_} has been charged back; cannot issue a refund.", "charge_disputed")
    if left == 0:
        raise refused(f"Charge {id_} has already been refunded.", "charge_already_refunded")
    if amount is not None and amount > left:
        message = f"Refund amount ({_dollars(amount)}) is greater than unrefunded amount on charge ({_dollars(left)})"
        raise refused(message, param="amount")
    return left if amount is None else amount


def _count(till: Till, charge: Body, amount: int) -> None:
    refunded = charge["amount_refunded"] + amount
    told = till.keep(charge | {"amount_refunded": refunded, "refunded": refunded == charge["amount"]})
    till.tell("charge.refunded", told, {"amount_refunded": charge["amount_refunded"]})


def _taken(till: Till, made: Body) -> str:
    type_: TransactionType = "refund" if made["id"].startswith("re_") else "payment_refund"
    id_: str = move(till, type_, made["id"], -made["amount"], description="REFUND FOR CHARGE")["id"]
    return id_


def _tell_update(till: Till, refund_: Body, before: str) -> None:
    till.tell("refund.updated", refund_, {"status": before})
    till.tell("charge.refund.updated", refund_, {"status": before})


def _dollars(cents: int) -> str:
    return f"${cents // 100}.{cents % 100:02}"
