"""Wallets folded from their events, and months of minutes settled at once."""

import time
from uuid import UUID

import msgspec

from domain.codec import decode_payload
from domain.events import Event, stored_name
from domain.ids import AccountId, PlanId, VpsId
from domain.money import MicroUsd, charge_for_minutes
from domain.pricing.events import PlanDefined
from domain.pricing.price_book import FOLD as PRICING
from domain.time import MINUTE, Instant
from domain.wallet.events import FundsCredited, MeterStarted, MinuteLine, MinutesMetered, VpsAdmitted, WalletOpened
from domain.wallet.metering import settle
from domain.wallet.proofs import Proof
from domain.wallet.wallet import FOLD, Wallet
from tests.bench.figures import Figure, interleaved
from tests.bench.floors import DECODED, in_thread

EVENTS = 100_000
ROUNDS = 3
VPSS_PER_WALLET = 10
CATCH_UP_MINUTES = 30 * 24 * 60
CATCH_UP_VPSS = 1_000
FOLDED_MIN = 0.17
CATCH_UP_MAX = 50
CATCH_UP_SHORT_MAX = 280

ACCOUNT, PLAN = AccountId(UUID(int=1)), PlanId(UUID(int=2))
HOURLY = MicroUsd(4_200)
BEGAN = Instant(1_700_000_000_000_000)


async def run() -> list[Figure]:
    """Measure the replay of a wallet, and catching up with and without enough funds."""
    return [
        await _replay(),
        await _caught_up("a month of minutes caught up, paid", CATCH_UP_MAX, enough=True),
        await _caught_up("a month of minutes caught up, funds for half", CATCH_UP_SHORT_MAX, enough=False),
    ]


async def _replay() -> Figure:
    stored = [msgspec.json.encode(_minute(n)).decode() for n in range(1, EVENTS + 1)]
    name, opened = stored_name(MinutesMetered), _running(VPSS_PER_WALLET, funds=10**12)

    def folded() -> float:
        wallet = opened
        began_s = time.perf_counter()
        for payload in stored:
            wallet = FOLD.evolve(wallet, decode_payload(name, payload))
        took_s = time.perf_counter() - began_s
        assert wallet.meters[_vps(0)].used_n == EVENTS // VPSS_PER_WALLET
        return EVENTS / took_s

    def decoded() -> float:
        decode = msgspec.json.Decoder(MinutesMetered).decode
        began_s = time.perf_counter()
        for payload in stored:
            decode(payload)
        return EVENTS / (time.perf_counter() - began_s)

    rate, floor = await interleaved(ROUNDS, in_thread(folded), in_thread(decoded))
    return Figure(
        name="wallet events decoded and folded",
        measured=rate,
        unit="/s",
        floor=floor,
        floor_is=DECODED,
        target=FOLDED_MIN,
    )


async def _caught_up(name: str, target: float, *, enough: bool) -> Figure:
    events, rounds = _catch_up(enough=enough)[1:]

    def caught_up() -> float:
        return _catch_up(enough=enough)[0]

    def written_and_read() -> float:
        encode = msgspec.json.Encoder().encode
        began_s = time.perf_counter()
        for event in events:
            msgspec.json.decode(encode(event), type=type(event))
        return time.perf_counter() - began_s

    took_s, floor_s = await interleaved(ROUNDS, in_thread(caught_up), in_thread(written_and_read))
    return Figure(
        name=name,
        measured=took_s,
        unit="s",
        floor=floor_s,
        floor_is="the same events encoded and decoded by msgspec",
        target=target,
        at_most=True,
        note=f"{CATCH_UP_VPSS:,} VPSs, {rounds:,} appends",
    )


def _catch_up(*, enough: bool) -> tuple[float, list[Event], int]:
    """Catch up; return how long it took, what is recorded, and in how many appends."""
    whole = CATCH_UP_VPSS * HOURLY * (CATCH_UP_MINUTES // 60 + 1)
    wallet = _running(CATCH_UP_VPSS, funds=whole if enough else whole // 2)
    until = Instant(BEGAN + CATCH_UP_MINUTES * MINUTE)
    proofs = {vps_id: Proof(1, "boot/1", 1, until) for vps_id in wallet.meters}
    book = PRICING.evolve(PRICING.initial, PlanDefined(PLAN, "small", 1, 512, 10, HOURLY, BEGAN))
    recorded: list[Event] = []
    rounds, more = 0, True
    began_s = time.perf_counter()
    while more:
        settlement = settle(wallet, proofs, book, until)
        for event in settlement.events:
            wallet = FOLD.evolve(wallet, event)
        recorded += settlement.events
        more, rounds = settlement.more, rounds + 1
    return time.perf_counter() - began_s, recorded, rounds


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
