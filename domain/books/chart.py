"""The chart of accounts: every account of the books by name."""

from functools import lru_cache
from uuid import UUID

_NAMES_KEPT = 100_000
"""Names are asked for at every minute, and writing a UUID takes longer than all the rest of a posting."""

CLEARING = "assets:stripe:clearing"
"""Where what customers paid meets what Stripe tells of: zero once both sides have told all."""
PENDING = "assets:stripe:pending"
AVAILABLE = "assets:stripe:available"
DISPUTED = "assets:stripe:disputed"
"""What Stripe holds back while a dispute is open."""
UNEXPLAINED = "assets:stripe:unexplained"
"""Balance transactions of a kind that is not known here: to be looked at, and zero until then."""
BANK = "assets:bank"

REFUNDS_PAYABLE = "liabilities:refunds-payable"
DISPUTE_RESERVE = "liabilities:dispute-reserve"

STRIPE_FEES = "expenses:stripe-fees"
GOODWILL = "expenses:goodwill"
BAD_DEBT = "expenses:bad-debt"
PAYMENT_LOSSES = "expenses:payment-losses"
"""What was clawed back beyond all that a payment ever added."""

CORRECTIONS = "revenue:corrections"
REFUND_FEES = "revenue:refund-fees"
"""What was kept of refunds, since Stripe had kept it of the payment."""
TAX_INCLUDED = "revenue:tax-included"
"""The part of the prices that is tax: it lowers the revenue."""

WAIVED_CONTRA = "memo:waived:contra"


@lru_cache(maxsize=_NAMES_KEPT)
def prepaid(account_id: UUID) -> str:
    """Name what is owed to a customer: minus its sum is the balance of the wallet."""
    return f"liabilities:prepaid:{account_id}"


def receivable(account_id: UUID) -> str:
    """Name what a customer owes, since more was clawed back than the balance covered."""
    return f"assets:receivable:{account_id}"


@lru_cache(maxsize=_NAMES_KEPT)
def revenue(plan_id: UUID) -> str:
    """Name what was earned by minutes of a plan."""
    return f"revenue:minutes:{plan_id}"


def waived(cause: str, plan_id: UUID) -> str:
    """Name what minutes of a plan would have cost that nobody pays: a memo, no part of the result."""
    return f"memo:waived:{cause}:{plan_id}"


def tax(name: str) -> str:
    """Name what is owed to the tax office of one kind of tax."""
    return f"liabilities:tax:{name}"
