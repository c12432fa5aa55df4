"""Top-ups: what can be paid in at once, and how much of it a shortfall takes."""

from domain.money import MicroUsd

TOP_UP_MIN = MicroUsd(5_000_000)
TOP_UP_MAX = MicroUsd(50_000_000)
CENT = MicroUsd(10_000)
"""The least that Stripe can move, in micro-USD."""


def least_top_up(shortfall: MicroUsd) -> MicroUsd:
    """Return the least that can be paid in and covers a shortfall: whole cents, at least ``TOP_UP_MIN``.

    Above ``TOP_UP_MAX`` it takes several payments.
    """
    return MicroUsd(max(TOP_UP_MIN, -(-shortfall // CENT) * CENT))
