"""The balance of an account, now or as it was, whoever asks."""

import msgspec

from api.application.billing.reading import seen
from api.application.caller import Caller
from api.application.runtime import Runtime
from domain.errors import Invalid
from domain.money import MicroUsd
from domain.time import Instant
from domain.wallet.wallet import Wallet, wallet_ref
from projections.entries import balance_at


class BalanceThen(msgspec.Struct, frozen=True):
    """A balance at an instant."""

    at: Instant
    balance: MicroUsd
    owed: MicroUsd | None = None
    """What the account owes, so that it is frozen; None for an instant that is past."""
    wallet: Wallet | None = None
    """The account's, of now; None for an instant that is past."""


async def get_balance(runtime: Runtime, caller: Caller, at: Instant | None = None) -> BalanceThen:
    """Return the balance now, or as it was recorded by an instant. Raises Invalid or ProjectionBehind."""
    now = runtime.clock.now()
    if at is None:
        ref = wallet_ref(caller.account_id)
        wallet = (await runtime.aggregates.load(ref)).of(ref)
        return BalanceThen(now, wallet.balance, wallet.receivable, wallet)
    if at > now:
        raise Invalid(fields={"at": "must not be in the future"})
    async with seen(runtime) as connection:
        return BalanceThen(at, await balance_at(connection, caller.account_id, at))
