"""Whatever is recorded and whenever: months follow each other without a gap, and nothing is in two of them."""

from itertools import pairwise
from uuid import UUID

from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.events import Event
from domain.ids import AccountId, PaymentId, VpsId
from domain.money import MicroUsd, charge_for_minutes
from domain.statements.month import Month
from domain.statements.tax import TaxRate, tax_lines
from domain.time import MINUTE, Instant
from domain.wallet.events import (
    FundsAdded,
    FundsCredited,
    FundsTaken,
    MinuteLine,
    MinutesMetered,
    MinutesWaived,
    ReceivablePaid,
)
from domain.wallet.movements import Moving, movement
from tests.api.application.audit.ledgers import micros, recorded
from tests.api.application.statements.reference import statement_of
from tests.domain.wallet.wallets import ACCOUNT, MAIL, SMALL, WEB

ACCOUNT_ID = AccountId(ACCOUNT)
FIRST = Month(2026, 9)
MONTHS = [FIRST, FIRST.following, FIRST.following.following]
RATES = (TaxRate("VAT", 19_000), TaxRate("City", 2_500))

amounts = st.integers(1, 10**9).map(MicroUsd)
waits = st.one_of(st.integers(0, 40 * 24 * 60), st.just(0))
"""Minutes until the next event; many are recorded at one instant."""


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[Instant, Event]]:
    """Draw what is recorded in a wallet, and when."""
    at, used, told = FIRST.begins, {WEB: 0, MAIL: 0}, []
    for _ in range(draw(st.integers(0, 25))):
        at = min(Instant(at + draw(waits) * MINUTE), Instant(MONTHS[-1].ends - 1))
        told.append((at, draw(events(used))))
    return told


@st.composite
def events(draw: st.DrawFn, used: dict[VpsId, int]) -> Event:
    kind = draw(st.sampled_from(["minutes", "waived", "payment", "credit", "dispute", "debt"]))
    if kind in ("minutes", "waived"):
        vps_id = draw(st.sampled_from([WEB, MAIL]))
        n_from, n_to = used[vps_id] + 1, used[vps_id] + draw(st.integers(1, 200))
        used[vps_id] = n_to
        price = micros(4_200)
        line = MinuteLine(vps_id, n_from, n_to, Instant(0), SMALL, 1, price, charge_for_minutes(price, n_from, n_to))
        return (
            MinutesMetered(ACCOUNT_ID, (line,)) if kind == "minutes" else MinutesWaived(ACCOUNT_ID, "unproven", (line,))
        )
    amount, payment_id = draw(amounts), PaymentId(UUID(int=draw(st.integers(1, 5))))
    made: dict[str, Event] = {
        "payment": FundsAdded(ACCOUNT_ID, payment_id, amount),
        "credit": FundsCredited(ACCOUNT_ID, UUID(int=1), amount, "a gift"),
        "dispute": FundsTaken(ACCOUNT_ID, payment_id, "dispute", "dp", amount, amount, micros(0)),
        "debt": ReceivablePaid(ACCOUNT_ID, amount),
    }
    return made[kind]


@for_all(lives())
def test_months_follow_each_other_and_hold_everything_once(life: list[tuple[Instant, Event]]) -> None:
    told = [(one, event) for one, (_, event) in zip(recorded(life), life, strict=True)]
    months = [
        statement_of(ACCOUNT_ID, month, [one for one in told if one[0].recorded_at < month.ends]) for month in MONTHS
    ]

    assert (months[0].opening, months[0].opening_owed) == (0, 0)
    for earlier, later in pairwise(months):
        assert (later.opening, later.opening_owed) == (earlier.closing, earlier.closing_owed)
    assert months[-1].closing == sum(movement(event) for _, event in life if isinstance(event, Moving))
    ids = [entry.event_id for month in months for entry in month.entries]
    assert len(ids) == len(set(ids)) == sum(not isinstance(event, MinutesMetered | MinutesWaived) for _, event in life)
    minutes = sum(line.minutes for month in months for line in (*month.charged, *month.waived))
    lines = [line for _, event in life if isinstance(event, MinutesMetered | MinutesWaived) for line in event.lines]
    assert minutes == sum(line.n_to - line.n_from + 1 for line in lines)
    for month in months:
        assert 0 <= sum(tax.amount for tax in tax_lines(month.charges, RATES)) <= month.charges
