"""Erasing an account: what has to be over first, and what is recorded before anything is destroyed."""

from collections.abc import Sequence

from domain.accounts.account import Account
from domain.accounts.commands import EraseAccount
from domain.accounts.events import AccountErased, ErasureFinished
from domain.deciding import NOTHING, Decision, recorded_in
from domain.errors import NotFound, Refusal
from domain.ids import AccountId, PaymentId, account_stream
from domain.time import Instant
from domain.wallet.top_up import CENT
from domain.wallet.wallet import Wallet


class NotErasable(Refusal):
    """Something of the account is not over, and could not be brought to an end once nobody knows whose it was."""

    code = "not_erasable"
    sentence = "account cannot be erased yet"


def erase(
    account: Account, wallet: Wallet, awaiting_stripe: Sequence[PaymentId], command: EraseAccount, now: Instant
) -> Decision:
    """Decide that a closed account is erased; nothing where it was decided before.

    ``awaiting_stripe``: its payments of which Stripe is still to tell how they end. Raises NotFound or NotErasable.
    """
    if account.id is None:
        raise NotFound
    if account.erased:
        return NOTHING
    if not account.closed:
        raise NotErasable(because="it is open; it has to be closed first")
    if not account.closing_finished or wallet.meters:
        raise NotErasable(because="its closing is not finished")
    if awaiting_stripe:
        waiting = ", ".join(str(payment_id) for payment_id in awaiting_stripe)
        raise NotErasable(because="refunds or disputes of its payments are not settled", payments=waiting)
    if wallet.receivable:
        raise NotErasable(because="it owes something; that is paid or written off first", owed=wallet.receivable)
    if wallet.refundable >= CENT and not command.leave_balance:
        raise NotErasable(because="money that was paid in did not go back", refundable=wallet.refundable)
    return recorded_in(account_stream(account.id), AccountErased(account.id, command.reason, at=now))


def finish_erasure(account: Account, account_id: AccountId, now: Instant) -> Decision:
    """Decide that everything of an erased account is destroyed that was to be; once is enough."""
    if not account.erased or account.erasure_finished:
        return NOTHING
    return recorded_in(account_stream(account_id), ErasureFinished(account_id, at=now))
