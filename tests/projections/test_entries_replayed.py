"""Entries and charges are what a replay of the wallet comes to, whatever happened and however it was batched."""

import random
from functools import reduce
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain import codec
from domain.events import Event
from domain.ids import AccountId, PaymentId, VpsId, wallet_stream
from domain.money import MicroUsd
from domain.time import HOUR, MINUTE, Instant
from domain.wallet.events import (
    FundsAdded,
    MeterClosed,
    MeterStarted,
    MinutesMetered,
    MinutesWaived,
    VpsAdmitted,
    VpsReleased,
)
from domain.wallet.metering import settle
from domain.wallet.proofs import Proof
from domain.wallet.wallet import FOLD, Wallet
from projections.entries import ENTRIES, balance_at
from projections.generation import SCHEMA, rebuild
from projections.read_model import Connection
from projections.runner import Folding, connect
from tests.domain.wallet.wallets import BOOK, LARGE, SMALL, T0
from tests.projections.history import HOST, History

pytestmark = pytest.mark.anyio

VPSS = tuple(VpsId(UUID(int=100 + k)) for k in range(4))
STEPS = 60
_TABLES = {
    "entry": "SELECT * FROM entry ORDER BY position",
    "charge": "SELECT * FROM charge ORDER BY vps_id, hour, cause, price_version, month",
    "meter_event": "SELECT * FROM meter_event ORDER BY vps_id, version",
}


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_folded_is_what_a_replay_comes_to(
    seed: int, history: History, database_url: str, owner_url: str
) -> None:
    dice = random.Random(seed)
    ada = await history.registered(micros=20_000)
    await _live(history, ada, dice)
    async with await connect(database_url, SCHEMA) as connection:
        folding = Folding(connection, history.store, [ENTRIES])
        await folding.find_positions()
        head = await history.store.head()
        while folding.positions[ENTRIES.name] < head:
            await folding.advance(min(head, folding.positions[ENTRIES.name] + dice.randrange(1, 12)))
        assert folding.failures == []
        await _equals_replay(connection, history, ada)
        live = {name: await (await connection.execute(query.encode())).fetchall() for name, query in _TABLES.items()}
    await rebuild(owner_url, history.store, [ENTRIES])
    async with await connect(database_url, SCHEMA) as connection:
        for name, query in _TABLES.items():
            assert await (await connection.execute(query.encode())).fetchall() == live[name]


async def _live(history: History, account_id: AccountId, dice: random.Random) -> None:
    wallet = await _wallet(history, account_id)
    now = T0
    for step in range(STEPS):
        now = Instant(now + dice.choice([1, 3, 60, 200]) * MINUTE + dice.randrange(MINUTE))
        events: tuple[Event, ...] = ()
        vps_id = dice.choice(VPSS)
        meter = wallet.meters.get(vps_id)
        if dice.random() < 0.2:
            events = (FundsAdded(account_id, PaymentId(uuid4()), MicroUsd(dice.randrange(1, 80_000))),)
        elif meter is None or meter.closed:
            generation = 1 if meter is None else meter.generation + 1
            plan = dice.choice([SMALL, LARGE]) if meter is None else meter.plan_id
            admitted = VpsAdmitted(account_id, vps_id, generation, plan, None, now)
            events = (admitted, MeterStarted(vps_id, generation, now, HOST, f"start {step}"))
        elif dice.random() < 0.3:
            stopped = VpsReleased(vps_id, meter.generation, now, "stop")
            events = (stopped, MeterClosed(vps_id, meter.generation, now)) if meter.on else ()
        proofs = {one.vps_id: Proof(one.generation, "", 1, now) for one in wallet.meters.values()}
        more = True
        while more:
            settlement = settle(wallet, proofs, BOOK, now)
            more = settlement.more
            # As where a guest that nobody pays is shown off.
            closed = tuple(MeterClosed(stop[0], stop[1], now) for stop in settlement.stops)
            wallet = await _recorded(history, account_id, wallet, *settlement.events, *closed)
        assert wallet.balance >= 0
        still = [event for event in events if not isinstance(event, VpsReleased | MeterClosed) or _is_on(wallet, event)]
        wallet = await _recorded(history, account_id, wallet, *still)


def _is_on(wallet: Wallet, event: VpsReleased | MeterClosed) -> bool:
    return wallet.meters[event.vps_id].on


async def _recorded(history: History, account_id: AccountId, wallet: Wallet, *events: Event) -> Wallet:
    if events:
        await history.record(account_id, *((wallet_stream(account_id), event) for event in events))
    return reduce(FOLD.evolve, events, wallet)


async def _wallet(history: History, account_id: AccountId) -> Wallet:
    recorded = await history.store.read_streams([(wallet_stream(account_id), 0)])
    return reduce(FOLD.evolve, map(codec.decode, recorded), FOLD.initial)


async def _equals_replay(connection: Connection, history: History, account_id: AccountId) -> None:
    entries = {row[2]: row for row in await _rows(connection, _TABLES["entry"])}
    wallet, lines = FOLD.initial, 0
    minutes: dict[tuple[UUID, int], tuple[str, int]] = {}
    for recorded in await history.store.read_streams([(wallet_stream(account_id), 0)]):
        event = codec.decode(recorded)
        wallet = FOLD.evolve(wallet, event)
        if isinstance(event, MinutesMetered | MinutesWaived):
            for line in event.lines:
                lines += line.n_to - line.n_from + 1
                cause = "paid" if isinstance(event, MinutesMetered) else event.cause
                for k, n in enumerate(range(line.n_from, line.n_to + 1)):
                    minutes[line.vps_id, n] = (cause, (line.at + k * MINUTE) // HOUR)
        elif recorded.position in entries:
            lines += 1
        if recorded.position in entries:
            row = entries[recorded.position]
            assert (row[3], row[7], row[10]) == (recorded.version, wallet.balance, lines)
    assert await balance_at(connection, account_id, Instant(2**62)) == wallet.balance
    charges = await _rows(
        connection, "SELECT vps_id, hour, cause, n_from, n_to, minutes, amount, price_hourly FROM charge"
    )
    for vps_id, hour, cause, n_from, n_to, count, *_ in charges:
        mine = [n for (one, n), how in minutes.items() if one == vps_id and how == (cause, hour)]
        assert (min(mine), max(mine), len(mine)) == (n_from, n_to, count)
    assert sum(row[5] for row in charges) == len(minutes)
    for meter in wallet.meters.values():
        paid = [row for row in charges if row[0] == meter.vps_id and row[2] == "paid"]
        assert (sum(row[5] for row in paid), sum(row[6] for row in paid)) == (meter.paid_n, meter.paid)


async def _rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query.encode())).fetchall()
