"""Closing an account: from one append on nobody gets in and nothing is switched on; the rest follows, however long."""

from domain.accounts.account import EMAIL_CLAIM, Account, Unauthorized
from domain.accounts.commands import CloseAccount
from domain.accounts.events import AccountClosed, ClosingFinished
from domain.alerts.alerts import Alerts, end_alerts
from domain.deciding import Decision, recorded_in
from domain.events import Event
from domain.ids import AccountId, account_stream, alerts_stream, wallet_stream
from domain.money import MicroUsd
from domain.time import Instant
from domain.wallet.events import FundsAdded, FundsReturned, WalletClosed
from domain.wallet.wallet import Wallet


def close(account: Account, wallet: Wallet, alerts: Alerts, command: CloseAccount, now: Instant) -> Decision:
    """Decide that an account is closed: its sessions, tokens and alerts end, its e-mail address is free again.

    Raises Unauthorized where it is closed already.
    """
    if account.id is None or not account.is_open:
        raise Unauthorized
    account_id = account.id
    closed = () if wallet.account_id is None else (WalletClosed(account_id),)
    return Decision(
        events=(
            (account_stream(account_id), AccountClosed(account_id, at=now)),
            *((wallet_stream(account_id), event) for event in closed),
            *((alerts_stream(account_id), event) for event in end_alerts(alerts, account_id)),
        ),
        releases=((EMAIL_CLAIM, command.email_key),),
    )


def may_finish(wallet: Wallet) -> bool:
    """Tell whether all that the account used is paid, so that what is left can go back: nothing of it is there."""
    return not wallet.meters


def is_to_go_back(event: Event) -> bool:
    """Tell whether an event brings a closed account money that is to go back to whoever paid it.

    Not what a refund that failed brings back: asked for once more, it would only fail once more.
    """
    return isinstance(event, FundsAdded) or (isinstance(event, FundsReturned) and event.cause == "dispute-won")


def finish(account_id: AccountId, forfeited: MicroUsd, now: Instant) -> Decision:
    """Decide that nothing is left to be done for a closed account."""
    return recorded_in(account_stream(account_id), ClosingFinished(account_id, forfeited, at=now))
