"""Wallets at every point of their lives, and what was decided of them."""

from collections.abc import Iterable, Mapping
from functools import reduce
from uuid import UUID

from domain.events import Event
from domain.ids import AccountId, HostId, PlanId, VpsId
from domain.money import MicroUsd
from domain.pricing.events import PlanDefined, PlanRepriced
from domain.pricing.price_book import FOLD as PRICING
from domain.pricing.price_book import PriceBook
from domain.time import MINUTE, Instant
from domain.wallet.events import (
    FundsCredited,
    MeterStarted,
    MinuteLine,
    MinutesMetered,
    MinutesWaived,
    VpsAdmitted,
    WalletOpened,
)
from domain.wallet.metering import Settlement, settle
from domain.wallet.proofs import Proof
from domain.wallet.wallet import FOLD, Wallet

ACCOUNT = AccountId(UUID(int=1))
WEB, MAIL, JOBS = (VpsId(UUID(int=n)) for n in (11, 12, 13))
SMALL, LARGE = PlanId(UUID(int=21)), PlanId(UUID(int=22))
HOST = HostId(UUID(int=31))
T0 = Instant(1_700_000_000_000_000)


def minutes(count: float) -> Instant:
    """Return the instant so many minutes after the first."""
    return Instant(T0 + round(count * MINUTE))


def price_book(*repriced: PlanRepriced, small: int = 4_200, large: int = 60_000) -> PriceBook:
    """Return a book with two plans."""
    plans = [
        PlanDefined(SMALL, "small", 1, 512, 10, MicroUsd(small), T0),
        PlanDefined(LARGE, "large", 4, 8_192, 80, MicroUsd(large), T0),
    ]
    return reduce(PRICING.evolve, (*plans, *repriced), PRICING.initial)


BOOK = price_book()


def given(*events: Event, funds: int = 0) -> Wallet:
    """Return a wallet with funds after these events."""
    opened = WalletOpened(ACCOUNT)
    credited = FundsCredited(ACCOUNT, UUID(int=1), MicroUsd(funds), "a gift")
    return after(FOLD.initial, opened, *([credited] if funds else []), *events)


def after(wallet: Wallet, *events: Event) -> Wallet:
    return reduce(FOLD.evolve, events, wallet)


def admitted(vps_id: VpsId = WEB, plan: PlanId = SMALL, generation: int = 1, created: float = 0) -> VpsAdmitted:
    return VpsAdmitted(ACCOUNT, vps_id, generation, plan, None, minutes(created))


def running(
    vps_id: VpsId = WEB, plan: PlanId = SMALL, *, since: float = 0, generation: int = 1, created: float = 0
) -> tuple[Event, ...]:
    """Return what is recorded of a VPS that runs since so many minutes."""
    return (
        admitted(vps_id, plan, generation, created),
        MeterStarted(vps_id, generation, minutes(since)),
    )


def proof(until: float, generation: int = 1) -> Proof:
    """Return a proof that reaches to so many minutes."""
    return Proof(generation, "boot/1", 1, minutes(until))


def settled(wallet: Wallet, proofs: Mapping[VpsId, Proof], now: float, book: PriceBook = BOOK) -> list[Settlement]:
    """Settle until nothing is left, and return each round."""
    rounds: list[Settlement] = []
    while not rounds or rounds[-1].more:
        rounds.append(settle(wallet, proofs, book, minutes(now)))
        wallet = after(wallet, *rounds[-1].events)
    return rounds


def events_of(rounds: Iterable[Settlement]) -> list[Event]:
    return [event for one in rounds for event in one.events]


def paid(events: Iterable[Event]) -> list[tuple[VpsId, int, int, int]]:
    """Return the paid lines: VPS, first and last minute, amount."""
    return [_told(line) for event in events if isinstance(event, MinutesMetered) for line in event.lines]


def waived(events: Iterable[Event]) -> list[tuple[str, VpsId, int, int]]:
    """Return the waived lines: cause, VPS, first and last minute."""
    return [
        (event.cause, *_told(line)[:3]) for event in events if isinstance(event, MinutesWaived) for line in event.lines
    ]


def _told(line: MinuteLine) -> tuple[VpsId, int, int, int]:
    return line.vps_id, line.n_from, line.n_to, line.amount
