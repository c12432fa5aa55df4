"""The sweep: finds what no webhook told of and what was left undone, once, however many sweep."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from adapters.sealing.master_key import MasterKey
from adapters.sealing.sealer import AccountSealer
from adapters.stripe.gateway import StripeGateway
from api.application.payments.applying import read_from_stripe
from api.application.payments.checkouts import CHECKOUT_LIVES
from api.application.payments.dependencies import PaymentsContext
from api.application.payments.refunding import decided, prepare_refund, request_refund_of_all
from api.application.payments.webhooks import HANDLED_KINDS, apply_event, keep_event
from api.workers import payment_reconciliation as sweeping
from api.workers.payment_reconciliation import PaymentReconciler
from domain.books.postings import postings
from domain.events import Event
from domain.ids import STRIPE_STREAM
from domain.money import MicroUsd
from domain.payments import events
from domain.payments.ports import SeenPayment, StripeEvent
from domain.payments.transactions import Transaction, apply_transaction
from domain.time import MICROSECONDS_PER_SECOND
from domain.wallet.events import FundsAdded, FundsReturned, FundsTaken
from tests.api.payment_world import TEN_USD, PaymentWorld

pytestmark = pytest.mark.anyio

EXPIRED_S = CHECKOUT_LIVES // MICROSECONDS_PER_SECOND + 60


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("stripe.HTTPXClient.INITIAL_DELAY", 0.001)
    monkeypatch.setattr("stripe.HTTPXClient.MAX_DELAY", 0.001)
    with capture_logs():  # To lay out a traceback for people takes longer than many sweeps.
        yield


async def test_a_payment_is_found_once_by_however_many_look(world: PaymentWorld) -> None:
    payments = await world.founded()
    await world.pay(payments)
    world.clock.advance(61)
    await asyncio.gather(*(PaymentReconciler(world.payments()).run() for _ in range(4)))
    await world.sweep(payments, 3)

    assert (await world.wallet()).balance == TEN_USD
    assert len(await world.events(FundsAdded)) == 1


async def test_a_checkout_that_was_asked_for_and_not_opened_is_opened(world: PaymentWorld) -> None:
    payments = await world.founded()
    payment_id = await world.ask(payments)
    await PaymentReconciler(payments).run()
    assert await world.events(events.CheckoutOpened) == [], "whoever asked is still at it"
    await world.sweep(payments)

    assert [one.payment_id for one in await world.events(events.CheckoutOpened)] == [payment_id]


async def test_a_checkout_that_could_not_be_opened_in_time_is_given_up(world: PaymentWorld) -> None:
    payments = await world.founded()
    await world.ask(payments)
    world.clock.advance(EXPIRED_S)
    await world.sweep(payments)

    assert [one.cause for one in await world.events(events.CheckoutFailed)] == ["refused"]


async def test_a_checkout_at_which_nobody_paid_is_seen_expired_without_a_webhook(world: PaymentWorld) -> None:
    payments = await world.founded()
    await world.pay(payments)
    await world.ask(payments)
    await world.sweep(payments)
    world.clock.advance(EXPIRED_S)
    await world.sweep(payments)

    assert len(await world.events(events.CheckoutExpired)) == 1
    assert (await world.wallet()).balance == TEN_USD


async def test_a_payment_is_found_after_its_end_even_where_stripe_tells_of_no_event(
    world: PaymentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments = await world.founded()
    await world.pay(payments)
    monkeypatch.setattr(sweeping, "HANDLED_KINDS", frozenset())
    await world.sweep(payments)
    assert (await world.wallet()).balance == 0
    world.clock.advance(EXPIRED_S)
    await world.sweep(payments)

    assert (await world.wallet()).balance == TEN_USD


async def test_refunds_and_disputes_of_payments_long_done_are_found(world: PaymentWorld) -> None:
    payments = await world.founded()
    payment = await world.pay(payments)
    await world.sweep(payments)
    world.clock.advance(40 * 86_400)
    session = payment.session_id or ""
    world.stripe.dashboard.refund(session, 300)
    dispute = world.stripe.dashboard.open_dispute(session, 500)["id"]
    await world.sweep(payments)
    assert (await world.wallet()).balance == MicroUsd(2_000_000)
    world.clock.advance(20 * 86_400)
    world.stripe.dashboard.win_dispute(dispute)
    await world.sweep(payments)

    assert (await world.wallet()).balance == MicroUsd(7_000_000)
    assert [one.cause for one in await world.events(FundsTaken)] == ["outside-refund", "dispute"]
    assert len(await world.events(FundsReturned)) == 1


async def test_a_refund_that_stripe_was_not_asked_for_is_asked_for_once(world: PaymentWorld) -> None:
    payments = await world.founded()
    await world.pay(payments)
    await world.sweep(payments)
    request = await prepare_refund(payments, world.account_id, MicroUsd(4_000_000), "requested")
    await payments.aggregates.execute(
        request.refs,
        lambda loaded, now: decided(request.choose(loaded, now), world.account_id),
        world.context("refund"),
    )
    assert world.refunds_at_stripe() == []
    await world.sweep(payments, 3)

    assert [one["amount"] for one in world.refunds_at_stripe()] == [400]
    assert [one.amount for one in await world.events(events.RefundSettled)] == [4_000_000]
    assert (await world.wallet()).balance == MicroUsd(6_000_000)


async def test_a_pending_refund_is_seen_settled_without_a_webhook(world: PaymentWorld) -> None:
    payments = await world.founded()
    await world.pay(payments)
    await world.sweep(payments)
    world.stripe.dashboard.next_refunds("pending")
    assert await request_refund_of_all(payments, world.account_id, world.context()) == TEN_USD
    assert await request_refund_of_all(payments, world.account_id, world.context()) == 0
    assert await world.events(events.RefundSettled) == []
    world.stripe.dashboard.settle_refund(world.refunds_at_stripe()[0]["id"])
    await world.sweep(payments)

    assert len(await world.events(events.RefundSettled)) == 1


async def test_the_closing_of_an_account_ends_its_open_checkouts(world: PaymentWorld) -> None:
    payments = await world.founded()
    await world.ask(payments)
    await world.sweep(payments)
    await request_refund_of_all(payments, world.account_id, world.context())
    await world.sweep(payments)

    assert len(await world.events(events.CheckoutExpired)) == 1


async def test_the_books_are_stripes_own_after_charges_refunds_disputes_and_payouts(world: PaymentWorld) -> None:
    payments, dashboard = await world.founded(), world.stripe.dashboard
    paid = [await world.pay(payments, MicroUsd(50_000_000)) for _ in range(3)]
    await world.sweep(payments)
    dashboard.refund(paid[0].session_id or "", 1000)
    dashboard.win_dispute(dashboard.open_dispute(paid[1].session_id or "")["id"])
    dashboard.lose_dispute(dashboard.open_dispute(paid[2].session_id or "")["id"])
    await world.sweep(payments)
    assert await held(world, "assets:stripe:pending") == dashboard.balance()["pending"][0]["amount"] * 10_000
    world.clock.advance(3 * 86_400)
    await world.sweep(payments)
    dashboard.payout_failed(dashboard.pay_out(2000)["id"])
    dashboard.pay_out(3000)
    await world.sweep(payments)

    available = dashboard.balance()["available"][0]["amount"]
    assert await held(world, "assets:stripe:available") == available * 10_000
    assert await held(world, "assets:bank") == 30_000_000
    for empty in ("clearing", "pending", "disputed", "unexplained"):
        assert await held(world, f"assets:stripe:{empty}") == 0, empty
    assert await held(world, "") == 0


async def test_what_becomes_available_long_after_it_was_listed_is_seen(world: PaymentWorld) -> None:
    payments = await world.founded()
    await world.pay(payments)
    await world.sweep(payments)
    world.clock.advance(86_400)
    await world.pay(payments)
    await world.sweep(payments)
    assert await held(world, "assets:stripe:available") == 0
    world.clock.advance(86_400)
    await world.sweep(payments)

    one = 10_000_000 - 590_000
    assert await held(world, "assets:stripe:available") == await held(world, "assets:stripe:pending") == one


async def test_a_sweep_with_nothing_new_records_nothing(world: PaymentWorld) -> None:
    payments = await world.founded()
    await world.pay(payments)
    await world.sweep(payments, 2)
    head = await world.store.head()
    await world.sweep(payments, 5)

    assert await world.store.head() == head


async def test_what_happened_before_and_is_listed_late_is_still_found(world: PaymentWorld) -> None:
    payments = await world.founded()
    payment = await world.pay(payments)
    world.clock.advance(600)
    await world.pay(payments)
    await world.sweep(payments)
    world.clock.advance(-300)
    world.stripe.dashboard.refund(payment.session_id or "", 300)
    world.clock.advance(300)
    await world.sweep(payments)

    assert (await world.wallet()).balance == MicroUsd(17_000_000)
    assert len(await world.events(events.StripeBalanceMoved)) == 3


async def test_more_than_a_batch_is_looked_through_in_one_sweep(
    world: PaymentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "LISTED_MAX", 3)
    payments = await world.founded()
    for _ in range(7):
        await world.pay(payments, MicroUsd(5_000_000))
    await world.sweep(payments)

    assert (await world.wallet()).balance == MicroUsd(35_000_000)
    assert len(await world.events(events.StripeBalanceMoved)) == 7


async def test_one_that_cannot_be_looked_at_does_not_keep_the_others_waiting(world: PaymentWorld) -> None:
    payments = await world.founded()
    first = await world.pay(payments)
    await world.pay(payments)
    broken = [one for one in world.stripe.events() if one["type"] == "checkout.session.completed"][:1]
    told = payments.gateway.read_webhook(*world.stripe.signed(broken[0]), world.clock.now())
    await keep_event(payments, told)
    world.stripe.dashboard.fault("error", count=2, status=500, path=f"/v1/checkout/sessions/{first.session_id}")
    await world.sweep(payments, 3)

    assert (await world.wallet()).balance == MicroUsd(20_000_000)
    assert {one.stripe_event_id for one in await world.events(events.StripeEventApplied)} >= {told.stripe_event_id}


async def test_however_many_stripe_does_not_answer_for_the_others_are_looked_at_in_the_same_sweep(
    world: PaymentWorld,
) -> None:
    payments = await world.founded()
    paid = [await world.pay(payments) for _ in range(13)]
    for payment in paid[:12]:
        world.stripe.dashboard.fault("error", count=1000, path=f"/v1/checkout/sessions/{payment.session_id}")
    await world.sweep(payments)

    assert (await world.wallet()).balance == TEN_USD


async def test_however_many_fail_at_the_head_what_came_later_is_applied_and_they_are_once_they_can(
    world: PaymentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "BATCH_MAX", 2)
    payments = await world.founded()
    sessions = [(await world.pay(payments)).session_id for _ in range(6)]
    for event in world.stripe.events():
        told = payments.gateway.read_webhook(*world.stripe.signed(event), world.clock.now())
        await keep_event(payments, told)
    monkeypatch.setattr(sweeping, "HANDLED_KINDS", frozenset())  # Nothing is found but by what was kept.
    tried = Counter[str]()

    async def poisoned(payments: PaymentsContext, session_id: str) -> SeenPayment | None:
        tried[session_id] += 1
        if session_id in sessions[:5]:
            raise ValueError("a session that nobody foresaw")
        return await read_from_stripe(payments, session_id)

    with monkeypatch.context() as mistake:
        mistake.setattr("api.application.payments.webhooks.read_from_stripe", poisoned)
        reconciler = PaymentReconciler(payments)
        await reconciler.run()
        assert (await world.wallet()).balance == TEN_USD
        for _ in range(24):
            world.clock.advance(30)
            await reconciler.run()
        # After 1, 2, 4 … 256 seconds and the rest of a sweep's half minute: not 25 times each.
        assert {count for session, count in tried.items() if session != sessions[5]} == {10}

    world.clock.advance(300)
    await world.sweep(payments)
    assert (await world.wallet()).balance == 6 * TEN_USD


async def test_a_part_of_a_sweep_that_fails_leaves_the_others_to_be_done(
    world: PaymentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments = await world.founded()
    await world.pay(payments)

    async def unreadable(*_: object) -> list[StripeEvent]:
        raise ValueError("an event that nobody can read")

    monkeypatch.setattr(StripeGateway, "events_since", unreadable)
    await world.sweep(payments)

    assert len(await world.events(events.StripeBalanceMoved)) == 1


async def test_an_event_that_cannot_be_kept_keeps_no_other_waiting_and_is_not_lost(
    world: PaymentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments = await world.founded()
    await world.pay(payments)
    await world.pay(payments)
    first = next(one["id"] for one in world.stripe.events() if one["type"] in HANDLED_KINDS)

    async def poisoned(payments: PaymentsContext, event: StripeEvent) -> None:
        if event.stripe_event_id == first:
            raise ValueError("a payment that nobody foresaw")
        await keep_event(payments, event)

    with monkeypatch.context() as mistake:
        mistake.setattr(sweeping, "keep_event", poisoned)
        await world.sweep(payments)
        assert (await world.wallet()).balance == TEN_USD
        # Long after its list is looked through again as a matter of course.
        await world.sweep(payments, 30)
        await world.pay(payments)
        await world.sweep(payments)
        assert (await world.wallet()).balance == 2 * TEN_USD

    await world.sweep(payments)
    assert (await world.wallet()).balance == 3 * TEN_USD


async def test_a_movement_that_cannot_be_recorded_keeps_no_other_waiting_and_is_not_lost(
    world: PaymentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments = await world.founded()
    await world.pay(payments)
    await world.pay(payments)
    first = None

    def poisoned(transaction: Transaction | None, moved: events.StripeBalanceMoved) -> tuple[Event, ...]:
        nonlocal first
        first = first or moved.transaction_id
        if moved.transaction_id == first:
            raise ValueError("a movement that nobody foresaw")
        return apply_transaction(transaction, moved)

    with monkeypatch.context() as mistake:
        mistake.setattr(sweeping, "apply_transaction", poisoned)
        await world.sweep(payments, 30)
        assert len(await world.events(events.StripeBalanceMoved)) == 1

    await world.sweep(payments)
    assert len(await world.events(events.StripeBalanceMoved)) == 2


async def test_while_stripe_does_not_answer_a_sweep_waits_and_the_next_goes_on(world: PaymentWorld) -> None:
    payments = await world.founded()
    await world.pay(payments)
    world.stripe.dashboard.fault("error", count=1000, status=503)
    await world.sweep(payments)
    assert (await world.wallet()).balance == 0
    world.stripe.dashboard.clear_faults()
    await world.sweep(payments, 2)

    assert (await world.wallet()).balance == TEN_USD


async def test_what_was_told_of_an_account_that_is_erased_by_now_comes_to_nothing(world: PaymentWorld) -> None:
    payments = await world.founded()
    await world.pay(payments)
    completed = next(one for one in world.stripe.events() if one["type"] == "checkout.session.completed")
    told = payments.gateway.read_webhook(*world.stripe.signed(completed), world.clock.now())
    await keep_event(payments, told)
    await AccountSealer(MasterKey(b"k" * 32), world.storage.keys).erase(world.account_id)
    await apply_event(world.payments(), told.stripe_event_id)

    assert [one.payment_id for one in await world.events(events.StripeEventApplied)] == [None]


async def test_a_dispute_of_an_account_that_is_erased_by_then_is_accounted_for(world: PaymentWorld) -> None:
    payments = await world.founded()
    payment = await world.pay(payments)
    await world.tell_all(payments)
    await AccountSealer(MasterKey(b"k" * 32), world.storage.keys).erase(world.account_id)
    assert payment.session_id is not None
    world.stripe.dashboard.open_dispute(payment.session_id)
    disputed = next(one for one in world.stripe.events() if one["type"] == "charge.dispute.created")
    told = payments.gateway.read_webhook(*world.stripe.signed(disputed), world.clock.now())
    await keep_event(payments, told)
    # By another process, which never had its raw text in memory.
    await apply_event(world.payments(), told.stripe_event_id)

    assert len(await world.events(events.DisputeOpened)) == 1
    assert (await world.wallet()).balance == 0


async def test_two_do_not_sweep_at_once(world: PaymentWorld) -> None:
    payments = await world.founded()
    await world.pay(payments)
    assert await world.payments().leases.take(sweeping.SWEEP_LEASE, STRIPE_STREAM, 30) == 0
    await PaymentReconciler(payments).run()

    assert (await world.wallet()).balance == 0


async def held(world: PaymentWorld, account: str) -> int:
    """Return what the books have on accounts that begin so."""
    lines = [posting for event in await world.events() for posting in postings(event)]
    return sum(line.amount for line in lines if line.account.startswith(account))
