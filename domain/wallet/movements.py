"""Movements: by how much each event of a wallet moves its balance."""

from typing import assert_never

from domain.money import ZERO, MicroUsd
from domain.wallet.events import (
    BadDebtRecovered,
    FundsAdded,
    FundsCorrected,
    FundsCredited,
    FundsReturned,
    FundsTaken,
    MinutesMetered,
    ReceivablePaid,
    WalletOpened,
)

Moving = (
    WalletOpened
    | FundsAdded
    | FundsCredited
    | FundsCorrected
    | FundsTaken
    | FundsReturned
    | ReceivablePaid
    | BadDebtRecovered
    | MinutesMetered
)
"""Events after which the balance is, or may be, another; all of them tell their account."""


def movement(event: Moving) -> MicroUsd:
    """Return by how much an event moves the balance of its account."""
    match event:
        case MinutesMetered():  # First: nearly all of them are.
            return MicroUsd(-sum([line.amount for line in event.lines]))
        case WalletOpened():
            return ZERO
        case FundsAdded() | FundsCredited() | FundsCorrected() | FundsReturned():
            return event.amount
        case FundsTaken():
            return MicroUsd(-event.taken)
        case ReceivablePaid() | BadDebtRecovered():
            return MicroUsd(-event.amount)
        case _:
            assert_never(event)
