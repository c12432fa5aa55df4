"""Funds and admission: what comes into a wallet, and which VPSs may be on by it."""

from domain.accounts.account import Unauthorized
from domain.errors import Invalid, InvariantBroken, Refusal, not_none
from domain.events import Event
from domain.ids import AccountId, HostId, PlanId, TokenId, VpsId
from domain.money import MicroUsd
from domain.pricing.price_book import PriceBook
from domain.time import Instant
from domain.wallet.boots import check_boots, is_counted
from domain.wallet.commands import AdmitVps, CreditFunds
from domain.wallet.events import (
    BootEnded,
    BootEnding,
    FundsCredited,
    MeterStarted,
    ReceivablePaid,
    ReleaseCause,
    VpsAdmitted,
    VpsPlanChanged,
    VpsReleased,
    WalletOpened,
)
from domain.wallet.top_up import least_top_up
from domain.wallet.wallet import Wallet, evolve

CREDIT_MAX = MicroUsd(1_000_000_000_000)
"""A million USD at once: far from what 64 bits hold, however often."""

REASON_LENGTH_MAX = 1000


class InsufficientBalance(Refusal):
    """The balance does not cover an hour of everything that would be on; all facts in micro-USD."""

    code = "insufficient_balance"
    sentence = "insufficient balance"

    def __init__(self, *, balance: MicroUsd, required: MicroUsd) -> None:
        shortfall = MicroUsd(required - balance)
        super().__init__(balance=balance, required=required, shortfall=shortfall, top_up=least_top_up(shortfall))
        self.balance = balance
        self.required = required


class AccountFrozen(Refusal):
    """The account owes something, so nothing of it may be switched on; all facts are in micro-USD.

    Its balance is zero, so that what is owed and the hours to be covered are both to be paid in.
    """

    code = "account_frozen"
    sentence = "account is frozen until what it owes is paid"

    def __init__(self, *, owed: MicroUsd, required: MicroUsd) -> None:
        shortfall = MicroUsd(owed + required)
        super().__init__(owed=owed, shortfall=shortfall, top_up=least_top_up(shortfall))
        self.owed = owed


class TokenSpendLimitReached(Refusal):
    """What is left of a token's limit does not cover an hour of all its VPSs that would be on; in micro-USD."""

    code = "token_spend_limit_reached"
    sentence = "token spend limit reached"

    def __init__(self, *, left: MicroUsd, required: MicroUsd) -> None:
        super().__init__(left=left, required=required)
        self.left = left
        self.required = required


class VpsOfAnother(Refusal):
    """A token with a limit asks to switch on a VPS that it did not create, so that nothing would limit it."""

    code = "vps_not_created_by_token"
    sentence = "a token with a spend limit can switch on only what it created"


def open_wallet(wallet: Wallet, account_id: AccountId) -> tuple[Event, ...]:
    """Give an account its wallet; it has only one."""
    if wallet.account_id is not None:
        return ()
    return (WalletOpened(account_id=account_id),)


def credit_funds(wallet: Wallet, command: CreditFunds) -> tuple[Event, ...]:
    """Add funds to a wallet. Raises Invalid for an amount or a reason that cannot be meant."""
    if not 0 < command.amount <= CREDIT_MAX:
        raise Invalid(fields={"amount": "must be above 0 and at most 1000000 USD"})
    check_reason(command.reason)
    credited = FundsCredited(
        account_id=owner(wallet),
        credit_id=command.credit_id,
        amount=command.amount,
        reason=command.reason,
    )
    return (credited, *settle_debt(evolve(wallet, credited)))


def settle_debt(wallet: Wallet) -> tuple[Event, ...]:
    """Return what of the balance goes at once to what the account owes; nothing where it owes nothing."""
    paid = min(wallet.balance, wallet.receivable)
    return (ReceivablePaid(account_id=owner(wallet), amount=paid),) if paid else ()


def check_reason(reason: str) -> None:
    """Raise Invalid for a reason that tells nothing, or too much to be kept."""
    if not 0 < len(reason.strip()) <= REASON_LENGTH_MAX:
        raise Invalid(fields={"reason": f"must be 1 to {REASON_LENGTH_MAX} characters"})


def required_balance(wallet: Wallet, book: PriceBook, plan_id: PlanId, now: Instant) -> MicroUsd:
    """Return what must be there to admit a VPS of this plan: one hour of it and of each VPS that is on."""
    plans = [plan_id, *(meter.plan_id for meter in wallet.meters_on())]
    return MicroUsd(sum(book.in_force(plan, now).price_hourly for plan in plans))


def admit(wallet: Wallet, book: PriceBook, command: AdmitVps, now: Instant) -> tuple[Event, ...]:
    """Let a VPS be on if the balance covers an hour of all, and its token's limit one of all of that token.

    Raises AccountFrozen, InsufficientBalance, TokenSpendLimitReached; Unauthorized for an account that was
    closed; TooManyFailedStarts; and, where a token asks, Unauthorized for one that is no longer good, VpsOfAnother
    for one that may not go past its limit by others' VPSs.

    An earlier start of the VPS must have been shown off before (``MeterClosed``, or it never ran).
    """
    meter = wallet.meters.get(command.vps_id)
    if meter is not None and not meter.closed:
        raise InvariantBroken("a VPS is switched on again only after it was off")
    if wallet.closed:
        raise Unauthorized  # Closed since the request was let in: this append is the last that can see it.
    check_asking(wallet, command.asked_by, command.token_id, now)
    check_boots(wallet.boots, command.vps_id, command.failed_starts_max, now)
    if command.token_id is not None:
        check_limit(wallet, book, command.token_id, command.plan_id, now)
    # Last, for 402 says that the same request succeeds once that is paid: nothing else may be in its way.
    required = required_balance(wallet, book, command.plan_id, now)
    if wallet.frozen:
        raise AccountFrozen(owed=wallet.receivable, required=required)
    if wallet.balance < required:
        raise InsufficientBalance(balance=wallet.balance, required=required)
    return (
        VpsAdmitted(
            account_id=owner(wallet),
            vps_id=command.vps_id,
            generation=command.generation,
            plan_id=command.plan_id,
            token_id=command.token_id,
            created_at=command.created_at,
        ),
    )


def required_of_limit(wallet: Wallet, book: PriceBook, token_id: TokenId, plan_id: PlanId, now: Instant) -> MicroUsd:
    """Return what must be left of a token's limit to admit a VPS: an hour of it and of each of its VPSs that is on."""
    plans = [plan_id, *(meter.plan_id for meter in wallet.meters_on() if meter.token_id == token_id)]
    return MicroUsd(sum(book.in_force(plan, now).price_hourly for plan in plans))


def check_limit(wallet: Wallet, book: PriceBook, token_id: TokenId, plan_id: PlanId, now: Instant) -> None:
    """Raise TokenSpendLimitReached where a VPS of this token and plan would go past its limit within an hour."""
    limit = wallet.limits.get(token_id)
    left = None if limit is None else limit.left(now)
    if left is None:
        return
    required = required_of_limit(wallet, book, token_id, plan_id, now)
    if left < required:
        raise TokenSpendLimitReached(left=left, required=required)


def start_meter(
    wallet: Wallet, vps_id: VpsId, generation: int, at: Instant, *, host_id: HostId | None, start_id: str
) -> tuple[Event, ...]:
    """Note the first login after a start: from ``at`` on the VPS runs. Once a start, never after its release."""
    meter = wallet.meters.get(vps_id)
    if meter is None or meter.generation != generation or meter.run_from is not None or not meter.on:
        return ()
    return (MeterStarted(vps_id=vps_id, generation=generation, at=at, host_id=host_id, start_id=start_id),)


def end_boot(
    wallet: Wallet, vps_id: VpsId, generation: int, began_at: Instant, at: Instant, ending: BootEnding
) -> tuple[Event, ...]:
    """Note that a guest booted at no cost: for too long, in vain, or until its owner had enough. Once a start."""
    meter = wallet.meters.get(vps_id)
    if meter is None or meter.generation != generation or meter.run_from is not None or not meter.on:
        return ()
    ended = BootEnded(vps_id=vps_id, generation=generation, began_at=began_at, at=at, ending=ending)
    return (ended,) if is_counted(ended) else ()


def release(wallet: Wallet, vps_id: VpsId, at: Instant, cause: ReleaseCause) -> tuple[Event, ...]:
    """Note that a VPS no longer counts as running since ``at``: a stop or delete accepted, off, an error.

    Deleting is noted whatever came before, so that the meter can be forgotten; else only the first counts.
    """
    meter = wallet.meters.get(vps_id)
    if meter is None or (cause == "delete" and meter.deleted):
        return ()
    if cause != "delete" and (meter.runs_until is not None or meter.closed):
        return ()
    return (VpsReleased(vps_id=vps_id, generation=meter.generation, at=at, cause=cause),)


def change_plan(wallet: Wallet, vps_id: VpsId, plan_id: PlanId, now: Instant) -> tuple[Event, ...]:
    """Note that a VPS that is off is of another plan."""
    meter = wallet.meters.get(vps_id)
    if meter is None or not meter.closed:
        raise InvariantBroken("a VPS is resized only after it was off")
    return (VpsPlanChanged(account_id=owner(wallet), vps_id=vps_id, plan_id=plan_id, at=now),)


def check_asking(wallet: Wallet, asked_by: TokenId | None, token_id: TokenId | None, now: Instant) -> None:
    """Raise Unauthorized for a token that is no longer good, VpsOfAnother for a limited one and another's VPS.

    ``token_id``: the one that the VPS counts against.
    """
    if asked_by is None:
        return
    # Revoked or expired since it was let in: this append is the last that can see it.
    limit = wallet.limits.get(asked_by)
    if limit is None or limit.expired(now):
        raise Unauthorized
    if limit.limit is not None and token_id != asked_by:
        raise VpsOfAnother


def owner(wallet: Wallet) -> AccountId:
    """Return whose wallet it is."""
    return not_none(wallet.account_id, "nothing moves in a wallet before it was opened")
