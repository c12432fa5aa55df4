"""Applying: what was decided of a payment goes into its stream and the wallet's, and unpaid debts stop VPSs with it."""

from collections.abc import Callable, Sequence
from typing import Any

import structlog

from api.application.fail_points import fail_point
from api.application.payments.dependencies import PaymentsContext, as_service, require_payment
from api.application.repository import CommandContext, Loaded
from domain.compute.vps import Vps, request_stop, vps_ref
from domain.deciding import AggregateRef, Decision
from domain.errors import Contended
from domain.events import Event
from domain.ids import AccountId, PaymentId, StreamId, VpsId, vps_stream
from domain.payments.applying import Applied, apply_seen
from domain.payments.events import PaymentMismatched
from domain.payments.payment import Payment, payment_ref
from domain.payments.ports import SeenPayment
from domain.payments.recording import STRIPE_CLAIM
from domain.ports import ClaimTaken
from domain.time import Instant
from domain.wallet.wallet import Wallet, wallet_ref

ATTEMPTS_MAX = 10
"""How often it is read anew that another process recorded the same meanwhile, or that another VPS was switched on."""

_log = structlog.get_logger(__name__)

DecideApplied = Callable[[Payment, Wallet, Instant], Applied]


class _AnotherVpsIsOn(Exception):
    """A VPS is on that was not when it was read which are."""


async def apply_payment(
    payments: PaymentsContext, account_id: AccountId, payment_id: PaymentId, seen: SeenPayment
) -> None:
    """Record whatever is new of a payment as Stripe shows it."""
    recorded = await record_applied(
        payments,
        account_id,
        payment_id,
        lambda payment, wallet, now: apply_seen(payment, wallet, seen, now),
        as_service("apply", account_id),
    )
    for event in recorded:
        if isinstance(event, PaymentMismatched):
            # Nobody's money moves by itself from here on: somebody has to look.
            _log.error("payment does not match", payment_id=str(payment_id), session_id=seen.session_id, of=event.field)


async def read_from_stripe(payments: PaymentsContext, session_id: str) -> SeenPayment | None:
    """Return what Stripe has of a session now. Raises PaymentsUnavailable."""
    fail_point("apply:before-stripe")
    seen = await payments.gateway.find_payment(session_id)
    fail_point("apply:after-stripe")
    return seen


async def record_applied(
    payments: PaymentsContext,
    account_id: AccountId,
    payment_id: PaymentId,
    decide: DecideApplied,
    context: CommandContext,
) -> Sequence[Event]:
    """Record what is decided of a payment, with the stops of all VPSs that it releases, in one append; return it."""
    payment, wallet = payment_ref(payment_id), wallet_ref(account_id)
    for _ in range(ATTEMPTS_MAX):
        vpss = await _vpss_on(payments, wallet)
        try:
            outcome = await payments.aggregates.execute(
                [payment, wallet, *vpss.values()], _with_stops(payment_id, wallet, vpss, decide), context
            )
        except _AnotherVpsIsOn:
            continue
        except ClaimTaken as taken:
            if taken.scope != STRIPE_CLAIM:
                raise
            continue
        return [event for _, event in outcome.events]
    raise Contended


def _with_stops(
    payment_id: PaymentId,
    wallet: AggregateRef[Wallet],
    vpss: dict[VpsId, AggregateRef[Vps | None]],
    decide: DecideApplied,
) -> Callable[[Loaded, Instant], Decision]:
    payment = payment_ref(payment_id)

    def decided(loaded: Loaded, now: Instant) -> Decision:
        purse = loaded.of(wallet)
        applied = decide(require_payment(loaded.of(payment), payment_id), purse, now)
        if not {vps_id for vps_id, _ in applied.released} <= vpss.keys():
            raise _AnotherVpsIsOn
        seen = {vps_id: loaded.of(vpss[vps_id]) for vps_id, _ in applied.released}
        return Decision(events=(*applied.events(purse), *_stops(seen, now)), claims=applied.claims)

    return decided


def _stops(vpss: dict[VpsId, Vps | None], now: Instant) -> Sequence[tuple[StreamId, Event]]:
    return [
        (vps_stream(vps_id), event)
        for vps_id, vps in vpss.items()
        if vps is not None
        for event in request_stop(vps, "frozen", now)
    ]


async def _vpss_on(payments: PaymentsContext, wallet: AggregateRef[Wallet]) -> dict[VpsId, AggregateRef[Any]]:
    meters = (await payments.aggregates.load(wallet)).of(wallet).meters_on()
    return {meter.vps_id: vps_ref(meter.vps_id) for meter in meters}
