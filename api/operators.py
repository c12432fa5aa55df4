"""What operators do outside of HTTP: making accounts and giving funds, recorded like everything else."""

from typing import get_args

from api.ledger import Context
from api.runtime import Runtime
from domain.accounts import account as accounts
from domain.accounts.commands import RegisterAccount
from domain.accounts.events import Role
from domain.deciding import recorded_in
from domain.errors import NotFound
from domain.events import Actor
from domain.ids import AccountId
from domain.money import MicroUsd
from domain.ports import ClaimTaken
from domain.wallet.commands import CreditFunds
from domain.wallet.funds import credit_funds
from domain.wallet.wallet import wallet_view

ROLES: tuple[Role, ...] = get_args(Role)
OPERATOR = Actor(kind="operator", part="command line")


async def create_account(runtime: Runtime, email: str, password: str, roles: tuple[Role, ...] = ()) -> AccountId:
    """Make an account and its wallet; return its id. Raises Invalid or EmailTaken."""
    email_key = runtime.sealer.keyed_hash(accounts.EMAIL_CLAIM, accounts.checked_email(email))
    accounts.check_new_password(password)
    account_id = AccountId(runtime.ids.new())
    password_hash = await runtime.passwords.hash(password)
    command = RegisterAccount(account_id, email, email_key, password_hash, roles)
    context = Context(actor=OPERATOR, account_id=account_id, step="register")
    views = (accounts.account_view(account_id), wallet_view(account_id))
    try:
        await runtime.ledger.execute(views, lambda _sight, _now: accounts.register(command), context)
    except ClaimTaken:
        raise accounts.EmailTaken from None
    return account_id


async def find_account(runtime: Runtime, email: str) -> AccountId:
    """Return the account that has an e-mail address. Raises Invalid or NotFound."""
    email_key = runtime.sealer.keyed_hash(accounts.EMAIL_CLAIM, accounts.checked_email(email))
    claim = await runtime.store.find_claim(accounts.EMAIL_CLAIM, email_key)
    if claim is None:
        raise NotFound
    return AccountId(claim.holder)


async def credit(runtime: Runtime, account_id: AccountId, amount: MicroUsd, reason: str) -> MicroUsd:
    """Give an account funds, as goodwill; return its balance after. Raises Invalid."""
    wallet = wallet_view(account_id)
    command = CreditFunds(credit_id=runtime.ids.new(), amount=amount, reason=reason)
    outcome = await runtime.ledger.execute(
        (wallet,),
        lambda sight, _now: recorded_in(wallet.stream, *credit_funds(sight.of(wallet), command)),
        Context(actor=OPERATOR, account_id=account_id, step="credit"),
    )
    return outcome.sight.of(wallet).balance
