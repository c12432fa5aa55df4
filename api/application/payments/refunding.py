"""Refunds: what an account has left goes back to where it came from; charged first, then asked of Stripe."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog

from api.application.fail_points import fail_point
from api.application.payments.applying import record_applied
from api.application.payments.dependencies import PaymentMissing, PaymentsContext, as_service
from api.application.repository import CommandContext, Loaded
from domain.deciding import NOTHING, AggregateRef, Decision
from domain.errors import Contended
from domain.events import Event
from domain.ids import AccountId, PaymentId, RefundId, StreamId, payment_stream, wallet_stream
from domain.money import MicroUsd
from domain.payments.applying import apply_refund_seen, note_refund_refused
from domain.payments.events import RefundCause, RefundFeeKept, RefundRequested
from domain.payments.payment import Payment, payment_ref
from domain.payments.ports import PaymentsRefused, PaymentsUnavailable, RefundOrder
from domain.payments.refunds import NO_FEES, ChosenRefund, NothingToRefund, choose_refunds
from domain.ports import StoreFailed
from domain.settings.settings import SETTINGS_REF
from domain.time import Instant
from domain.wallet.asked_refunds import check_refunds
from domain.wallet.events import FundsTaken, RefundsAsked
from domain.wallet.wallet import wallet_ref

ASK_WITHIN_S = 10.0
"""How long whoever asked for refunds waits until Stripe was asked for them; the sweep does the rest."""
AT_ONCE_MAX = 8

_log = structlog.get_logger(__name__)


class RefundRequest(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What an account wants back, ready to be decided over ``refs``."""

    account_id: AccountId
    amount: MicroUsd | None
    """None: all that can go back."""
    cause: RefundCause
    payments: tuple[AggregateRef[Payment | None], ...]
    new_ids: tuple[RefundId, ...]
    fees: Mapping[PaymentId, MicroUsd] = NO_FEES
    """What Stripe kept of which payments, where that is kept of refunds, too."""

    @property
    def refs(self) -> tuple[AggregateRef[Any], ...]:
        """What is to be read."""
        return (*self.payments, wallet_ref(self.account_id), SETTINGS_REF)

    def choose(self, loaded: Loaded, now: Instant) -> list[ChosenRefund]:
        """Return the refunds that it comes to.

        Raises NothingToRefund, MoreThanRefundable, Invalid; TooManyRefunds where a customer asks too often: not for
        a closure, which ends it.
        """
        wallet = loaded.of(wallet_ref(self.account_id))
        payments = [payment for ref in self.payments if (payment := loaded.of(ref)) is not None]
        chosen = choose_refunds(payments, wallet, self.amount, self.cause, self.new_ids, now, self.fees)
        if self.cause == "requested":
            check_refunds(wallet.refunds_asked, loaded.of(SETTINGS_REF).refunds_per_30_days, now)
        return chosen


async def prepare_refund(
    payments: PaymentsContext, account_id: AccountId, amount: MicroUsd | None, cause: RefundCause
) -> RefundRequest:
    """Return what an account wants back, ready to be decided.

    Raises ProjectionBehind; and, where fees are kept, PaymentsUnavailable as long as Stripe does not tell them.
    """
    payment_ids = await payments.open_payments.refundable_payments(account_id)
    return RefundRequest(
        account_id=account_id,
        amount=amount,
        cause=cause,
        payments=tuple(payment_ref(payment_id) for payment_id in payment_ids),
        new_ids=tuple(RefundId(payments.ids.new()) for _ in payment_ids),
        fees=await _fees_kept(payments, payment_ids),
    )


async def _fees_kept(payments: PaymentsContext, payment_ids: Sequence[PaymentId]) -> Mapping[PaymentId, MicroUsd]:
    refs = {payment_id: payment_ref(payment_id) for payment_id in payment_ids}
    loaded = await payments.aggregates.load(SETTINGS_REF, *refs.values())
    if not loaded.of(SETTINGS_REF).refund_keeps_fee:
        return NO_FEES
    slots = asyncio.Semaphore(AT_ONCE_MAX)

    async def fee(payment: Payment) -> MicroUsd:
        async with slots:
            known = None if payment.charge_id is None else await payments.gateway.fee_of(payment.charge_id)
        if known is None:
            raise PaymentsUnavailable("the fee of a payment is not known yet")
        return known

    charged = [payment for ref in refs.values() if (payment := loaded.of(ref)) is not None]
    fees = await asyncio.gather(*map(fee, charged))
    return {payment.payment_id: kept for payment, kept in zip(charged, fees, strict=True)}


def decided(chosen: Sequence[ChosenRefund], account_id: AccountId, asked_at: Instant | None = None) -> Decision:
    """Return what is recorded of refunds that were chosen: each of its payment and of the wallet.

    ``asked_at``: when a customer asked for them, so that it counts as one more; None where nobody did.
    """
    wallet = wallet_stream(account_id)
    pairs: list[tuple[StreamId, Event]] = []
    for one in chosen:
        pairs += [(payment_stream(one.payment_id), one.requested), (wallet, one.taken)]
        if one.fee_kept is not None:
            pairs.append((payment_stream(one.payment_id), one.fee_kept))
    if asked_at is not None:
        keys = tuple(str(one.requested.refund_id) for one in chosen)
        pairs.append((wallet, RefundsAsked(account_id=account_id, keys=keys, at=asked_at)))
    return Decision(tuple(pairs))


def chosen_in(events: Sequence[tuple[StreamId, Event]]) -> list[ChosenRefund]:
    """Return the refunds that a decision of ``decided`` records."""
    taken = {event.key: event for _, event in events if isinstance(event, FundsTaken)}
    fees_kept = {event.refund_id: event for _, event in events if isinstance(event, RefundFeeKept)}
    return [
        ChosenRefund(event.payment_id, event, taken[str(event.refund_id)], fees_kept.get(event.refund_id))
        for _, event in events
        if isinstance(event, RefundRequested)
    ]


async def request_refund_of_all(payments: PaymentsContext, account_id: AccountId, context: CommandContext) -> MicroUsd:
    """Have all that can be refunded of a closed account go back; return how much that is. Asked twice, it is zero.

    What Stripe refuses at once is not counted, and is on the balance again. Nobody can pay at its open Checkouts any
    more, as far as Stripe answers in time. Raises ProjectionBehind, Contended.
    """
    await _expire_checkouts(payments, account_id)
    request = await prepare_refund(payments, account_id, None, "closure")

    def decide(loaded: Loaded, now: Instant) -> Decision:
        try:
            return decided(request.choose(loaded, now), account_id)
        except NothingToRefund:
            return NOTHING

    executed = await payments.aggregates.execute(request.refs, decide, msgspec.structs.replace(context, step="refund"))
    chosen = chosen_in(executed.events)
    await ask_in_time(payments, chosen)
    return await _going_back(payments, chosen)


async def _going_back(payments: PaymentsContext, chosen: Sequence[ChosenRefund]) -> MicroUsd:
    loaded = await payments.aggregates.load(*(payment_ref(one.payment_id) for one in chosen))
    refunds = [
        payment.refunds[str(one.requested.refund_id)]
        for one in chosen
        if (payment := loaded.of(payment_ref(one.payment_id))) is not None
    ]
    return MicroUsd(sum(refund.amount for refund in refunds if refund.stands))


async def ask_in_time(payments: PaymentsContext, chosen: Sequence[ChosenRefund]) -> None:
    """Ask Stripe for refunds that were requested, for so long as somebody waits for it; the sweep does the rest."""
    slots = asyncio.Semaphore(AT_ONCE_MAX)

    async def ask(one: ChosenRefund) -> None:
        async with slots:
            await ensure_refunded(payments, one.payment_id, one.requested.refund_id)

    try:
        async with asyncio.timeout(ASK_WITHIN_S):
            await asyncio.gather(*(ask(one) for one in chosen))
    except (TimeoutError, Contended, PaymentsUnavailable, StoreFailed) as later:
        # They are recorded: whoever was told anything else would ask for them once more.
        _log.info("refunds are left to the sweep", problem=repr(later))


async def ensure_refunded(payments: PaymentsContext, payment_id: PaymentId, refund_id: RefundId) -> None:
    """Have Stripe make a refund that was requested; refused, the account has it back.

    Raises PaymentsUnavailable; PaymentMissing for what cannot go back, since it never came in.
    """
    payment = await payments.required_payment(payment_id)
    refund = payment.refunds[str(refund_id)]
    if refund.state != "requested":
        return
    if payment.payment_intent_id is None:
        raise PaymentMissing(f"payment {payment_id} was never received, yet is to go back: run `litevps audit verify`")
    order = RefundOrder(refund_id, payment.payment_intent_id, refund.amount)
    context = as_service("refund-open", payment.account_id)
    fail_point("refund-open:before-stripe")
    try:
        seen = await payments.gateway.ensure_refund(order)
    except PaymentsRefused as refused:
        _log.warning("refund refused", refund_id=str(refund_id), problem=str(refused))
        await record_applied(
            payments,
            payment.account_id,
            payment_id,
            lambda known, wallet, now: note_refund_refused(known, wallet, refund_id, now),
            context,
        )
        return
    fail_point("refund-open:after-stripe")
    await record_applied(
        payments,
        payment.account_id,
        payment_id,
        lambda known, wallet, now: apply_refund_seen(known, wallet, seen, now),
        context,
    )


async def _expire_checkouts(payments: PaymentsContext, account_id: AccountId) -> None:
    try:
        async with asyncio.timeout(ASK_WITHIN_S):
            for payment_id in await payments.open_payments.open_payments(account_id):
                payment = await payments.payment(payment_id)
                if payment is not None and payment.session_id is not None:
                    await payments.gateway.expire_checkout(payment.session_id)
    except (TimeoutError, PaymentsUnavailable) as problem:
        _log.info("open checkouts end by themselves", account_id=str(account_id), problem=str(problem))
