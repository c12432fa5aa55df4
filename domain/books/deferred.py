"""Deferred revenue: what of the prepaid liability was paid for, and what was given."""

from collections.abc import Iterable

import msgspec

from domain.events import Event
from domain.money import MicroUsd
from domain.wallet.events import MinutesMetered, MinutesWaived
from domain.wallet.wallet import Wallet, evolve


class PrepaidParts(msgspec.Struct, frozen=True):
    """What customers have on their balances; the two together are minus the sum of all prepaid accounts."""

    deferred_revenue: MicroUsd
    """Paid for, and owed in minutes or refunds."""
    goodwill: MicroUsd
    """Given, and owed in minutes alone."""


def funds_after(wallet: Wallet, event: Event) -> Wallet:
    """Return a wallet after an event as far as its funds go; its meters are left out, which saves most of the work."""
    if isinstance(event, MinutesMetered):
        paid = sum([line.amount for line in event.lines])
        return msgspec.structs.replace(
            wallet, balance=MicroUsd(wallet.balance - paid), goodwill=MicroUsd(max(0, wallet.goodwill - paid))
        )
    return wallet if isinstance(event, MinutesWaived) else evolve(wallet, event)


def prepaid_parts(wallets: Iterable[Wallet]) -> PrepaidParts:
    """Return what of all balances together was paid for, and what was given."""
    deferred = goodwill = 0
    for wallet in wallets:
        deferred += wallet.refundable
        goodwill += wallet.goodwill
    return PrepaidParts(MicroUsd(deferred), MicroUsd(goodwill))
