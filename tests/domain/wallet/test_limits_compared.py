"""Settling with limits comes to the same as the slow and obvious way, a minute at a time."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given as whatever
from hypothesis import strategies as st

from domain.events import Event
from domain.ids import PlanId, TokenId, VpsId
from domain.money import MicroUsd
from domain.time import Instant
from domain.wallet import metering
from domain.wallet.events import (
    LimitWindow,
    MeterStarted,
    MinutesMetered,
    MinutesWaived,
    TokenLimited,
    VpsAdmitted,
    VpsReleased,
)
from domain.wallet.metering import close_meter, settle
from domain.wallet.proofs import Proof
from domain.wallet.wallet import Wallet
from tests.domain.wallet.wallets import ACCOUNT, LARGE, SMALL, after, given, price_book

SECOND = 1_000_000
SIXTY = 60 * SECOND
MIDNIGHT = int(datetime(2023, 12, 1, tzinfo=UTC).timestamp()) * SECOND
PRICES = {SMALL: 997, LARGE: 61_111}
BOOK = price_book(small=PRICES[SMALL], large=PRICES[LARGE])
TOKENS = [TokenId(UUID(int=n)) for n in (41, 42)]


@dataclass
class Limit:
    micros: int
    window: LimitWindow
    expires_at: int | None


@dataclass
class Machine:
    id: VpsId
    plan: PlanId
    token: TokenId | None
    created: int
    since: int
    proven: int
    off_at: int


@dataclass
class Slow:
    """What the minutes come to, one after the other."""

    balance: int
    limits: dict[TokenId, Limit]
    minutes: dict[tuple[VpsId, int], tuple[int, str]] = field(default_factory=dict)
    spent: dict[tuple[TokenId, str], int] = field(default_factory=dict)
    ended: dict[VpsId, str] = field(default_factory=dict)
    used: dict[VpsId, int] = field(default_factory=dict)

    def tick(self, machines: list[Machine], now: int) -> None:
        while due := sorted(
            (begins, one.created, one.id.bytes)
            for one in machines
            if one.id not in self.ended and (begins := self.begins(one)) <= min(now, one.proven)
        ):
            self.pay(next(one for one in machines if one.id.bytes == due[0][2]))

    def close(self, one: Machine) -> None:
        while (begins := self.begins(one)) < one.off_at:
            if one.id in self.ended:
                self.use(one, self.ended[one.id])
            elif begins > one.proven:
                self.use(one, "unproven")
            else:
                self.pay(one)

    def begins(self, one: Machine) -> int:
        return one.since + SIXTY * self.used.get(one.id, 0)

    def pay(self, one: Machine) -> None:
        n, hourly, begins = self.used.get(one.id, 0) + 1, PRICES[one.plan], self.begins(one)
        price = hourly * n // 60 - hourly * (n - 1) // 60
        limit = self.limits.get(one.token) if one.token else None
        if limit is not None and limit.expires_at is not None and begins >= limit.expires_at:
            limit = None
        month = datetime.fromtimestamp(begins // SECOND, UTC).strftime("%Y-%m")
        window = (one.token, "" if limit is None or limit.window == "total" else month)
        if limit is not None and self.spent.get(window, 0) + price > limit.micros:  # type: ignore[arg-type]
            self.ended[one.id] = "limit"
            self.use(one, "limit")
        elif price > self.balance:
            self.ended[one.id] = "unpaid"
            self.use(one, "unpaid")
        else:
            self.balance -= price
            if limit is not None:
                self.spent[window] = self.spent.get(window, 0) + price  # type: ignore[index, arg-type]
            self.use(one, "paid")

    def use(self, one: Machine, how: str) -> None:
        self.minutes[one.id, self.used.get(one.id, 0) + 1] = (self.begins(one), how)
        self.used[one.id] = self.used.get(one.id, 0) + 1


INSTANTS = st.one_of(
    st.integers(MIDNIGHT - 90 * SIXTY, MIDNIGHT + 90 * SIXTY),
    st.integers(-90, 90).map(lambda k: MIDNIGHT + k * SIXTY),
)
LIMITS = st.builds(
    Limit,
    st.one_of(st.integers(0, 3_000), st.integers(0, 90).map(lambda k: 997 * k // 60), st.integers(0, 200_000)),
    st.sampled_from(["total", "month"]),
    st.none() | INSTANTS,
)


@st.composite
def machines(draw: st.DrawFn) -> list[Machine]:
    made = []
    for number in range(draw(st.integers(1, 4))):
        since, proven, off_at = sorted(draw(st.tuples(INSTANTS, INSTANTS, INSTANTS)))
        made.append(
            Machine(
                id=VpsId(UUID(int=100 + draw(st.integers(0, 9)) * 10 + number)),
                plan=draw(st.sampled_from([SMALL, SMALL, LARGE])),
                token=draw(st.sampled_from([None, *TOKENS, TOKENS[0]])),
                created=draw(st.integers(0, 2)),
                since=since,
                proven=proven,
                off_at=off_at + 1,
            )
        )
    return made


@pytest.mark.parametrize("portions", ["large", "small"])
@whatever(
    fleet=machines(),
    limits=st.tuples(LIMITS, LIMITS),
    balance=st.integers(0, 5_000) | st.integers(0, 400_000),
    ticks=st.lists(INSTANTS, max_size=3),
    settled_before=st.booleans(),
)
def test_every_minute_is_paid_or_waived_as_the_reference_has_it(
    portions: str,
    fleet: list[Machine],
    limits: tuple[Limit, Limit],
    balance: int,
    ticks: list[int],
    settled_before: bool,
) -> None:
    slow = Slow(balance, dict(zip(TOKENS, limits, strict=True)))
    with pytest.MonkeyPatch.context() as patched:
        if portions == "small":
            patched.setattr(metering, "LINES_MAX", 2)
            patched.setattr(metering, "SINGLE_MINUTES_MAX", 3)
        last = [MIDNIGHT + 200 * SIXTY] if settled_before else []
        wallet, events = played(slow, fleet, sorted(ticks) + last, opened(slow, fleet))

    assert used_by(events) == slow.minutes
    assert wallet.balance == slow.balance
    assert spent_in(wallet) == {key: amount for key, amount in slow.spent.items() if amount}
    released = {event.vps_id: event.cause for event in events if isinstance(event, VpsReleased)}
    assert {vps_id: cause for vps_id, cause in released.items() if cause in ("limit", "unpaid")} == slow.ended


def opened(slow: Slow, fleet: list[Machine]) -> Wallet:
    limits = [
        TokenLimited(ACCOUNT, token_id, MicroUsd(one.micros), one.window, _instant(one.expires_at))
        for token_id, one in slow.limits.items()
    ]
    running: list[Event] = []
    for one in fleet:
        running.append(VpsAdmitted(ACCOUNT, one.id, 1, one.plan, one.token, Instant(one.created)))
        running.append(MeterStarted(one.id, 1, Instant(one.since)))
    return given(*limits, *running, funds=slow.balance)


def played(slow: Slow, fleet: list[Machine], ticks: list[int], wallet: Wallet) -> tuple[Wallet, list[Event]]:
    """Settle at each tick, then close every meter, in the product and the reference alike."""
    events: list[Event] = []
    proofs = {one.id: Proof(1, "boot", 1, Instant(one.proven)) for one in fleet}
    for now in ticks:
        slow.tick(fleet, now)
        more = True
        while more:
            settlement = settle(wallet, proofs, BOOK, Instant(now))
            expected = [(event.vps_id, 1, event.cause) for event in settlement.events if isinstance(event, VpsReleased)]
            assert list(settlement.stops) == expected, "whoever cannot pay is stopped in the very same append"
            wallet, more = after(wallet, *settlement.events), settlement.more
            events += settlement.events
    for one in fleet:
        slow.close(one)
        last = close_meter(wallet, one.id, proofs[one.id], Instant(one.off_at), BOOK)
        wallet = after(wallet, *last)
        events += last
    return wallet, events


def used_by(events: list[Event]) -> dict[tuple[VpsId, int], tuple[int, str]]:
    used: dict[tuple[VpsId, int], tuple[int, str]] = {}
    for event in events:
        if not isinstance(event, MinutesMetered | MinutesWaived):
            continue
        how = "paid" if isinstance(event, MinutesMetered) else event.cause
        for line in event.lines:
            for n in range(line.n_from, line.n_to + 1):
                assert (line.vps_id, n) not in used, "a minute is used once"
                used[line.vps_id, n] = (line.at + SIXTY * (n - line.n_from), how)
    return used


def spent_in(wallet: Wallet) -> dict[tuple[TokenId, str], int]:
    return {
        (token_id, "" if month == 0 else f"{month // 12}-{month % 12 + 1:02}"): amount
        for token_id, limit in wallet.limits.items()
        for month, amount in limit.spent.items()
        if amount
    }


def _instant(at: int | None) -> Instant | None:
    return None if at is None else Instant(at)
