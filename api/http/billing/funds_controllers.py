"""Funds over HTTP: paid in, told of by Stripe, given back, and where a payer comes back to."""

from litestar import Controller, get, post
from litestar.params import RequestBody

from api.application.payments import funds
from api.application.payments.checkouts import CheckoutRefused
from api.application.payments.webhooks import WEBHOOK_PATH
from api.application.refusals import WebhookRefused
from api.http.billing.funds_schemas import (
    PAYMENT_ID,
    REFUND_EXAMPLE,
    CheckoutPage,
    NewFunds,
    NewRefund,
    RefundResponse,
    RefundsResponse,
    WebhookTaken,
    page_of_text,
)
from api.http.openapi.docs import Docs
from api.http.pages import PAGE_HEADERS, Page, made_at, paged
from api.http.pipeline.errors import PaymentsDown
from api.http.pipeline.idempotency import REPLAYED, BegunUnderKey, once
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse, accepted, ok
from domain.errors import Contended, Invalid
from domain.payments.refunds import NothingToRefund
from domain.wallet.asked_refunds import TooManyRefunds
from domain.wallet.paid_in import MoreThanRefundable
from projections.reading import ProjectionBehind

WEBHOOK_BYTES_MAX = 256 * 1024
_PAGE_HEADERS = (("content-security-policy", "default-src 'none'"), ("referrer-policy", "no-referrer"))


class FundsController(Controller):
    """Funds of an account."""

    path = "/api/billing"
    tags = ["billing"]

    @post(
        "/add-funds",
        operation_id="add_funds",
        summary="Pay in funds",
        description=(
            "Answers a page of Stripe's where the amount is paid. The balance changes once Stripe tells that it was."
            " With an `Idempotency-Key`, a repeat is sent to the same page."
        ),
        status_code=200,
        docs=Docs(
            "The page.",
            {"url": "https://checkout.stripe.com/c/pay/cs_live_a1b2c3", "payment_id": PAYMENT_ID},
            refuses=(CheckoutRefused, Contended, PaymentsDown),
            body_example={"amount": 10},
        ),
    )
    async def add(self, request: ApiRequest, data: RequestBody[NewFunds]) -> ApiResponse[CheckoutPage]:
        """Have Stripe open a page where the account pays; under a key, a repeat is sent to the same page."""
        amount, kept = data.requested_amount(), BegunUnderKey(request)
        page = await funds.add_funds(request.runtime, request.caller, amount, kept)
        return ok(CheckoutPage.of(page), *((REPLAYED,) if page.is_resumed else ()))


class WebhookController(Controller):
    """What Stripe tells."""

    tags = ["billing"]
    opt = {"public": True}

    @post(
        WEBHOOK_PATH,
        operation_id="stripe_webhook",
        summary="For Stripe: what happened to a payment",
        description=(
            "The body is an event of Stripe's, signed over its bytes in `Stripe-Signature`, at most five minutes ago."
            " It is kept first, then looked up at Stripe; told again, nothing happens twice."
        ),
        status_code=200,
        request_max_body_size=WEBHOOK_BYTES_MAX,
        raw_body=True,
        docs=Docs("It is kept.", {"received": True}, refuses=(WebhookRefused, Invalid, Contended)),
    )
    async def take(self, request: ApiRequest) -> WebhookTaken:
        """Keep what Stripe tells, then apply it if that is soon done."""
        signature = request.context.headers.get(b"stripe-signature", b"").decode("latin-1")
        await funds.take_webhook(request.runtime, request.context.raw_body, signature)
        return WebhookTaken(received=True)


class RefundsController(Controller):
    """What goes back of an account's funds."""

    path = "/api/billing/refunds"
    tags = ["billing"]

    @post(
        operation_id="request_refund",
        summary="Have unused funds back",
        description=(
            "What was paid in and not used goes back to how it was paid, the newest payment first, in whole cents;"
            " given funds do not. The balance is charged at once, and credited again should a refund fail. That may be"
            " asked for only a few times in 30 days, for Stripe keeps its fee each time."
        ),
        status_code=202,
        docs=Docs(
            "What goes back, and what is left.",
            {"refunds": [REFUND_EXAMPLE], "balance": 2.5, "balance_micros": 2_500_000},
            refuses=(MoreThanRefundable, NothingToRefund, TooManyRefunds, Contended, ProjectionBehind),
            body_example={"amount": 7.5},
        ),
    )
    async def request(self, request: ApiRequest, data: RequestBody[NewRefund]) -> ApiResponse[RefundsResponse]:
        """Charge the account with what is to go back, then have Stripe give it back."""
        runtime, caller, amount = request.runtime, request.caller, data.requested_amount()
        return await once(
            request,
            lambda kept: funds.request_refund(runtime, caller, amount, kept),
            lambda requested: accepted(RefundsResponse.of(requested), wallet=requested.wallet),
        )

    @get(
        operation_id="list_refunds",
        summary="What went back, and what is to",
        query=Page,
        docs=Docs("Newest first.", [REFUND_EXAMPLE], PAGE_HEADERS, refuses=(ProjectionBehind,)),
    )
    async def list_all(self, request: ApiRequest) -> ApiResponse[list[RefundResponse]]:
        """Tell the refunds of the account, newest first."""
        found = await funds.list_refunds(request.runtime, request.caller)
        return paged(request, [(made_at(one.at, one.key), RefundResponse.of(one)) for one in found])


class PayersController(Controller):
    """Where a payer comes back to from Stripe."""

    path = "/billing"
    tags = ["billing"]
    opt = {"public": True}

    @get(
        "/done",
        operation_id="funds_paid_page",
        summary="Where a payer comes back to",
        docs=Docs("A page that says so."),
    )
    async def done(self) -> ApiResponse[str]:
        """Thank somebody who paid."""
        return _page("Thank you. Your balance changes within moments; you can close this page.")

    @get(
        "/left",
        operation_id="funds_not_paid_page",
        summary="Where somebody comes back to who did not pay",
        docs=Docs("A page that says so."),
    )
    async def left(self) -> ApiResponse[str]:
        """Tell somebody that nothing was paid."""
        return _page("Nothing was paid. You can close this page.")


def _page(text: str) -> ApiResponse[str]:
    return ApiResponse(page_of_text(text), headers=_PAGE_HEADERS, media_type="text/html; charset=utf-8")
