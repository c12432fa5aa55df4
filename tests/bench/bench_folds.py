"""Wallets folded from their events, and months of minutes settled at once."""

import asyncio
import time
from uuid import UUID

import msgspec

from domain.codec import decode_payload
from domain.events import stored_name
from domain.ids import AccountId, PlanId, VpsId
from domain.money import MicroUsd, charge_for_minutes
from domain.pricing.events import PlanDefined
from domain.pricing.price_book import FOLD as PRICING
from domain.time import MINUTE, Instant
from domain.wallet.events import FundsCredited, MeterStarted, MinuteLine, MinutesMetered, VpsAdmitted, WalletOpened
from domain.wallet.metering import settle
from domain.wallet.proofs import Proof
from domain.wallet.wallet import FOLD, Wallet
from tests.bench.figures import Figure

EVENTS = 200_000
VPSS_PER_WALLET = 10
CATCH_UP_MINUTES = 30 * 24 * 60
CATCH_UP_VPSS = 1_000
FLOOR_EVENTS_PER_S = 50_000
CATCH_UP_LIMIT_S = 10.0

ACCOUNT, PLAN = AccountId(UUID(int=1)), PlanId(UUID(int=2))
HOURLY = MicroUsd(4_200)
BEGAN = Instant(1_700_000_000_000_000)


async def run() -> list[Figure]:
    """Measure the replay of a wallet, and catching up with and without enough funds."""
    return [
        await asyncio.to_thread(_replay),
        await asyncio.to_thread(_catch_up, "a month of minutes caught up, paid", enough=True),
        await asyncio.to_thread(_catch_up, "a month of minutes caught up, funds for half", enough=False),
    ]


def _replay() -> Figure:
    stored = [msgspec.json.encode(_minute(n)).decode() for n in range(1, EVENTS + 1)]
    name, wallet = stored_name(MinutesMetered), _running(VPSS_PER_WALLET, funds=10**12)
    began = time.perf_counter()
    for payload in stored:
        wallet = FOLD.evolve(wallet, decode_payload(name, payload))
    spent_s = time.perf_counter() - began
    assert wallet.meters[_vps(0)].used_n == EVENTS // VPSS_PER_WALLET
    return Figure("wallet events decoded and folded", EVENTS / spent_s, "/s", target=FLOOR_EVENTS_PER_S)


def _catch_up(name: str, *, enough: bool) -> Figure:
    whole = CATCH_UP_VPSS * HOURLY * (CATCH_UP_MINUTES // 60 + 1)
    wallet = _running(CATCH_UP_VPSS, funds=whole if enough else whole // 2)
    until = Instant(BEGAN + CATCH_UP_MINUTES * MINUTE)
    proofs = {vps_id: Proof(1, "boot/1", 1, until) for vps_id in wallet.meters}
    book = PRICING.evolve(PRICING.initial, PlanDefined(PLAN, "small", 1, 512, 10, HOURLY, BEGAN))
    rounds, more = 0, True
    began = time.perf_counter()
    while more:
        settlement = settle(wallet, proofs, book, until)
        for event in settlement.events:
            wallet = FOLD.evolve(wallet, event)
        more, rounds = settlement.more, rounds + 1
    spent_s = time.perf_counter() - began
    note = f"{CATCH_UP_VPSS:,} VPSs, {rounds:,} appends"
    return Figure(name, spent_s, "s", target=CATCH_UP_LIMIT_S, at_most=True, note=note)


def _running(vpss: int, funds: int) -> Wallet:
    wallet = FOLD.evolve(FOLD.initial, WalletOpened(ACCOUNT))
    wallet = FOLD.evolve(wallet, FundsCredited(ACCOUNT, UUID(int=3), MicroUsd(funds), ""))
    for number in range(vpss):
        wallet = FOLD.evolve(wallet, VpsAdmitted(ACCOUNT, _vps(number), 1, PLAN, None, BEGAN))
        wallet = FOLD.evolve(wallet, MeterStarted(_vps(number), 1, Instant(BEGAN + number * 7_919)))
    return wallet


def _minute(number: int) -> MinutesMetered:
    vps_id, n = _vps(number % VPSS_PER_WALLET), (number - 1) // VPSS_PER_WALLET + 1
    amount = charge_for_minutes(HOURLY, n, n)
    line = MinuteLine(vps_id, n, n, Instant(BEGAN + n * MINUTE), PLAN, 1, HOURLY, amount)
    return MinutesMetered(ACCOUNT, (line,))


def _vps(number: int) -> VpsId:
    return VpsId(UUID(int=100 + number))
