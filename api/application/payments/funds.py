"""Funds of an account, whoever asks: paid in by a Checkout of Stripe's, told of by its webhook, and given back."""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from api.application import rate_limits
from api.application.caller import Caller
from api.application.once import KEPT_FOR, Once, OnceBegun, Unkept
from api.application.payments.checkouts import CheckoutRefused, ask_for_checkout, ensure_opened
from api.application.payments.refunding import ask_in_time, chosen_in, decided, prepare_refund
from api.application.payments.webhooks import apply_event, keep_event
from api.application.refusals import WebhookRefused
from api.application.repository import Decided
from api.application.runtime import Runtime
from domain.accounts.ports import Quota
from domain.errors import Contended, Invalid
from domain.ids import PaymentId
from domain.money import MicroUsd
from domain.payments.commands import RequestCheckout
from domain.payments.ports import BadSignature, PaymentsRefused, PaymentsUnavailable
from domain.payments.refunds import ChosenRefund
from domain.payments.work import RefundStatus
from domain.ports import Claim, ClaimTaken, StoreFailed
from domain.time import Instant
from domain.wallet.wallet import Wallet, wallet_ref

APPLY_WITHIN_S = 10.0
"""How long Stripe waits for what it told to be applied; what takes longer is kept, and the sweep applies it."""
INSTEAD = "checkout-instead"
"""The scope of claims on a payment that came to nothing: which other one is sent to under its idempotency key."""
CHECKOUTS = Quota("add-funds", 20, 60)
"""How many Checkouts an account may ask for a minute."""

_log = structlog.get_logger(__name__)


class OpenedPage(msgspec.Struct, frozen=True):
    """Where funds are paid."""

    payment_id: PaymentId
    url: str
    is_resumed: bool
    """Whether the same command had it opened before."""


class RequestedRefunds(msgspec.Struct, frozen=True):
    """What goes back, and what is left."""

    refunds: Sequence[ChosenRefund]
    balance: MicroUsd
    """As it was left when they were asked for."""
    at: Instant
    wallet: Wallet
    """As it is once Stripe was asked: what it refused at once is on the balance again."""


async def add_funds(runtime: Runtime, caller: Caller, amount: MicroUsd, once: OnceBegun | None = None) -> OpenedPage:
    """Have Stripe open a page where the account pays; sent again, it is the same page.

    Raises Invalid, RateLimited, CheckoutRefused, Contended or PaymentsUnavailable.
    """
    # Each asks Stripe, which takes only so much from all of us together.
    rate_limits.check(CHECKOUTS, await rate_limits.count(runtime, CHECKOUTS, str(caller.account_id)))
    payment_id, is_resumed = await _asked_for(runtime, caller, amount, Unkept() if once is None else once)
    payment = await ensure_opened(runtime.payments, payment_id)
    if payment.url is None:
        raise CheckoutRefused
    return OpenedPage(payment_id, payment.url, is_resumed)


async def take_webhook(runtime: Runtime, body: bytes, signature: str) -> None:
    """Keep what Stripe tells, then apply it if that is soon done. Raises WebhookRefused or Invalid."""
    payments = runtime.payments
    try:
        event = payments.gateway.read_webhook(body, signature, runtime.clock.now())
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


async def request_refund(
    runtime: Runtime, caller: Caller, amount: MicroUsd | None, once: Once[RequestedRefunds] | None = None
) -> RequestedRefunds:
    """Charge the account with what is to go back, then have Stripe give it back.

    ``amount``: None for all that can go back. Raises Invalid, MoreThanRefundable, NothingToRefund, TooManyRefunds,
    Contended, ProjectionBehind or PaymentsUnavailable.
    """
    payments = runtime.payments
    # Minutes that ran and are not paid yet are used, too.
    await runtime.worker.settle(caller.account_id)
    request = await prepare_refund(payments, caller.account_id, amount, "requested")
    ref = wallet_ref(caller.account_id)

    def requested(made: Decided) -> RequestedRefunds:
        wallet = made.loaded.of(ref)
        return RequestedRefunds(chosen_in(made.events), wallet.balance, made.at, wallet)

    executed = await runtime.aggregates.execute(
        request.refs,
        lambda loaded, now: decided(request.choose(loaded, now), caller.account_id, now),
        caller.context("refund"),
        result=requested,
        once=once,
    )
    await ask_in_time(payments, executed.result.refunds)
    try:
        wallet = (await runtime.aggregates.load(ref)).of(ref)
    except StoreFailed:
        return executed.result
    return msgspec.structs.replace(executed.result, wallet=wallet)


async def list_refunds(runtime: Runtime, caller: Caller) -> Sequence[RefundStatus]:
    """Return the refunds of the account. Raises ProjectionBehind."""
    return await runtime.payments.open_payments.refunds(caller.account_id)


async def _asked_for(runtime: Runtime, caller: Caller, amount: MicroUsd, kept: OnceBegun) -> tuple[PaymentId, bool]:
    """Return the payment that is asked for, and whether it was asked for before. Raises Invalid, Contended."""
    payments = runtime.payments
    before = await kept.begun()
    command = RequestCheckout(PaymentId(runtime.ids.new()), caller.account_id, amount)
    free: tuple[tuple[str, bytes], ...] = ()
    instead: tuple[Claim, ...] = ()
    if before is not None:
        payment = await payments.payment(PaymentId(before))
        if payment is None or payment.url is not None or payment.state == "requested":
            return PaymentId(before), True
        # Nobody can pay it: a refusal leaves its key free.
        free = kept.releases()
        # Of several repeats at once only one may free it, or each would free it of the one before.
        until = Instant(runtime.clock.now() + KEPT_FOR)
        instead = (Claim(INSTEAD, before.bytes, command.payment_id, expires_at=until),)
    claims = (*instead, *await kept.claims(command.payment_id))
    try:
        await ask_for_checkout(payments, command, caller.context("checkout"), claims, free)
    except ClaimTaken:
        # The same command came twice at once: both are sent to the one page.
        begun = await kept.begun()
        if begun is None:
            raise Contended from None
        return PaymentId(begun), True
    return command.payment_id, False
