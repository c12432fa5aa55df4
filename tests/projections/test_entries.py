"""Tests of what the entries say: every movement of a balance, the minutes by the hour, and any instant of it."""

from itertools import pairwise
from uuid import uuid4

import pytest

from adapters.memory.event_store import MemoryEventStore
from adapters.simulated.clock import ManualClock
from domain.ids import AccountId, EventId, PaymentId, PlanId, VpsId, wallet_stream
from domain.money import MicroUsd, charge_for_minutes
from domain.statements.month import Month
from domain.statements.statement import Minutes
from domain.time import HOUR, MINUTE, Instant
from domain.wallet.events import (
    BadDebtRecovered,
    DebtWrittenOff,
    FundsAdded,
    FundsCorrected,
    FundsReturned,
    FundsTaken,
    MinuteLine,
    MinutesMetered,
    MinutesWaived,
    ReceivablePaid,
    WaiveCause,
)
from projections.entries import ENTRIES, balance_at, entries_of
from projections.reading import ReadModels
from projections.statements import minutes_of_month
from tests.projections.history import HOURLY, PLAN, History
from tests.sealed_text import opened

pytestmark = pytest.mark.anyio

ALWAYS = Instant(4_000_000_000_000_000)


@pytest.fixture
def history() -> History:
    """Return a history that is recorded by its own clock."""
    clock = ManualClock()
    made = History(MemoryEventStore(clock))
    made.clock = clock
    return made


def line(vps_id: VpsId, n_from: int, n_to: int, at: Instant, plan: PlanId = PLAN) -> MinuteLine:
    return MinuteLine(vps_id, n_from, n_to, at, plan, 1, HOURLY, charge_for_minutes(HOURLY, n_from, n_to))


async def metered(history: History, account_id: AccountId, *lines: MinuteLine, waived: WaiveCause | None = None) -> int:
    event = MinutesWaived(account_id, waived, lines) if waived else MinutesMetered(account_id, lines)
    return (await history.record(account_id, (wallet_stream(account_id), event))).recorded_at


async def rows_of(followed: ReadModels, history: History, query: str) -> list[tuple[object, ...]]:
    async with followed.at(await history.store.head(), ENTRIES) as connection:
        return await (await connection.execute(query.encode())).fetchall()


async def test_every_movement_is_an_entry_with_the_balance_that_it_left(history: History, followed: ReadModels) -> None:
    ada = await history.registered(micros=1_000)
    wallet, payment = wallet_stream(ada), PaymentId(uuid4())
    credit = (await history.store.read_streams([(wallet, 0)]))[-1]
    for event in (
        FundsAdded(ada, payment, MicroUsd(5_000_000)),
        FundsCorrected(ada, uuid4(), EventId(uuid4()), "goodwill", MicroUsd(-400), "a mistake"),
        FundsTaken(ada, payment, "refund", "re", MicroUsd(2_000_000), MicroUsd(0), MicroUsd(0)),
        FundsReturned(ada, payment, "refund-failed", "re", MicroUsd(2_000_000), MicroUsd(0)),
        FundsTaken(ada, payment, "dispute", "dp", MicroUsd(5_000_600), MicroUsd(700), MicroUsd(5)),
        DebtWrittenOff(ada, MicroUsd(300), "uncollectable"),
        FundsReturned(ada, payment, "dispute-won", "dp", MicroUsd(5_001_300), MicroUsd(5)),
        ReceivablePaid(ada, MicroUsd(400)),
        BadDebtRecovered(ada, MicroUsd(300)),
    ):
        await history.record(ada, (wallet, event))
    async with followed.at(await history.store.head(), ENTRIES) as connection:
        entries = await entries_of(connection, ada, Instant(0), ALWAYS)

    assert [(one.kind, one.amount, one.balance_after, one.owed) for one in entries] == [
        ("credit", 1_000, 1_000, 0),
        ("payment", 5_000_000, 5_001_000, 0),
        ("correction", -400, 5_000_600, 0),
        ("refund", -2_000_000, 3_000_600, 0),
        ("refund_returned", 2_000_000, 5_000_600, 0),
        ("dispute", -5_000_600, 0, 700),
        ("debt_written_off", 0, 0, -300),
        ("dispute_returned", 5_001_300, 5_001_300, 0),
        ("debt_paid", -400, 5_000_900, -400),
        ("bad_debt_recovered", -300, 5_000_600, 0),
    ]
    assert (entries[0].position, entries[0].version) == (credit.position, credit.version)
    assert {one.payment_id for one in entries[1:2] + entries[3:6]} == {payment}
    assert [opened(history.sealer, one.reason) for one in entries if one.reason] == [
        "a gift",
        "a mistake",
        "uncollectable",
    ]


async def test_the_balance_at_an_instant_is_that_of_the_last_event_recorded_by_then(
    history: History, followed: ReadModels
) -> None:
    ada, bob = await history.registered(), await history.registered(micros=7)
    told = [(0, 0)]
    for amount in (100, 50, 3):
        history.clock.advance(1)
        added = FundsAdded(ada, PaymentId(uuid4()), MicroUsd(amount))
        recorded = await history.record(ada, (wallet_stream(ada), added))
        told.append((recorded.recorded_at, told[-1][1] + amount))
    async with followed.at(await history.store.head(), ENTRIES) as connection:
        for at, balance in told:
            assert await balance_at(connection, ada, Instant(at)) == balance
        for (_, balance), (at, _) in pairwise(told):
            assert await balance_at(connection, ada, Instant(at - 1)) == balance
        assert await balance_at(connection, bob, ALWAYS) == 7


async def test_of_events_recorded_at_one_instant_the_last_tells_the_balance(
    history: History, followed: ReadModels
) -> None:
    ada = await history.registered()
    events = [FundsAdded(ada, PaymentId(uuid4()), MicroUsd(amount)) for amount in (100, 50)]
    recorded = await history.record(ada, *((wallet_stream(ada), event) for event in events))
    async with followed.at(await history.store.head(), ENTRIES) as connection:
        assert await balance_at(connection, ada, recorded.recorded_at) == 150


async def test_minutes_are_a_row_an_hour_a_vps(history: History, followed: ReadModels) -> None:
    ada = await history.registered(micros=1_000_000)
    web, mail = VpsId(uuid4()), VpsId(uuid4())
    begins = Instant(472_222 * HOUR + 58 * MINUTE)
    for minute in range(4):
        at = Instant(begins + minute * MINUTE)
        await metered(history, ada, line(web, minute + 1, minute + 1, at), line(mail, minute + 1, minute + 1, at))
    rows = await rows_of(
        followed,
        history,
        "SELECT vps_id, hour - 472222, n_from, n_to, minutes, amount, balance_after FROM charge"
        " ORDER BY first_position, place",
    )

    assert rows == [
        (web, 0, 1, 2, 2, 140, 1_000_000 - 280),
        (mail, 0, 1, 2, 2, 140, 1_000_000 - 280),
        (web, 1, 3, 4, 2, 140, 1_000_000 - 560),
        (mail, 1, 3, 4, 2, 140, 1_000_000 - 560),
    ]


async def test_a_line_of_many_hours_is_split_at_each_of_them_to_the_micro_dollar(
    history: History, followed: ReadModels
) -> None:
    ada, web = await history.registered(micros=1_000_000), VpsId(uuid4())
    await metered(history, ada, line(web, 1, 200, Instant(472_222 * HOUR + 1)))
    rows = await rows_of(followed, history, "SELECT hour - 472222, n_from, n_to, amount, last_at FROM charge")

    assert [row[:4] for row in rows] == [
        (0, 1, 60, 4_200),
        (1, 61, 120, 4_200),
        (2, 121, 180, 4_200),
        (3, 181, 200, 1_400),
    ]
    assert rows[0][4] == 472_222 * HOUR + 1 + 59 * MINUTE


async def test_waived_minutes_are_rows_of_their_own_and_take_nothing(history: History, followed: ReadModels) -> None:
    ada, web, at = await history.registered(micros=140), VpsId(uuid4()), Instant(472_222 * HOUR)
    await metered(history, ada, line(web, 1, 2, at))
    await metered(history, ada, line(web, 3, 3, Instant(at + 2 * MINUTE)), waived="unpaid")
    rows = await rows_of(followed, history, "SELECT cause, n_from, n_to, amount, balance_after FROM charge")
    entries = await rows_of(
        followed, history, "SELECT kind, amount, balance_after, minutes FROM entry ORDER BY position"
    )

    assert rows == [("paid", 1, 2, 140, 0), ("unpaid", 3, 3, 70, 0)]
    assert entries == [("credit", 140, 140, 0), ("minutes", -140, 0, 2), ("waived", 0, 0, 1)]


async def test_what_was_recorded_in_a_month_is_told_exactly_whenever_it_began(
    history: History, followed: ReadModels
) -> None:
    ada, web = await history.registered(micros=1_000_000), VpsId(uuid4())
    december = Instant(1_701_388_800_000_000)  # 2023-12-01
    history.clock.advance((december - history.clock.now()) / 1_000_000 - 30)
    at = Instant(december - MINUTE)  # Both minutes begin within one hour of November …
    await metered(history, ada, line(web, 1, 1, Instant(at - MINUTE)))
    history.clock.advance(60)
    await metered(history, ada, line(web, 2, 2, at))  # … of which the second is recorded in December.
    async with followed.at(await history.store.head(), ENTRIES) as connection:
        before = await minutes_of_month(connection, ada, Month(2023, 11))
        after = await minutes_of_month(connection, ada, Month(2023, 12))
        opening = await balance_at(connection, ada, Instant(december - 1))

    assert before == (Minutes(web, PLAN, 1, HOURLY, None, 1, 1, 1, MicroUsd(70)),)
    assert after == (Minutes(web, PLAN, 1, HOURLY, None, 1, 2, 2, MicroUsd(70)),)
    assert opening == 1_000_000 - 70


async def test_what_a_meter_went_through_is_told_of_its_vps(history: History, followed: ReadModels) -> None:
    ada = await history.registered(micros=1_000_000)
    web = await history.vps_requested(ada)
    await history.vps_running(ada, web)
    rows = await rows_of(
        followed, history, "SELECT vps_id, kind, generation, account_id FROM meter_event ORDER BY version"
    )

    assert rows == [(web, "admitted", 1, ada), (web, "started", 1, None)]
