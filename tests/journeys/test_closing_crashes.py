"""The service dies while an account is being closed, and whoever comes after closes it, once."""

from contextlib import suppress
from uuid import UUID

import msgspec
import pytest

from adapters.simulated.clock import ManualClock
from adapters.simulated.faults import SimulatedCrash
from api.application import fail_points as failpoints
from api.application.closing import carry_on, close_account, finish_closings
from api.application.repository import AggregateRepository, CommandContext
from api.application.runtime import Runtime
from domain.accounts.account import EMAIL_CLAIM
from domain.accounts.events import AccountClosed, ClosingFinished
from domain.codec import decode
from domain.compute.events import VpsDeleteRequested
from domain.compute.vps import vps_ref
from domain.events import Actor, Event
from domain.ids import VpsId
from domain.payments.events import RefundRequested
from domain.wallet.wallet import wallet_ref
from tests.api.houses import Customer, House, house
from tests.api.http.test_closing import leave, pay
from tests.databases import Databases

pytestmark = pytest.mark.anyio

ON_THE_WAY = (
    *failpoints.ALL_OF_CLOSING,
    *("delete:before-append", "delete:after-append", "refund:before-append", "refund:after-append"),
    *("refund-open:before-stripe", "refund-open:after-stripe"),
)


def another_process(here: House) -> Runtime:
    """Return what a process over the same store has that has just started."""
    runtime = here.runtime
    aggregates = AggregateRepository(runtime.store, runtime.sealer, runtime.clock, runtime.ids)
    return msgspec.structs.replace(runtime, aggregates=aggregates)


async def recorded(here: House, *kinds: type[Event]) -> list[Event]:
    events = [decode(one) for one in await here.runtime.store.read_feed(0, 100_000)]
    return [event for event in events if isinstance(event, kinds)]


async def ask_to_close(runtime: Runtime, customer: Customer) -> None:
    """Do what the request does."""
    context = CommandContext(actor=Actor("account", customer.id), account_id=customer.id, step="close")
    await close_account(runtime, customer.id, customer.email, context)
    await carry_on(runtime, customer.id)


@pytest.mark.parametrize("name", ON_THE_WAY)
async def test_after_a_crash_here_the_account_is_closed_once(databases: Databases, name: str) -> None:
    crashes = 0

    def crash() -> None:
        nonlocal crashes
        crashes += 1
        raise SimulatedCrash

    async with house(databases, clock=ManualClock()) as here:
        ann = await here.register("ann@example.com")
        await pay(ann, 10)
        made = await ann.ask("POST", "/api/vps", json={"name": "web", "plan_id": await here.nano()})
        vps_id = VpsId(UUID(made.json()["id"]))
        with failpoints.armed(name, crash), suppress(SimulatedCrash):
            await ask_to_close(another_process(here), ann)
        assert crashes == 1, "never came to this fail point"

        later = another_process(here)
        if name == "close:before-append":
            assert await finish_closings(later) == 0
            assert await leave(ann) == (200, {"refunded": 10, "forfeited": 0})
        else:
            assert (await ann.ask("GET", "/api/me")).status_code == 401
            assert await finish_closings(later) == (0 if name == "closing:after-append" else 1)

        loaded = await later.aggregates.load(wallet_ref(ann.id), vps_ref(vps_id))
        wallet, vps = loaded.of(wallet_ref(ann.id)), loaded.of(vps_ref(vps_id))
        assert (wallet.balance, wallet.meters) == (0, {})
        assert vps is not None
        assert vps.gone
        refunds = [one.amount for one in await recorded(here, RefundRequested) if isinstance(one, RefundRequested)]
        assert refunds == [10_000_000]
        for kind in (AccountClosed, ClosingFinished, VpsDeleteRequested):
            assert len(await recorded(here, kind)) == 1
        email_key = later.sealer.keyed_hash(EMAIL_CLAIM, ann.email)
        assert await later.store.find_claim(EMAIL_CLAIM, email_key) is None


async def test_a_vps_that_is_asked_for_while_the_account_closes_is_refused(databases: Databases) -> None:
    async with house(databases, clock=ManualClock()) as here:
        ann = await here.register("ann@example.com")
        await ann.credit(10_000_000)
        body = {"name": "web", "plan_id": await here.nano()}
        late: list[int] = []

        class ClosesFirst:
            """The store, at which the closing comes in between the request's reading and its append."""

            def __getattr__(self, attribute: str) -> object:
                return getattr(here.runtime.store, attribute)

            async def append(self, append):  # type: ignore[no-untyped-def]
                if not late:
                    late.append(1)
                    await ask_to_close(another_process(here), ann)
                return await here.runtime.store.append(append)

        aggregates = here.runtime.aggregates
        aggregates._store = ClosesFirst()  # type: ignore[assignment]
        refused = await ann.ask("POST", "/api/vps", json=body)

        assert late == [1]
        assert refused.status_code == 401
        assert await recorded(here, ClosingFinished) != []
        loaded = await another_process(here).aggregates.load(wallet_ref(ann.id))
        assert loaded.of(wallet_ref(ann.id)).meters == {}
