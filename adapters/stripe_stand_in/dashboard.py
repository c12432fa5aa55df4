"""What a person would do on Stripe's dashboard, and what banks and time do: each as a function."""

import contextlib
from collections.abc import Callable
from typing import Literal

from adapters.stripe_stand_in import balance, disputes, faults, payments, refunds, sessions
from adapters.stripe_stand_in.errors import ApiError
from adapters.stripe_stand_in.faults import Fault, NextRefund, RefundOutcome
from adapters.stripe_stand_in.objects import StripeObjects
from adapters.stripe_stand_in.storage import Body, Storage

PLANNED_MAX = 1_000_000


class Dashboard:
    """Ids go in, the changed object comes out as the API shows it; a no raises ApiError. Amounts are cents."""

    def __init__(
        self,
        storage: Storage,
        open_objects: Callable[[], contextlib.AbstractContextManager[StripeObjects]],
    ) -> None:
        self._storage = storage
        self._open_objects = open_objects

    def pay(self, session: str, fees_later: bool = False) -> Body:
        """Pay an open session by card. With `fees_later` its balance transaction waits for `post_fees`."""
        with self._open_objects() as objects:
            return objects.shown(sessions.attempt(objects, session, "paid", fees_later=fees_later))

    def pay_later(self, session: str) -> Body:
        """Complete an open session by a bank that takes days: it is complete and unpaid."""
        with self._open_objects() as objects:
            return objects.shown(sessions.attempt(objects, session, "later"))

    def decline(self, session: str) -> Body:
        """Try to pay an open session with a card that is declined; it stays open."""
        with self._open_objects() as objects:
            return objects.shown(sessions.attempt(objects, session, "declined"))

    def bank_pays(self, session: str, fees_later: bool = False) -> Body:
        """Let the money of a session that is complete and unpaid arrive."""
        with self._open_objects() as objects:
            return objects.shown(sessions.bank_answered(objects, session, succeeded=True, fees_later=fees_later))

    def bank_refuses(self, session: str) -> Body:
        """Let the payment of a session that is complete and unpaid fail."""
        with self._open_objects() as objects:
            return objects.shown(sessions.bank_answered(objects, session, succeeded=False))

    def expire(self, session: str) -> Body:
        """Expire an open session."""
        with self._open_objects() as objects:
            return objects.shown(sessions.expire(objects, session))

    def post_fees(self, payment: str) -> Body:
        """Make the balance transaction of a charge that was paid with `fees_later`."""
        with self._open_objects() as objects:
            return objects.shown(payments.post_fees(objects, _charge(objects, payment)))

    def refund(
        self, payment: str, amount: int | None = None, outcome: RefundOutcome = "succeeded", reason: str | None = None
    ) -> Body:
        """Refund a payment (of a session, an intent or a charge), whole or in part."""
        with self._open_objects() as objects:
            charge = _charge(objects, payment)
            made = refunds.refund(objects, charge, amount, metadata={}, reason=reason, outcome=outcome)
            return objects.shown(made)

    def settle_refund(self, refund: str) -> Body:
        """Let a pending refund succeed."""
        with self._open_objects() as objects:
            return objects.shown(refunds.settle(objects, refund))

    def fail_refund(self, refund: str) -> Body:
        """Let a refund fail, pending or succeeded: the money is back at Stripe."""
        with self._open_objects() as objects:
            return objects.shown(refunds.fail(objects, refund))

    def next_refunds(self, outcome: RefundOutcome, count: int = 1) -> None:
        """Say what becomes of the next refunds that the API is asked for."""
        self._plan(NextRefund(outcome=outcome), count)

    def open_dispute(
        self, payment: str, amount: int | None = None, inquiry: bool = False, reason: str = "fraudulent"
    ) -> Body:
        """Let the customer's bank dispute a payment, whole or in part, or only inquire."""
        with self._open_objects() as objects:
            charge = _charge(objects, payment)
            return objects.shown(disputes.open_(objects, charge, amount, inquiry=inquiry, reason=reason))

    def escalate_dispute(self, dispute: str) -> Body:
        """Let an inquiry become a dispute."""
        with self._open_objects() as objects:
            return objects.shown(disputes.escalate(objects, dispute))

    def answer_dispute(self, dispute: str) -> Body:
        """Hand in evidence: the dispute is under review."""
        with self._open_objects() as objects:
            return objects.shown(disputes.answer(objects, dispute))

    def win_dispute(self, dispute: str, fee_returned: bool = False) -> Body:
        """Decide a dispute for us: its funds are reinstated, its fee only if asked for."""
        with self._open_objects() as objects:
            return objects.shown(disputes.win(objects, dispute, fee_returned=fee_returned))

    def lose_dispute(self, dispute: str) -> Body:
        """Decide a dispute for the customer."""
        with self._open_objects() as objects:
            return objects.shown(disputes.lose(objects, dispute))

    def close_inquiry(self, dispute: str) -> Body:
        """Let an inquiry end with nothing withdrawn."""
        with self._open_objects() as objects:
            return objects.shown(disputes.close_inquiry(objects, dispute))

    def make_available(self) -> Body:
        """Make all pending funds available now; return the balance."""
        with self._open_objects() as objects:
            return balance.make_available(objects)

    def balance(self) -> Body:
        """Return what is available and what is pending."""
        with self._open_objects() as objects:
            return balance.balance(objects)

    def pay_out(self, amount: int | None = None) -> Body:
        """Send cents to the bank, or all that is available."""
        with self._open_objects() as objects:
            return objects.shown(balance.pay_out(objects, amount))

    def payout_arrived(self, payout: str) -> Body:
        """Let a payout arrive: it is paid."""
        with self._open_objects() as objects:
            return objects.shown(balance.payout_arrived(objects, payout))

    def payout_failed(self, payout: str) -> Body:
        """Let a payout come back."""
        with self._open_objects() as objects:
            return objects.shown(balance.payout_failed(objects, payout))

    def tamper(self, id: str, changes: Body) -> Body:  # noqa: A002 - it is what the API calls it
        """Have the API and later events show other values of any object; no changes shows it as it is again."""
        with self._open_objects() as objects:
            body = objects.find(id)
            if body is None:
                body = objects.get("checkout.session", id)
            return objects.shown(objects.keep(body | {"_tampered": changes}))

    def fault(
        self,
        action: Literal["error", "close", "hang", "delay"],
        count: int = 1,
        method: str = "*",
        path: str = "/v1/*",
        when: Literal["before", "after"] = "before",
        status: int = 500,
        seconds: float = 0,
        kept: bool = False,
    ) -> None:
        """Let the next requests fail; see Fault for what the words mean. `path` may hold `*`."""
        self._plan(
            Fault(action=action, method=method, path=path, when=when, status=status, seconds=seconds, kept=kept), count
        )

    def clear_faults(self) -> None:
        """Forget every planned fault and outcome."""
        with self._storage.transaction() as connection:
            faults.clear(connection)

    def deliver_again(self, event: str) -> Body:
        """Have an event delivered to the webhook again, as if it had not been."""
        with self._open_objects() as objects:
            return objects.shown(objects.deliver(objects.get("event", event)))

    def _plan(self, planned: Fault | NextRefund, count: int) -> None:
        if not 0 < count <= PLANNED_MAX:
            raise ApiError(f"The count is between 1 and {PLANNED_MAX}.", param="count")
        with self._storage.transaction() as connection:
            faults.plan(connection, planned, count)


ACTIONS = (
    "pay", "pay_later", "decline", "bank_pays", "bank_refuses", "expire", "post_fees", "refund", "settle_refund",
    "fail_refund", "next_refunds", "open_dispute", "escalate_dispute", "answer_dispute", "win_dispute", "lose_dispute",
    "close_inquiry", "make_available", "balance", "pay_out", "payout_arrived", "payout_failed", "tamper", "fault",
    "clear_faults", "deliver_again",
)  # fmt: skip


def _charge(objects: StripeObjects, id_: str) -> Body:
    found = objects.find(id_)
    if found is not None and found["object"] == "checkout.session":
        id_ = found["payment_intent"] or ""
        found = objects.find(id_)
    is_intent = found is not None and found["object"] == "payment_intent"
    return refunds.charge_of(objects, id_, "payment_intent" if is_intent else "charge")
