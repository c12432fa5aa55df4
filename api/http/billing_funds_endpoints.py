"""The endpoints of funds: paying in, Stripe's webhook, refunds, and where a payer comes back to."""

from api.application.payments.checkouts import CheckoutRefused
from api.application.payments.webhooks import WEBHOOK_PATH
from api.application.refusals import WebhookRefused
from api.http.billing_funds import (
    FundsToPay,
    NewFunds,
    NewRefund,
    RefundsRequested,
    RefundTold,
    WebhookTaken,
    add_funds,
    list_refunds,
    request_refund,
    take_webhook,
)
from api.http.bridge import Answer, Call, Endpoint, Told
from api.http.pages import PAGE_HEADERS, Page
from api.http.pipeline.errors import PaymentsDown
from domain.errors import Contended, Invalid
from domain.payments.refunds import NothingToRefund
from domain.wallet.asked_refunds import TooManyRefunds
from domain.wallet.paid_in import MoreThanRefundable
from projections.reading import ProjectionBehind

WEBHOOK_BYTES_MAX = 256 * 1024
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>LiteVPS</title>
<p>{text}</p>
</html>
"""
_PAGE_HEADERS = (("content-security-policy", "default-src 'none'"), ("referrer-policy", "no-referrer"))
_PAYMENT_ID = "01937b1e-5c00-7000-8000-000000000005"
_REFUND = {
    "id": "01937b1e-5c00-7000-8000-000000000006",
    "payment_id": _PAYMENT_ID,
    "amount": 7.5,
    "fee": 0,
    "state": "requested",
    "created_at": "2026-11-23T17:00:20Z",
}


def _page(text: str) -> Answer:
    return Answer(200, _PAGE.format(text=text).encode(), _PAGE_HEADERS, content_type="text/html; charset=utf-8")


async def _done(_call: Call) -> Answer:
    return _page("Thank you. Your balance changes within moments; you can close this page.")


async def _left(_call: Call) -> Answer:
    return _page("Nothing was paid. You can close this page.")


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/billing/add-funds",
        name="add_funds",
        tag="billing",
        summary="Pay in funds",
        description=(
            "Answers a page of Stripe's where the amount is paid. The balance changes once Stripe tells that it was."
            " With an `Idempotency-Key`, a repeat is sent to the same page."
        ),
        who="account",
        handle=add_funds,
        body=NewFunds,
        body_example={"amount": 10},
        told=(
            Told(
                200,
                "The page.",
                FundsToPay,
                {"url": "https://checkout.stripe.com/c/pay/cs_live_a1b2c3", "payment_id": _PAYMENT_ID},
            ),
        ),
        refusals=(CheckoutRefused, Contended, PaymentsDown),
    ),
    Endpoint(
        method="POST",
        path=WEBHOOK_PATH,
        name="stripe_webhook",
        tag="billing",
        summary="For Stripe: what happened to a payment",
        description=(
            "The body is an event of Stripe's, signed over its bytes in `Stripe-Signature`, at most five minutes ago."
            " It is kept first, then looked up at Stripe; told again, nothing happens twice."
        ),
        who="public",
        handle=take_webhook,
        raw_body=True,
        body_bytes_max=WEBHOOK_BYTES_MAX,
        told=(Told(200, "It is kept.", WebhookTaken, {"received": True}),),
        refusals=(WebhookRefused, Invalid, Contended),
    ),
    Endpoint(
        method="POST",
        path="/api/billing/refunds",
        name="request_refund",
        tag="billing",
        summary="Have unused funds back",
        description=(
            "What was paid in and not used goes back to how it was paid, the newest payment first, in whole cents;"
            " given funds do not. The balance is charged at once, and credited again should a refund fail. That may be"
            " asked for only a few times in 30 days, for Stripe keeps its fee each time."
        ),
        who="account",
        handle=request_refund,
        body=NewRefund,
        body_example={"amount": 7.5},
        told=(
            Told(
                202,
                "What goes back, and what is left.",
                RefundsRequested,
                {"refunds": [_REFUND], "balance": 2.5, "balance_micros": 2_500_000},
            ),
        ),
        refusals=(MoreThanRefundable, NothingToRefund, TooManyRefunds, Contended, ProjectionBehind),
    ),
    Endpoint(
        method="GET",
        path="/api/billing/refunds",
        name="list_refunds",
        tag="billing",
        summary="What went back, and what is to",
        who="account",
        handle=list_refunds,
        query=Page,
        told=(Told(200, "Newest first.", list[RefundTold], [_REFUND], PAGE_HEADERS),),
        refusals=(ProjectionBehind,),
    ),
    Endpoint(
        method="GET",
        path="/billing/done",
        name="funds_paid_page",
        tag="billing",
        summary="Where a payer comes back to",
        who="public",
        handle=_done,
        told=(Told(200, "A page that says so."),),
    ),
    Endpoint(
        method="GET",
        path="/billing/left",
        name="funds_not_paid_page",
        tag="billing",
        summary="Where somebody comes back to who did not pay",
        who="public",
        handle=_left,
        told=(Told(200, "A page that says so."),),
    ),
)
