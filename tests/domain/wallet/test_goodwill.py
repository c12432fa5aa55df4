"""Goodwill: the part of a balance that was given, which minutes use first and which is never refunded."""

from uuid import UUID

from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.events import Event
from domain.ids import PaymentId
from domain.money import MicroUsd
from domain.wallet.events import FundsAdded, FundsCorrected, FundsCredited, MinutesMetered, ReceivablePaid
from domain.wallet.movements import Moving, movement
from domain.wallet.paid_in import claw_back, part
from domain.wallet.wallet import Wallet
from tests.domain.books.test_postings import line
from tests.domain.wallet.wallets import ACCOUNT, T0, WEB, after, given, running

PAYMENT = PaymentId(UUID(int=71))


def paid(amount: int) -> FundsAdded:
    return FundsAdded(ACCOUNT, PAYMENT, MicroUsd(amount))


def gift(amount: int) -> FundsCredited:
    return FundsCredited(ACCOUNT, UUID(int=5), MicroUsd(amount), "a gift")


def test_minutes_use_what_was_given_first() -> None:
    wallet = given(*running(), paid(100), gift(50))

    wallet = after(wallet, MinutesMetered(ACCOUNT, (line(30),)))
    assert (wallet.balance, wallet.goodwill, wallet.refundable) == (120, 20, 100)

    wallet = after(wallet, MinutesMetered(ACCOUNT, (line(30, n=2),)))
    assert (wallet.balance, wallet.goodwill, wallet.refundable) == (90, 0, 90)


def test_a_gift_that_pays_a_debt_is_used_up() -> None:
    wallet = given(paid(100), gift(50))
    wallet = after(wallet, ReceivablePaid(ACCOUNT, MicroUsd(120)))

    assert (wallet.balance, wallet.goodwill) == (30, 30)


def test_a_gift_that_is_spent_and_taken_back_is_paid_by_the_paid_part() -> None:
    wallet = given(*running(), paid(100), gift(50), MinutesMetered(ACCOUNT, (line(40),)))

    wallet = after(wallet, FundsCorrected(ACCOUNT, UUID(int=9), UUID(int=8), "goodwill", MicroUsd(-50), "a mistake"))  # type: ignore[arg-type]

    assert (wallet.balance, wallet.goodwill) == (60, 0)


def moved(wallet: Wallet, kind: str, amount: MicroUsd) -> tuple[Event, ...]:
    match kind:
        case "pay":
            return (paid(amount),)
        case "give":
            return (gift(amount),)
        case "use":
            used = MicroUsd(min(amount, wallet.balance))
            return (MinutesMetered(ACCOUNT, (line(used, n=wallet.meters[WEB].used_n + 1),)),)
        case _:
            return claw_back(wallet, PAYMENT, "dispute", "dp_1", part(wallet, amount, MicroUsd(500)), T0)


@for_all(st.lists(st.tuples(st.sampled_from(["pay", "give", "use", "claw"]), st.integers(1, 1_000)), max_size=20))
def test_a_gift_is_never_more_than_the_balance_and_the_balance_moves_as_told(moves: list[tuple[str, int]]) -> None:
    wallet = given(*running())
    for kind, amount in moves:
        events = moved(wallet, kind, MicroUsd(amount))
        before, wallet = wallet.balance, after(wallet, *events)

        assert wallet.balance - before == sum(movement(event) for event in events if isinstance(event, Moving))
        assert 0 <= wallet.goodwill <= wallet.balance
