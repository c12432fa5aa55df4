"""Closing one's account over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

from adapters.simulated.clock import ManualClock
from adapters.turnstile import TEST_TOKEN
from api.application import closing
from api.application.closing import close_account, finish_closings
from api.application.payments import refunding
from api.application.payments.applying import apply_payment, read_from_stripe
from api.application.repository import CommandContext
from domain.accounts.events import AccountClosed, ClosingFinished
from domain.codec import decode
from domain.events import Actor, Event
from domain.ids import PaymentId
from domain.money import ZERO
from domain.payments.payment import payment_ref
from domain.tokens.events import TokenRevoked
from domain.wallet.wallet import Wallet, wallet_ref
from tests.api.houses import PASSWORD, Customer, House, house
from tests.databases import Databases

pytestmark = pytest.mark.anyio


@pytest.fixture
async def still(databases: Databases) -> AsyncIterator[House]:
    """A service whose clock stands still."""
    async with house(databases, clock=ManualClock()) as made:
        yield made


async def leave(customer: Customer, password: str = PASSWORD) -> tuple[int, dict[str, object]]:
    answer = await customer.ask("DELETE", "/api/me", json={"password": password})
    return answer.status_code, answer.json()


async def pay(customer: Customer, usd: int) -> None:
    """Pay at a Checkout, and have it seen."""
    payment_id, session_id = await open_checkout(customer, usd)
    customer.house.stripe.dashboard.pay(session_id)
    await see(customer, payment_id, session_id)


async def open_checkout(customer: Customer, usd: int) -> tuple[PaymentId, str]:
    asked = await customer.ask("POST", "/api/billing/add-funds", json={"amount": usd})
    assert asked.status_code == 200, asked.text
    payments = customer.house.runtime.payments
    (payment_id,) = await payments.open_payments.open_payments(customer.id)
    payment = (await payments.aggregates.load(payment_ref(payment_id))).of(payment_ref(payment_id))
    assert payment is not None
    assert payment.session_id is not None
    return payment_id, payment.session_id


async def see(customer: Customer, payment_id: PaymentId, session_id: str) -> None:
    payments = customer.house.runtime.payments
    seen = await read_from_stripe(payments, session_id)
    assert seen is not None
    await apply_payment(payments, customer.id, payment_id, seen)


async def wallet_of(customer: Customer) -> Wallet:
    ref = wallet_ref(customer.id)
    return (await customer.house.runtime.aggregates.load(ref)).of(ref)


async def recorded(customer: Customer, *kinds: type[Event]) -> list[Event]:
    events = [decode(one) for one in await customer.house.runtime.store.read_feed(0, 100_000)]
    return [event for event in events if isinstance(event, kinds)]


async def test_a_wrong_password_closes_nothing(still: House) -> None:
    ann = await still.register("ann@example.com")

    status, told = await leave(ann, "not this one")

    assert (status, told["code"]) == (403, "wrong_password")
    assert (await ann.ask("GET", "/api/me")).status_code == 200


async def test_the_password_is_required(still: House) -> None:
    ann = await still.register("ann@example.com")

    assert (await ann.ask("DELETE", "/api/me", json={})).json()["fields"] == {"password": "required"}
    assert (await ann.ask("DELETE", "/api/me")).status_code in (400, 415)
    assert (await ann.ask("GET", "/api/me")).status_code == 200


async def test_what_was_paid_in_goes_back_in_whole_cents_and_what_was_given_does_not(still: House) -> None:
    ann = await still.register("ann@example.com")
    await pay(ann, 10)
    await ann.credit(2_500_001)

    status, told = await leave(ann)

    assert (status, told) == (200, {"refunded": 10, "forfeited": 2.500001})
    wallet = await wallet_of(ann)
    assert (wallet.balance, wallet.refundable, wallet.closed) == (2_500_001, 0, True)
    assert await recorded(ann, ClosingFinished) != []


async def test_a_closed_account_is_nobody_any_more(still: House) -> None:
    ann = await still.register("ann@example.com")
    made = await ann.ask("POST", "/api/tokens", json={"name": "ci"})
    token = Customer(still, ann.id, ann.email, made.json()["token"])
    assert (await token.ask("GET", "/api/vps")).status_code == 200

    assert (await leave(ann))[0] == 200
    assert len(await recorded(ann, TokenRevoked)) == 1

    body = {"email": "ann@example.com", "password": PASSWORD}
    nobody = await still.client.post("/api/auth/login", json={**body, "email": "nobody@example.com"})
    login = await still.client.post("/api/auth/login", json=body)
    assert (login.status_code, login.json()) == (nobody.status_code, nobody.json()) == (401, login.json())
    assert (await ann.ask("GET", "/api/me")).status_code == 401
    assert (await token.ask("GET", "/api/vps")).status_code == 401
    assert (await leave(ann))[0] == 401
    again = await still.client.post("/api/auth/register", json={**body, "cf-turnstile-response": TEST_TOKEN})
    assert again.status_code == 201
    assert UUID(again.json()["id"]) != ann.id


async def test_a_token_closes_no_account(still: House) -> None:
    ann = await still.register("ann@example.com")
    made = await ann.ask("POST", "/api/tokens", json={"name": "ci"})
    token = Customer(still, ann.id, ann.email, made.json()["token"])

    assert (await leave(token))[0] == 403


async def test_its_vpss_are_deleted_and_their_minutes_paid_before_the_rest_goes_back(databases: Databases) -> None:
    async with house(databases) as here:
        ann = await here.register("ann@example.com")
        await pay(ann, 5)
        async with here.working():
            body = {"name": "a", "plan_id": await here.nano()}
            vps_id = (await ann.ask("POST", "/api/vps", json=body)).json()["id"]
            await ann.until(vps_id, "running")

            status, told = await leave(ann)
            assert (status, told) == (202, {"refunded": 4.99, "forfeited": 0.00993})
            assert await recorded(ann, ClosingFinished) == []
            for _ in range(500):
                if (await wallet_of(ann)).meters == {}:
                    break
                await asyncio.sleep(0.01)
            assert await finish_closings(here.runtime) == 1

        assert here.host.guests == {}
        # 5 USD less the one minute that it ran for: 4.99993, of which a cent is the least that goes back.
        assert (await wallet_of(ann)).balance == 5_000_000 - 70 - 4_990_000
        assert await finish_closings(here.runtime) == 0
        assert len(await recorded(ann, AccountClosed)) == 1


async def test_nobody_can_pay_at_a_checkout_that_was_open(still: House) -> None:
    ann = await still.register("ann@example.com")
    _, session_id = await open_checkout(ann, 10)

    assert (await leave(ann))[0] == 200

    seen = await read_from_stripe(still.runtime.payments, session_id)
    assert seen is not None
    assert seen.state == "expired"


async def test_a_payment_that_came_too_late_goes_back_too(still: House) -> None:
    ann = await still.register("ann@example.com")
    payment_id, session_id = await open_checkout(ann, 10)
    still.stripe.dashboard.pay(session_id)
    assert await leave(ann) == (200, {"refunded": 0, "forfeited": 0})

    await see(ann, payment_id, session_id)
    assert (await wallet_of(ann)).balance == 10_000_000
    assert await finish_closings(still.runtime) == 1

    assert (await wallet_of(ann)).balance == 0


@pytest.mark.parametrize("moment", [(refunding, "ask_in_time"), (closing, "_more_to_go_back")])
async def test_a_payment_that_comes_in_while_the_rest_goes_back_goes_back_too(
    still: House, moment: tuple[ModuleType, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await still.register("ann@example.com")
    await pay(ann, 10)
    payment_id, session_id = await open_checkout(ann, 20)
    still.stripe.dashboard.pay(session_id)
    module, name = moment
    was = getattr(module, name)

    async def told_meanwhile(*given: Any) -> Any:
        answer = await was(*given)
        await see(ann, payment_id, session_id)
        return answer

    monkeypatch.setattr(module, name, told_meanwhile)
    assert await leave(ann) == (202, {"refunded": 30, "forfeited": 0})
    monkeypatch.undo()
    assert await finish_closings(still.runtime) == 1

    assert (await wallet_of(ann)).balance == 0
    assert await recorded(ann, ClosingFinished) == [ClosingFinished(ann.id, ZERO, at=still.runtime.clock.now())]


async def test_what_comes_back_by_a_dispute_that_was_won_later_goes_back_with_what_it_held_up(still: House) -> None:
    ann = await still.register("ann@example.com")
    payment_id, session_id = await open_checkout(ann, 10)
    still.stripe.dashboard.pay(session_id)
    dispute = still.stripe.dashboard.open_dispute(session_id, 400)
    await see(ann, payment_id, session_id)
    assert await leave(ann) == (200, {"refunded": 0, "forfeited": 6})

    still.stripe.dashboard.win_dispute(dispute["id"])
    await see(ann, payment_id, session_id)
    assert await finish_closings(still.runtime) == 1

    assert (await wallet_of(ann)).balance == 0


async def test_a_refund_that_is_refused_is_not_told_as_refunded_nor_asked_for_again(still: House) -> None:
    ann = await still.register("ann@example.com")
    await pay(ann, 10)
    still.stripe.dashboard.next_refunds("refused")

    assert await leave(ann) == (200, {"refunded": 0, "forfeited": 10})
    assert await finish_closings(still.runtime) == 0


async def test_what_went_back_is_told_whoever_looks_for_closings_meanwhile(
    still: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await still.register("ann@example.com")
    await pay(ann, 10)
    was = closing.carry_on

    async def look_first(*given: Any) -> Any:
        monkeypatch.undo()
        await finish_closings(still.runtime)
        return await was(*given)

    monkeypatch.setattr(closing, "carry_on", look_first)

    assert await leave(ann) == (200, {"refunded": 10, "forfeited": 0})
    assert len(await recorded(ann, ClosingFinished)) == 1


async def test_however_many_cannot_be_finished_the_next_one_is(still: House) -> None:
    accounts = [await still.register() for _ in range(5)]
    for account in accounts:
        context = CommandContext(actor=Actor("account", account.id), account_id=account.id, step="close")
        await close_account(still.runtime, account.id, account.email, context)
    for account_id in sorted(account.id for account in accounts)[:4]:
        assert await still.runtime.worker.leases.take(closing.LEASE_SCOPE, account_id, 60.0) == 0

    assert await finish_closings(still.runtime) == 1


async def test_what_the_request_left_undone_is_finished_by_whoever_comes_after(still: House) -> None:
    ann = await still.register("ann@example.com")
    await pay(ann, 10)
    context = CommandContext(actor=Actor("account", ann.id), account_id=ann.id, step="close")
    made = await ann.ask("POST", "/api/tokens", json={"name": "ci"})
    token = Customer(still, ann.id, ann.email, made.json()["token"])
    assert (await token.ask("GET", "/api/vps")).status_code == 200
    await close_account(still.runtime, ann.id, ann.email, context)
    for credential in (ann, token):
        assert (await credential.ask("GET", "/api/vps")).status_code == 401

    finished = await asyncio.gather(*(finish_closings(still.runtime) for _ in range(4)))

    assert sum(finished) == 1
    assert (await wallet_of(ann)).balance == 0
    assert len(await recorded(ann, ClosingFinished)) == 1
