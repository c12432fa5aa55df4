"""What operators put right: corrections of earlier events, once each, and debts that are given up."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

import api.application.operators
from api.application.operators import OPERATOR, Corrected, Correction, correct, credit, write_off
from api.application.repository import CommandContext
from domain.codec import decode, decode_metadata
from domain.deciding import recorded_in
from domain.errors import Invalid, NotFound
from domain.events import Event
from domain.ids import AccountId, EventId, PaymentId, VpsId
from domain.money import MicroUsd
from domain.wallet.events import (
    DebtWrittenOff,
    FundsCorrected,
    FundsCredited,
    FundsTaken,
    MinutesMetered,
    VpsAdmitted,
)
from domain.wallet.funds import InsufficientBalance
from domain.wallet.paid_in import NothingOwed
from domain.wallet.wallet import Wallet, wallet_ref
from tests.api.houses import Customer, House, house
from tests.databases import Databases
from tests.domain.books.test_postings import line
from tests.domain.wallet.wallets import SMALL, T0

pytestmark = pytest.mark.anyio


@pytest.fixture
async def here(databases: Databases) -> AsyncIterator[House]:
    """A service over a fresh database."""
    async with house(databases) as made:
        yield made


@pytest.fixture
async def ann(here: House) -> Customer:
    """A customer with 10 USD that were given."""
    customer = await here.register("ann@example.com")
    await credit(here.runtime, customer.id, MicroUsd(10_000_000), "welcome")
    return customer


async def record(customer: Customer, *events: Event) -> tuple[EventId, ...]:
    """Record events in a customer's wallet; return their ids."""
    ref = wallet_ref(customer.id)
    outcome = await customer.house.runtime.aggregates.execute(
        [ref], lambda _loaded, _now: recorded_in(ref.stream, *events), CommandContext(OPERATOR, customer.id)
    )
    return outcome.event_ids


async def wallet_of(customer: Customer) -> Wallet:
    ref = wallet_ref(customer.id)
    return (await customer.house.runtime.aggregates.load(ref)).of(ref)


async def find(here: House, kind: type[Event]) -> list[tuple[EventId, EventId | None, Event]]:
    """Return the events of one kind: id, cause, event."""
    feed = await here.runtime.store.read_feed(0, 1_000)
    told = [(decode_metadata(one), decode(one)) for one in feed]
    return [(metadata.id, metadata.cause, event) for metadata, event in told if isinstance(event, kind)]


async def charge(customer: Customer, amount: int) -> EventId:
    """Have a minute of a VPS charged; return the event's id."""
    vps_id = VpsId(uuid4())
    admitted = VpsAdmitted(customer.id, vps_id, 1, SMALL, None, T0)
    metered = MinutesMetered(customer.id, (line(amount, vps=vps_id),))
    return (await record(customer, admitted, metered))[1]


def putting_right(corrects: EventId, amount: int, correction_id: UUID | None = None) -> Correction:
    return Correction(correction_id or uuid4(), corrects, MicroUsd(amount), "the guest had no network")


async def test_minutes_that_were_charged_in_error_are_given_back(here: House, ann: Customer) -> None:
    charged = await charge(ann, 210)

    outcome = await correct(here.runtime, ann.id, putting_right(charged, 210))

    assert outcome == Corrected(MicroUsd(10_000_000), applied=True)
    [(_, cause, event)] = await find(here, FundsCorrected)
    assert isinstance(event, FundsCorrected)
    assert (event.corrects, event.contra, cause) == (charged, "minutes", charged)
    assert event.reason != "the guest had no network", "a reason is sealed"


async def test_a_credit_that_was_a_mistake_is_taken_back(here: House, ann: Customer) -> None:
    [(credited, _, _)] = await find(here, FundsCredited)

    assert (await correct(here.runtime, ann.id, putting_right(credited, -4_000_000))).balance == 6_000_000


async def test_a_correction_that_is_typed_again_puts_nothing_right_twice(here: House, ann: Customer) -> None:
    correction = putting_right(await charge(ann, 210), 100)
    first = await correct(here.runtime, ann.id, correction)

    again = await correct(here.runtime, ann.id, correction)

    assert (again.balance, again.applied) == (first.balance, False)
    assert len(await find(here, FundsCorrected)) == 1


async def test_a_correction_that_is_typed_by_many_at_once_is_recorded_once(here: House, ann: Customer) -> None:
    correction = putting_right(await charge(ann, 2_100), 100)

    outcomes = await asyncio.gather(*(correct(here.runtime, ann.id, correction) for _ in range(5)))

    assert [outcome.applied for outcome in outcomes].count(True) == 1
    assert {outcome.balance for outcome in outcomes} == {9_998_000}


async def test_an_id_of_a_correction_of_another_account_is_refused(here: House, ann: Customer) -> None:
    bob = await here.register()
    await credit(here.runtime, bob.id, MicroUsd(10_000_000), "welcome")
    correction = putting_right(await charge(ann, 210), 210)
    await correct(here.runtime, ann.id, correction)

    with pytest.raises(Invalid) as refused:
        await correct(here.runtime, bob.id, correction)

    assert refused.value.facts == {"fields": {"id": "is that of a correction of another account"}}


async def test_an_event_of_another_wallet_cannot_be_put_right_in_this_one(here: House, ann: Customer) -> None:
    bob = await here.register()
    charged = await charge(ann, 210)

    for corrects in (charged, EventId(uuid4())):
        with pytest.raises(NotFound):
            await correct(here.runtime, bob.id, putting_right(corrects, 210))


async def test_an_old_event_is_found_behind_many(here: House, ann: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.application.operators, "LOOKED_THROUGH_AT_ONCE", 3)
    charged = await charge(ann, 210)
    for _ in range(10):
        await charge(ann, 1)

    assert (await correct(here.runtime, ann.id, putting_right(charged, 210))).balance == 9_999_990


async def test_more_than_the_event_did_is_not_put_right_and_leaves_the_id_free(here: House, ann: Customer) -> None:
    charged, correction_id = await charge(ann, 210), uuid4()

    with pytest.raises(Invalid):
        await correct(here.runtime, ann.id, putting_right(charged, 211, correction_id))

    assert (await correct(here.runtime, ann.id, putting_right(charged, 210, correction_id))).applied


async def test_a_gift_that_is_spent_is_not_taken_from_nothing(here: House, ann: Customer) -> None:
    [(credited, _, _)] = await find(here, FundsCredited)
    await charge(ann, 1)

    with pytest.raises(InsufficientBalance):
        await correct(here.runtime, ann.id, putting_right(credited, -10_000_000))


async def test_a_debt_that_is_given_up_freezes_no_longer(here: House, ann: Customer) -> None:
    payment_id, nothing = PaymentId(uuid4()), MicroUsd(0)
    await record(ann, FundsTaken(ann.id, payment_id, "dispute", "dp_1", MicroUsd(10_000_000), MicroUsd(7), nothing))
    assert (await wallet_of(ann)).frozen

    assert await write_off(here.runtime, ann.id, "not worth a letter") == 7

    assert not (await wallet_of(ann)).frozen
    assert len(await find(here, DebtWrittenOff)) == 1
    with pytest.raises(NothingOwed):
        await write_off(here.runtime, AccountId(ann.id), "again")
