"""The balance of an account, now or as it was, whoever asks."""

import msgspec

from api.application.caller import Caller
from api.application.reading import caught_up_connection
from api.application.runtime import Runtime
from domain.errors import Invalid
from domain.money import MicroUsd
from domain.time import Instant
from domain.wallet.wallet import Wallet
from projections.entries import ENTRIES, balance_at
from projections.vps import VPS


class BalanceThen(msgspec.Struct, frozen=True):
    """A balance at an instant."""

    at: Instant
    balance: MicroUsd
    owed: MicroUsd | None = None
    """What the account owes, so that it is frozen; None for an instant that is past."""


def balance_now(runtime: Runtime, wallet: Wallet) -> BalanceThen:
    """Return the balance of a wallet that was just loaded."""
    return BalanceThen(runtime.clock.now(), wallet.balance, wallet.receivable)


async def get_balance(runtime: Runtime, caller: Caller, at: Instant) -> BalanceThen:
    """Return the balance as it was recorded by an instant. Raises Invalid or ProjectionBehind."""
    if at > runtime.clock.now():
        raise Invalid(fields={"at": "must not be in the future"})
    async with caught_up_connection(runtime, ENTRIES, VPS) as connection:
        return BalanceThen(at, await balance_at(connection, caller.account_id, at))
