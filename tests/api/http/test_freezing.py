"""An account that owes something is frozen with everything of it that is on, whatever happens meanwhile."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest

from api.application.payments.applying import apply_payment
from api.application.repository import AggregateRepository, Loaded
from domain.compute.events import VpsStopRequested
from domain.compute.vps import vps_ref
from domain.deciding import AggregateRef
from domain.ids import PaymentId, VpsId
from domain.wallet.wallet import wallet_ref
from tests.api.houses import Customer, House
from tests.api.http.funds import asked, paid, recorded, spend, tell_all

pytestmark = pytest.mark.anyio


class Interrupted:
    """A ledger: right after its first read, something happens that whoever read does not know of."""

    def __init__(self, aggregates: AggregateRepository, happens: Callable[[], Awaitable[object]]) -> None:
        self._aggregates = aggregates
        self._happens: Callable[[], Awaitable[object]] | None = happens

    async def load(self, *refs: AggregateRef[Any]) -> Loaded:
        loaded = await self._aggregates.load(*refs)
        happens, self._happens = self._happens, None
        if happens is not None:
            await happens()
        return loaded

    async def execute(self, *arguments: Any) -> Any:
        return await self._aggregates.execute(*arguments)


async def made(house: House, customer: Customer, name: str) -> VpsId:
    answer = await customer.ask("POST", "/api/vps", json={"name": name, "plan_id": await house.nano()})
    assert answer.status_code == 201, answer.text
    return VpsId(UUID(answer.json()["id"]))


async def test_a_vps_that_was_switched_on_while_stripe_was_asked_is_stopped_with_the_others(
    here: House, bob: Customer
) -> None:
    session = await paid(here, bob)
    first = await made(here, bob, "first")
    await spend(here, bob, str(first), 9_000_000)
    here.stripe.dashboard.open_dispute(session)
    payments = here.runtime.payments
    seen = await payments.gateway.find_payment(session)
    assert seen is not None
    aggregates: Any = Interrupted(here.runtime.aggregates, lambda: made(here, bob, "second"))
    interrupted = msgspec.structs.replace(payments, aggregates=aggregates)
    await apply_payment(interrupted, bob.id, PaymentId(UUID(seen.payment_reference)), seen)

    wallet = wallet_ref(bob.id)
    after = (await here.runtime.aggregates.load(wallet)).of(wallet)
    assert after.frozen
    assert len(after.meters) == 2
    assert not list(after.meters_on())
    for vps_id in after.meters:
        ref = vps_ref(vps_id)
        vps = (await here.runtime.aggregates.load(ref)).of(ref)
        assert vps is not None
        assert (vps.pending, vps.stop_reason) == ("stop", "frozen")


async def test_an_account_whose_debt_another_process_has_recorded_is_frozen_once(here: House, bob: Customer) -> None:
    session = await paid(here, bob)
    first = await made(here, bob, "first")
    await spend(here, bob, str(first), 9_000_000)
    here.stripe.dashboard.open_dispute(session)
    await tell_all(here)
    await tell_all(here)

    assert len(await recorded(here, VpsStopRequested)) == 1


async def test_a_frozen_account_can_pay(here: House, bob: Customer) -> None:
    session = await paid(here, bob)
    first = await made(here, bob, "first")
    await spend(here, bob, str(first), 9_000_000)
    here.stripe.dashboard.open_dispute(session)
    await tell_all(here)

    assert await asked(bob, 10)


async def test_a_customer_who_owes_is_told_so_with_the_balance_and_by_a_quote(here: House, bob: Customer) -> None:
    session = await paid(here, bob)
    first = await made(here, bob, "first")
    clear = (await bob.ask("GET", "/api/billing/balance")).json()
    await spend(here, bob, str(first), 9_000_050)
    here.stripe.dashboard.open_dispute(session)
    payments = here.runtime.payments
    seen = await payments.gateway.find_payment(session)
    assert seen is not None
    await apply_payment(payments, bob.id, PaymentId(UUID(seen.payment_reference)), seen)
    told = (await bob.ask("GET", "/api/billing/balance")).json()
    wanted = {"name": "second", "plan_id": await here.nano()}
    quote = (await bob.ask("POST", "/api/vps", params={"dry_run": "true"}, json=wanted)).json()

    assert (clear["owed"], clear["owed_micros"], clear["frozen"]) == (0, 0, False)
    owed = told["owed_micros"]
    assert owed % 100 != 0
    assert (told["balance"], told["frozen"], round(told["owed"] * 10_000)) == (0, True, owed // 100 + 1)
    assert (quote["code"], quote["owed"]) == ("account_frozen", owed / 1_000_000)
    await bob.credit(owed)
    debtless = (await bob.ask("GET", "/api/billing/balance")).json()
    assert (debtless["owed_micros"], debtless["frozen"]) == (0, False)
    await bob.credit(round(quote["shortfall"] * 1_000_000) - owed)
    assert (await bob.ask("POST", "/api/vps", json=wanted)).status_code == 201
