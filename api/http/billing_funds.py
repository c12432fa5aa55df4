"""Funds over HTTP: paid in by a Checkout of Stripe's, told of by its webhook, and given back."""

import asyncio
from typing import Annotated
from uuid import UUID

import msgspec
import structlog

from api.application import rate_limits
from api.application.payments.checkouts import CheckoutRefused, ask_for_checkout, ensure_opened
from api.application.payments.refunding import ask_in_time, decided, prepare_refund
from api.application.payments.webhooks import apply_event, keep_event
from api.application.refusals import WebhookRefused
from api.application.repository import Loaded
from api.http.bridge import Answer, Call, act, claim_key, claim_of, find_kept, paged, told
from api.http.pages import made_at
from api.http.pipeline.idempotency import KEPT_FOR, REPLAYED, SCOPE
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
from domain.accounts.ports import Quota
from domain.deciding import Decision
from domain.errors import Contended, Invalid
from domain.ids import PaymentId
from domain.money import ZERO, MicroUsd
from domain.payments.commands import RequestCheckout
from domain.payments.payment import RefundState
from domain.payments.ports import BadSignature, PaymentsRefused, PaymentsUnavailable
from domain.payments.refunds import ChosenRefund
from domain.ports import Claim, ClaimTaken, StoreFailed
from domain.time import Instant, to_rfc3339
from domain.wallet.wallet import wallet_ref

APPLY_WITHIN_S = 10.0
"""How long Stripe waits for what it told to be applied; what takes longer is kept, and the sweep applies it."""
INSTEAD = "checkout-instead"
"""The scope of claims on a payment that came to nothing: which other one is sent to under its idempotency key."""

CHECKOUTS = Quota("add-funds", 20, 60)
"""How many Checkouts an account may ask for a minute."""

_log = structlog.get_logger(__name__)


class NewFunds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Funds to be paid in."""

    amount: Annotated[AskedAmount, msgspec.Meta(description="USD, from 5.00 to 50.00, in whole cents.")]


class FundsToPay(msgspec.Struct, frozen=True, kw_only=True):
    """Where funds are paid."""

    url: Annotated[str, msgspec.Meta(description="A page of Stripe's, open for an hour.")]
    payment_id: UUID


class WebhookTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What Stripe told is kept."""

    received: bool


class NewRefund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Funds to be given back."""

    amount: Annotated[
        AskedAmount, msgspec.Meta(description="USD, in whole cents; left out or null: all that can go back.")
    ] = msgspec.field(default_factory=NO_AMOUNT)


class RefundTold(msgspec.Struct, frozen=True, kw_only=True):
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


class RefundsRequested(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back, and what is left."""

    refunds: list[RefundTold]
    balance: Balance
    balance_micros: Micros


async def add_funds(call: Call) -> Answer:
    """Have Stripe open a page where the account pays; under a key, a repeat is sent to the same page."""
    body: NewFunds = call.body
    amount = asked_amount(body.amount, "amount")
    if amount is None:
        raise Invalid(fields={"amount": "required"})
    # Each asks Stripe, which takes only so much from all of us together.
    tally = await rate_limits.count(call.runtime, CHECKOUTS, str(call.account_id))
    rate_limits.check(CHECKOUTS, tally)
    payment_id, replayed = await _asked_for(call, amount)
    payment = await ensure_opened(call.runtime.payments, payment_id)
    if payment.url is None:
        raise CheckoutRefused
    return told(200, FundsToPay(url=payment.url, payment_id=payment_id), *((REPLAYED,) if replayed else ()))


async def take_webhook(call: Call) -> Answer:
    """Keep what Stripe tells, then apply it if that is soon done."""
    payments = call.runtime.payments
    signature = call.arrival.headers.get(b"stripe-signature", b"").decode("latin-1")
    try:
        event = payments.gateway.read_webhook(call.raw_body, signature, call.runtime.clock.now())
    except BadSignature as bad:
        raise WebhookRefused(reason=str(bad)) from bad
    except ValueError as unread:
        raise Invalid(fields={"body": "is no event of Stripe's"}) from unread
    await keep_event(payments, event)
    try:
        async with asyncio.timeout(APPLY_WITHIN_S):
            await apply_event(payments, event.stripe_event_id)
    except (TimeoutError, Contended, PaymentsRefused, PaymentsUnavailable) as later:
        _log.info("webhook is left to the sweep", stripe_event_id=event.stripe_event_id, problem=repr(later))
    return told(200, WebhookTaken(received=True))


async def request_refund(call: Call) -> Answer:
    """Charge the account with what is to go back, then have Stripe give it back."""
    body: NewRefund = call.body
    payments = call.runtime.payments
    # Minutes that ran and are not paid yet are used, too.
    await call.runtime.worker.settle(call.account_id)
    request = await prepare_refund(payments, call.account_id, asked_amount(body.amount, "amount"), "requested")
    wallet = wallet_ref(call.account_id)
    chosen: list[ChosenRefund] = []

    def decide(loaded: Loaded, now: Instant) -> Decision:
        nonlocal chosen
        chosen = request.choose(loaded, now)
        return decided(chosen, call.account_id, now)

    def answer(loaded: Loaded, now: Instant) -> Answer:
        balance = loaded.of(wallet).balance
        refunds = [_requested(one, now) for one in chosen]
        body = RefundsRequested(refunds=refunds, balance=balance_number(balance), balance_micros=balance)
        return told(202, body)

    made = await act(call, request.refs, decide, answer, "refund")
    if REPLAYED in made.headers:
        return made
    await ask_in_time(payments, chosen)
    try:
        # What Stripe refused at once is on the balance again.
        after = (await call.runtime.aggregates.load(wallet)).of(wallet)
    except StoreFailed:
        return made
    return msgspec.structs.replace(made, balance=after.balance, wallet=after)


async def list_refunds(call: Call) -> Answer:
    """Tell the refunds of the account, newest first."""
    rows = []
    for one in await call.runtime.payments.open_payments.refunds(call.account_id):
        refund = RefundTold(
            id=one.key,
            payment_id=one.payment_id,
            amount=amount_number(one.amount),
            fee=amount_number(one.fee),
            state=one.state,
            created_at=to_rfc3339(one.at),
        )
        rows.append((made_at(one.at, one.key), refund))
    return paged(call, rows)


async def _asked_for(call: Call, amount: MicroUsd) -> tuple[PaymentId, bool]:
    """Return the payment that is asked for, and whether it was asked for before. Raises Invalid."""
    payments = call.runtime.payments
    before = await _asked_before(call)
    command = RequestCheckout(PaymentId(call.runtime.ids.new()), call.account_id, amount)
    free: tuple[tuple[str, bytes], ...] = ()
    instead: tuple[Claim, ...] = ()
    if before is not None:
        payment = await payments.payment(before)
        if payment is None or payment.url is not None or payment.state == "requested":
            return before, True
        # Nobody can pay it: a refusal leaves its key free.
        free = ((SCOPE, claim_key(call)),)
        # Of several repeats at once only one may free it, or each would free it of the one before.
        until = Instant(call.runtime.clock.now() + KEPT_FOR)
        instead = (Claim(INSTEAD, before.bytes, command.payment_id, expires_at=until),)
    claims = (*instead, *await _claims(call, command.payment_id))
    try:
        await ask_for_checkout(payments, command, call.context("checkout"), claims, free)
    except ClaimTaken:
        # The same request came twice at once: both are sent to the one page.
        before = await _asked_before(call)
        assert before is not None, "what is claimed is kept"
        return before, True
    return command.payment_id, False


async def _asked_before(call: Call) -> PaymentId | None:
    kept = await find_kept(call)
    return None if kept is None else PaymentId(UUID(kept.body.decode()))


async def _claims(call: Call, payment_id: PaymentId) -> tuple[Claim, ...]:
    if call.idempotency_key is None:
        return ()
    await call.runtime.sealer.load([call.account_id], create=True)
    # What is kept is not the answer but the payment: whoever repeats the request resumes it.
    return (claim_of(call, Answer(200, str(payment_id).encode()), call.runtime.clock.now()),)


def _requested(one: ChosenRefund, now: Instant) -> RefundTold:
    return RefundTold(
        id=str(one.requested.refund_id),
        payment_id=one.payment_id,
        amount=amount_number(one.requested.amount),
        fee=amount_number(ZERO if one.fee_kept is None else one.fee_kept.amount),
        state="requested",
        created_at=to_rfc3339(now),
    )
