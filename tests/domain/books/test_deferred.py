"""What of the prepaid liability was paid for is deferred revenue; the rest was given."""

from uuid import UUID

from domain.books.deferred import PrepaidParts, funds_after, prepaid_parts
from domain.events import Event
from domain.ids import EventId, PaymentId
from domain.money import MicroUsd
from domain.wallet.events import (
    FundsAdded,
    FundsCorrected,
    FundsCredited,
    FundsReturned,
    FundsTaken,
    MinuteLine,
    MinutesMetered,
    MinutesWaived,
    WalletOpened,
)
from domain.wallet.wallet import FOLD
from tests.domain.wallet.wallets import ACCOUNT, SMALL, T0, WEB, admitted

PAYMENT = PaymentId(UUID(int=41))


def minutes(n: int, amount: int) -> tuple[MinuteLine, ...]:
    return (MinuteLine(WEB, n, n, T0, SMALL, 1, MicroUsd(4_200), MicroUsd(amount)),)


LIFE: tuple[Event, ...] = (
    WalletOpened(ACCOUNT),
    FundsCredited(ACCOUNT, UUID(int=1), MicroUsd(500), "a gift"),
    FundsAdded(ACCOUNT, PAYMENT, MicroUsd(1_000)),
    MinutesMetered(ACCOUNT, minutes(1, 300)),
    MinutesWaived(ACCOUNT, "unproven", minutes(2, 70)),
    FundsTaken(ACCOUNT, PAYMENT, "dispute", "d", MicroUsd(1_000), MicroUsd(0), MicroUsd(0)),
    FundsReturned(ACCOUNT, PAYMENT, "dispute-won", "d", MicroUsd(1_000), MicroUsd(0)),
    FundsCorrected(ACCOUNT, UUID(int=2), EventId(UUID(int=3)), "goodwill", MicroUsd(-50), "typo"),
    MinutesMetered(ACCOUNT, minutes(3, 400)),
)


def test_minutes_use_what_was_given_first() -> None:
    wallet = FOLD.initial
    for event in LIFE[:4]:
        wallet = funds_after(wallet, event)

    assert prepaid_parts([wallet]) == PrepaidParts(MicroUsd(1_000), MicroUsd(200))


def test_funds_are_what_the_whole_wallet_says_at_every_event() -> None:
    funds, whole = FOLD.initial, FOLD.evolve(FOLD.initial, admitted())
    for event in LIFE:
        funds, whole = funds_after(funds, event), FOLD.evolve(whole, event)
        assert (funds.balance, funds.goodwill, funds.receivable) == (whole.balance, whole.goodwill, whole.receivable)
