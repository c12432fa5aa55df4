"""What requests about funds take and tell: paid in by a Checkout, and given back."""

from typing import Annotated
from uuid import UUID

import msgspec

from api.application.payments.funds import OpenedPage, RequestedRefunds
from api.http.rendering import (
    NO_AMOUNT,
    Amount,
    AskedAmount,
    Balance,
    Micros,
    Time,
    amount_number,
    asked_amount,
    balance_number,
)
from domain.errors import Invalid
from domain.money import ZERO, MicroUsd
from domain.payments.payment import RefundState
from domain.payments.refunds import ChosenRefund
from domain.payments.work import RefundStatus
from domain.time import Instant, to_rfc3339

PAYMENT_ID = "01937b1e-5c00-7000-8000-000000000005"
REFUND_EXAMPLE = {
    "id": "01937b1e-5c00-7000-8000-000000000006",
    "payment_id": PAYMENT_ID,
    "amount": 7.5,
    "fee": 0,
    "state": "requested",
    "created_at": "2026-11-23T17:00:20Z",
}
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>LiteVPS</title>
<p>{text}</p>
</html>
"""


class NewFunds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Funds to be paid in."""

    amount: Annotated[AskedAmount, msgspec.Meta(description="USD, from 5.00 to 50.00, in whole cents.")]

    def requested_amount(self) -> MicroUsd:
        """Return the amount that is asked for. Raises Invalid."""
        amount = asked_amount(self.amount, "amount")
        if amount is None:
            raise Invalid(fields={"amount": "required"})
        return amount


class CheckoutPage(msgspec.Struct, frozen=True, kw_only=True):
    """Where funds are paid."""

    url: Annotated[str, msgspec.Meta(description="A page of Stripe's, open for an hour.")]
    payment_id: UUID

    @classmethod
    def of(cls, page: OpenedPage) -> "CheckoutPage":
        """Return a page as it is told."""
        return cls(url=page.url, payment_id=page.payment_id)


class WebhookTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What Stripe told is kept."""

    received: bool


class NewRefund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Funds to be given back."""

    amount: Annotated[
        AskedAmount, msgspec.Meta(description="USD, in whole cents; left out or null: all that can go back.")
    ] = msgspec.field(default_factory=NO_AMOUNT)

    def requested_amount(self) -> MicroUsd | None:
        """Return the amount that is asked for; None: all that can go back. Raises Invalid."""
        return asked_amount(self.amount, "amount")


class RefundResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a payment that goes back to whoever paid it."""

    id: Annotated[str, msgspec.Meta(description="A UUID; Stripe's id of a refund that operators made there.")]
    payment_id: UUID
    amount: Amount
    fee: Annotated[
        Amount,
        msgspec.Meta(description="What Stripe kept of the payment: charged beside `amount`, and not given back."),
    ]
    state: Annotated[
        RefundState,
        msgspec.Meta(description="`requested`, `open` (Stripe is at it), `settled`, or `failed`: it is yours again."),
    ]
    created_at: Time

    @classmethod
    def of(cls, one: RefundStatus) -> "RefundResponse":
        """Return a refund of the list as it is told."""
        return cls(
            id=one.key,
            payment_id=one.payment_id,
            amount=amount_number(one.amount),
            fee=amount_number(one.fee),
            state=one.state,
            created_at=to_rfc3339(one.at),
        )

    @classmethod
    def of_requested(cls, one: ChosenRefund, at: Instant) -> "RefundResponse":
        """Return a refund that was asked for at an instant as it is told."""
        return cls(
            id=str(one.requested.refund_id),
            payment_id=one.payment_id,
            amount=amount_number(one.requested.amount),
            fee=amount_number(ZERO if one.fee_kept is None else one.fee_kept.amount),
            state="requested",
            created_at=to_rfc3339(at),
        )


class RefundsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back, and what is left."""

    refunds: list[RefundResponse]
    balance: Balance
    balance_micros: Micros

    @classmethod
    def of(cls, requested: RequestedRefunds) -> "RefundsResponse":
        """Return what goes back as it is told."""
        return cls(
            refunds=[RefundResponse.of_requested(one, requested.at) for one in requested.refunds],
            balance=balance_number(requested.balance),
            balance_micros=requested.balance,
        )


def page_of_text(text: str) -> str:
    """Return a page of HTML that says so."""
    return _PAGE.format(text=text)
