"""The words in which entries and minutes are told, the same wherever they are."""

KINDS: dict[str, str] = {
    "payment": "Payment received",
    "credit": "Credit",
    "correction": "Correction",
    "refund": "Refund",
    "refund_returned": "Refund that failed, returned",
    "dispute": "Disputed payment",
    "dispute_returned": "Disputed payment, returned",
    "debt_paid": "Paid towards what was owed",
    "debt_written_off": "Debt written off",
    "bad_debt_recovered": "Debt that had been written off, recovered",
    "minutes": "Minutes",
    "waived": "Minutes not charged",
}
"""What each kind of entry is called; in this order a statement tells their sums."""
_WHY = {
    "unpaid": "the balance did not cover {them}",
    "limit": "the token's spend limit did not cover {them}",
    "unproven": "nothing proves that it ran",
}


def with_reason(words: str, reason: str | None) -> str:
    """Return the words about an entry with the reason that was given for it, where there is one."""
    return words if reason is None else f"{words}: {reason}"


def why_not_charged(cause: str, minutes: int) -> str:
    """Return why nobody pays so many minutes."""
    return _WHY[cause].format(them="it" if minutes == 1 else "them")


def not_charged(about: str, cause: str | None, minutes: int) -> str:
    """Return what is said about so many minutes, and where nobody pays them (``cause``), that and why."""
    return about if cause not in _WHY else f"{about}, not charged: {why_not_charged(cause, minutes)}"
