"""A posting, the line that books are made of."""

import msgspec

from domain.money import MicroUsd


class Posting(msgspec.Struct, frozen=True):
    """An amount on an account of the books: positive is debit, negative is credit."""

    account: str
    amount: MicroUsd


def moved(amount: MicroUsd, *, debit: str, credit: str) -> tuple[Posting, ...]:
    """Return the two postings of an amount that moves; nothing where it is zero."""
    if not amount:
        return ()
    return Posting(debit, amount), Posting(credit, MicroUsd(-amount))
