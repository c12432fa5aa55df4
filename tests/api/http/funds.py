"""Customers who pay at what stands in for Stripe, which tells of it when a test says so."""

from typing import Any
from uuid import UUID

import httpx

from api.application.repository import CommandContext
from domain.codec import decode
from domain.deciding import recorded_in
from domain.events import Actor, Event
from domain.ids import PlanId, VpsId
from domain.money import MicroUsd
from domain.wallet.events import MinuteLine, MinutesMetered
from domain.wallet.wallet import wallet_ref
from tests.api.houses import Customer, House

WEBHOOK = "/api/billing/webhook"
KEY = {"idempotency-key": "one"}


async def asked(customer: Customer, amount: float | str = 10, **headers: str) -> str:
    """Return the session that somebody is sent to."""
    answer = await customer.ask("POST", "/api/billing/add-funds", headers or None, json={"amount": amount})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["url"].rpartition("/")[2])


async def paid(house: House, customer: Customer, amount: float = 10) -> str:
    """Have somebody pay, and Stripe tell of it."""
    session = await asked(customer, amount)
    house.stripe.dashboard.pay(session)
    await tell_all(house)
    return session


async def tell_all(house: House) -> list[dict[str, Any]]:
    """Deliver everything that Stripe has to tell."""
    told = house.stripe.events()
    for event in told:
        answer = await tell(house, event)
        assert answer.status_code == 200, answer.text
    return told


async def tell(house: House, event: dict[str, Any], **more: Any) -> httpx.Response:
    raw, signature = house.stripe.signed(event, **more)
    return await house.client.post(WEBHOOK, content=raw, headers={"stripe-signature": signature})


async def recorded(house: House, *kinds: type[Event]) -> list[Any]:
    feed = await house.runtime.store.read_feed(0, 1_000_000)
    return [event for event in map(decode, feed) if isinstance(event, kinds)]


async def balance(customer: Customer) -> int:
    micros: int = (await customer.ask("GET", "/api/me")).json()["balance_micros"]
    return micros


async def forget_pauses(house: House) -> None:
    """Have nothing be left alone any longer."""
    await house.sql("DELETE FROM work.lease")


async def spend(house: House, customer: Customer, vps_id: str, micros: int) -> None:
    """Have minutes of a VPS cost so much."""
    ref = wallet_ref(customer.id)
    plan = PlanId(UUID(await house.nano()))
    now = house.runtime.clock.now()
    line = MinuteLine(VpsId(UUID(vps_id)), 1, 60, now, plan, 1, MicroUsd(micros), MicroUsd(micros))
    await house.runtime.aggregates.execute(
        [ref],
        lambda _loaded, _now: recorded_in(ref.stream, MinutesMetered(customer.id, (line,))),
        CommandContext(actor=Actor("service", part="test"), account_id=customer.id),
    )


def as_json(text: str) -> dict[str, Any]:
    """Return a body of JSON as it stands."""
    return {"content": text, "headers": {"content-type": "application/json"}}
