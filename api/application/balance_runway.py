"""Exhaustion: how long each balance lasts, worked out once for each state of its wallet."""

from collections import OrderedDict

import msgspec

from domain.ids import AccountId
from domain.pricing.price_book import PriceBook
from domain.time import Instant, seconds
from domain.wallet.forecast import exhausts_at
from domain.wallet.wallet import Wallet

FORECASTS_MAX = 20_000
"""How many are kept; beyond, the one unused for longest is worked out again when wanted."""
KEPT_FOR = seconds(10)
"""How long a VPS that boots is taken to begin to run when it was when this was worked out."""


class _Forecast(msgspec.Struct, frozen=True):
    wallet: Wallet
    book: PriceBook
    made_at: Instant
    exhausts_at: Instant | None


class BalanceRunway:
    """A cache that is never stale: states are compared by identity, and never change."""

    def __init__(self) -> None:
        self._kept: OrderedDict[AccountId, _Forecast] = OrderedDict()

    def of(self, wallet: Wallet, book: PriceBook, now: Instant) -> Instant | None:
        """Return when the balance will not cover a minute; None where nothing is on that costs anything."""
        account_id = wallet.account_id
        if account_id is None or not wallet.meters:
            return None
        kept = self._kept.get(account_id)
        known = kept is not None and kept.wallet is wallet and kept.book is book
        if kept is None or not known or not kept.made_at <= now < kept.made_at + KEPT_FOR:
            kept = _Forecast(wallet, book, now, exhausts_at(wallet, book, now))
            self._kept[account_id] = kept
        self._kept.move_to_end(account_id)
        if len(self._kept) > FORECASTS_MAX:
            self._kept.popitem(last=False)
        return kept.exhausts_at
