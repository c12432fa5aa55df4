"""Disputes and inquiries: opened by a customer's bank, answered, then won, lost or closed."""

from adapters.stripe_stand_in.balance import DISPUTE_FEE_CENTS, move
from adapters.stripe_stand_in.errors import ApiError, refused
from adapters.stripe_stand_in.objects import StripeObjects
from adapters.stripe_stand_in.storage import Body, fresh_id

ANSWER_WITHIN_S = 9 * 86_400


def open_(objects: StripeObjects, charge: Body, amount: int | None, *, inquiry: bool, reason: str) -> Body:
    """Dispute so many cents of a charge, or all of it; an inquiry withdraws nothing yet. Raises ApiError."""
    disputed = charge["amount"] if amount is None else amount
    if charge["status"] != "succeeded" or not 0 < disputed <= charge["amount"]:
        raise ApiError("Only what was charged can be disputed.", param="amount")
    dispute: Body = {
        "id": fresh_id("du"),
        "object": "dispute",
        "amount": disputed,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": objects.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": {
            "due_by": objects.now + ANSWER_WITHIN_S,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "network_reason_code": None,
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {"type": "card", "card": {"brand": "visa", "case_type": _case(inquiry=inquiry)}},
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }
    objects.keep(dispute)
    told = objects.keep(objects.get("charge", charge["id"]) | {"disputed": True})
    objects.tell("charge.dispute.created", dispute)
    objects.tell("charge.updated", told, {"disputed": charge["disputed"]})
    return dispute if inquiry else _withdraw(objects, dispute)


def escalate(objects: StripeObjects, id_: str) -> Body:
    """Let an inquiry become a dispute, which withdraws its funds. Raises ApiError."""
    dispute = _dispute_that_is(objects, id_, {"warning_needs_response", "warning_under_review"})
    details = dispute["payment_method_details"]
    changed = dispute | {"status": "needs_response", "is_charge_refundable": False}
    changed["payment_method_details"] = details | {"card": details["card"] | {"case_type": _case(inquiry=False)}}
    objects.keep(changed)
    objects.tell("charge.dispute.updated", changed, {"status": dispute["status"]})
    return _withdraw(objects, changed)


def answer(objects: StripeObjects, id_: str) -> Body:
    """Hand in evidence, so that it is under review. Raises ApiError."""
    dispute = _dispute_that_is(objects, id_, {"needs_response", "warning_needs_response"})
    details = dispute["evidence_details"] | {"has_evidence": True, "submission_count": 1}
    status = dispute["status"].replace("needs_response", "under_review")
    changed = objects.keep(dispute | {"status": status, "evidence_details": details})
    objects.tell("charge.dispute.updated", changed, {"status": dispute["status"]})
    return changed


def win(objects: StripeObjects, id_: str, *, fee_returned: bool) -> Body:
    """Decide it for us: the funds come back, and the fee only where Stripe's terms give it back. Raises ApiError."""
    dispute = _dispute_that_is(objects, id_, {"needs_response", "under_review"})
    fee = -DISPUTE_FEE_CENTS if fee_returned else 0
    changed = dispute | {"status": "won", "is_charge_refundable": True}
    back = move(
        objects,
        "adjustment",
        id_,
        dispute["amount"],
        fee=fee,
        fee_name="Dispute fee refund",
        category="dispute_reversal",
        description=f"Chargeback reversal for {dispute['charge']}",
    )
    changed["balance_transactions"] = [*dispute["balance_transactions"], back["id"]]
    objects.keep(changed)
    objects.tell("charge.dispute.funds_reinstated", changed)
    return _close(objects, changed, dispute["status"])


def lose(objects: StripeObjects, id_: str) -> Body:
    """Decide it for the customer: what was withdrawn stays so. Raises ApiError."""
    dispute = _dispute_that_is(objects, id_, {"needs_response", "under_review"})
    return _close(objects, dispute | {"status": "lost"}, dispute["status"])


def close_inquiry(objects: StripeObjects, id_: str) -> Body:
    """Let an inquiry end with nothing withdrawn. Raises ApiError."""
    dispute = _dispute_that_is(objects, id_, {"warning_needs_response", "warning_under_review"})
    return _close(objects, dispute | {"status": "warning_closed"}, dispute["status"])


def _withdraw(objects: StripeObjects, dispute: Body) -> Body:
    taken = move(
        objects,
        "adjustment",
        dispute["id"],
        -dispute["amount"],
        fee=DISPUTE_FEE_CENTS,
        fee_name="Dispute fee",
        category="dispute",
        description=f"Chargeback withdrawal for {dispute['charge']}",
    )
    withdrawn = objects.keep(dispute | {"balance_transactions": [*dispute["balance_transactions"], taken["id"]]})
    objects.tell("charge.dispute.funds_withdrawn", withdrawn)
    return withdrawn


def _close(objects: StripeObjects, dispute: Body, before: str) -> Body:
    objects.keep(dispute)
    objects.tell("charge.dispute.closed", dispute, {"status": before})
    return dispute


def _dispute_that_is(objects: StripeObjects, id_: str, statuses: set[str]) -> Body:
    dispute = objects.get("dispute", id_, "dispute")
    if dispute["status"] not in statuses:
        raise refused(f"The dispute {id_} is {dispute['status']}.")
    return dispute


def _case(*, inquiry: bool) -> str:
    return "inquiry" if inquiry else "chargeback"
