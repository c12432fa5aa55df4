"""Debts: for want of which payment an account owes what it owes, or owed what was given up."""

from collections.abc import Iterable

import msgspec

from domain.ids import PaymentId
from domain.money import ZERO, MicroUsd


class Debts(msgspec.Struct, frozen=True, gc=False):
    """What was clawed back of payments and the balance did not cover, in micro-USD; nothing that is zero."""

    open: dict[PaymentId, MicroUsd] = {}
    """Owed still, the oldest debt first."""
    given_up: dict[PaymentId, MicroUsd] = {}
    """Written off, and not come back."""
    returned: PaymentId | None = None
    """Of which payment something came back last: it pays for its own debt before those of others."""


def owe(debts: Debts, payment_id: PaymentId, amount: MicroUsd) -> Debts:
    """Return the debts once more is owed for want of a payment."""
    return msgspec.structs.replace(debts, open=_with(debts.open, payment_id, amount)) if amount else debts


def return_of(debts: Debts, payment_id: PaymentId) -> Debts:
    """Return the debts once something of a payment came back."""
    return msgspec.structs.replace(debts, returned=payment_id)


def pay(debts: Debts, amount: MicroUsd) -> Debts:
    """Return the debts once so much of them is paid: of what came back its own, else the oldest first."""
    own = [debts.returned] if debts.returned in debts.open else []
    left = debts.open
    for payment_id, paid in _parts(left, (*own, *left), amount):
        left = _with(left, payment_id, MicroUsd(-paid))
    return msgspec.structs.replace(debts, open=left)


def give_up(debts: Debts, amount: MicroUsd) -> Debts:
    """Return the debts once so much of them is written off, the oldest first."""
    left, given_up = debts.open, debts.given_up
    for payment_id, part in _parts(left, left, amount):
        left, given_up = _with(left, payment_id, MicroUsd(-part)), _with(given_up, payment_id, part)
    return msgspec.structs.replace(debts, open=left, given_up=given_up)


def recover(debts: Debts, amount: MicroUsd) -> Debts:
    """Return the debts once so much comes back of what was given up for want of the payment that came back."""
    if debts.returned is None:
        return debts
    recovered = min(amount, debts.given_up.get(debts.returned, ZERO))
    return msgspec.structs.replace(debts, given_up=_with(debts.given_up, debts.returned, MicroUsd(-recovered)))


def _parts(
    amounts: dict[PaymentId, MicroUsd], order: Iterable[PaymentId], most: MicroUsd
) -> Iterable[tuple[PaymentId, MicroUsd]]:
    for payment_id in dict.fromkeys(order):
        part = min(most, amounts[payment_id])
        most = MicroUsd(most - part)
        yield payment_id, part


def _with(amounts: dict[PaymentId, MicroUsd], payment_id: PaymentId, more: MicroUsd) -> dict[PaymentId, MicroUsd]:
    changed = {**amounts, payment_id: MicroUsd(amounts.get(payment_id, ZERO) + more)}
    return {one: amount for one, amount in changed.items() if amount}
