"""Erasing accounts: recorded first, then everything that tells whose it was is destroyed, until that is done."""

from collections.abc import Callable

import msgspec

from api.application.apart import read_apart
from api.application.closing import carry_on, leave
from api.application.fail_points import fail_point
from api.application.operators import OPERATOR
from api.application.queues import leased, work_off_accounts
from api.application.repository import CommandContext
from api.application.runtime import Runtime
from api.application.streams import events_between
from domain.accounts.account import account_ref
from domain.accounts.commands import EraseAccount
from domain.accounts.emails import email_form
from domain.accounts.erasing import erase, finish_erasure
from domain.accounts.events import AccountRegistered
from domain.alerts.events import AddressGiven
from domain.codec import decode
from domain.errors import Invalid, NotFound
from domain.events import ERASED, Actor, Event
from domain.ids import AccountId, StreamId, TokenId, account_stream, alerts_stream, wallet_stream
from domain.wallet.events import TokenLimited, TokenUnlimited
from domain.wallet.wallet import wallet_ref

EVERY_S = 5.0
BATCH_MAX = 100
LEASE_S = 120.0
LEASE_SCOPE = "erasure"


async def find_closed(runtime: Runtime, email: str) -> AccountId:
    """Return the closed account that had an e-mail address.

    Its address is free and found by no hash any more, so every closed account that is not erased is looked at.
    Raises NotFound; Invalid where several had it.
    """
    wanted = email_form(email)
    found: list[AccountId] = []
    after: AccountId | None = None
    while batch := await runtime.closings.closed_accounts(after, BATCH_MAX):
        accounts = await read_apart(runtime.aggregates, {account_id: account_ref(account_id) for account_id in batch})
        found += [account_id for account_id, account in accounts.items() if email_form(account.email) == wanted]
        after = batch[-1]
    if len(found) > 1:
        raise Invalid(fields={"email": f"several closed accounts had it: {', '.join(map(str, found))}"})
    if not found:
        raise NotFound
    return found[0]


async def close_if_open(runtime: Runtime, account_id: AccountId) -> None:
    """Close an account as its owner would, and do what can be done now; of one that is closed, do what is left.

    Raises NotFound.
    """
    ref = account_ref(account_id)
    account = (await runtime.aggregates.load(ref)).of(ref)
    if account.id is None:
        raise NotFound
    if account.is_open:
        await leave(
            runtime, account_id, account.email, CommandContext(actor=OPERATOR, account_id=account_id, step="close")
        )
    elif not account.closing_finished:
        await carry_on(runtime, account_id)


async def erase_account(
    runtime: Runtime, account_id: AccountId, command: EraseAccount, context: CommandContext
) -> bool:
    """Have a closed account forgotten for good; return whether all of it is destroyed, which else is done later.

    Asked again, it goes on. Raises NotFound, NotErasable, ProjectionBehind.
    """
    account, wallet = account_ref(account_id), wallet_ref(account_id)
    awaiting = await runtime.payments.open_payments.awaiting_stripe(account_id)
    await runtime.aggregates.execute(
        (account, wallet),
        lambda loaded, now: erase(loaded.of(account), loaded.of(wallet), awaiting, command, now),
        msgspec.structs.replace(context, account_id=account_id, step="erase"),
    )
    done = await leased(
        runtime.worker.leases, LEASE_SCOPE, account_id, lambda: _destroy(runtime, account_id), lease_s=LEASE_S
    )
    return done is not None


async def finish_erasures(runtime: Runtime) -> int:
    """Destroy what is left of erased accounts; return how many are finished by that."""

    async def destroy(account_id: AccountId) -> bool:
        await _destroy(runtime, account_id)
        return True

    return await work_off_accounts(
        runtime.worker.leases, LEASE_SCOPE, runtime.closings.open_erasures, destroy, lease_s=LEASE_S
    )


async def _destroy(runtime: Runtime, account_id: AccountId) -> None:
    """Destroy all that tells whose an account was. Each step may be done again; the key goes once it is not needed."""
    token_ids = await _tokens(runtime, account_id)
    # By the addresses its mail is found; a crash before the key is gone finds them again, and after it needs none.
    emails = await _emails(runtime, account_id)
    for leftovers in runtime.leftovers:
        await leftovers.forget(account_id, emails, token_ids)
    fail_point("erase:before-key")
    await runtime.sealer.erase(account_id)
    runtime.aggregates.forget()
    fail_point("erase:after-key")
    # Once more, for what a step that was under way kept meanwhile: from here on nothing can be kept.
    for leftovers in runtime.leftovers:
        await leftovers.forget(account_id, emails, token_ids)
    account = account_ref(account_id)
    await runtime.aggregates.execute(
        (account,),
        lambda loaded, now: finish_erasure(loaded.of(account), account_id, now),
        CommandContext(actor=Actor("service", part="erasing"), account_id=account_id, step="erased"),
    )


async def _tokens(runtime: Runtime, account_id: AccountId) -> set[TokenId]:
    events = await _events_of(runtime, wallet_stream(account_id), _is_token)
    return {event.token_id for event in events if isinstance(event, TokenLimited | TokenUnlimited)}


async def _emails(runtime: Runtime, account_id: AccountId) -> set[str]:
    """Return every address that the account had or had alerts sent to, as far as they can still be read."""
    await runtime.sealer.load([account_id])
    streams = account_stream(account_id), alerts_stream(account_id)
    events = [event for stream in streams for event in await _events_of(runtime, stream, _has_address)]
    emails = {event.email.lower() for event in events if isinstance(event, AccountRegistered | AddressGiven)}
    return emails - {ERASED}


async def _events_of(runtime: Runtime, stream: StreamId, wanted: Callable[[str], bool]) -> list[Event]:
    last = (await runtime.store.versions([stream])).get(stream, 0)
    recorded = events_between(runtime.store, stream, 0, last)
    return [decode(one, runtime.sealer) async for one in recorded if wanted(one.type)]


def _is_token(name: str) -> bool:
    return name.startswith(("wallet.token-limited.", "wallet.token-unlimited."))


def _has_address(name: str) -> bool:
    return name.startswith(("accounts.account-registered.", "alerts.address-given."))
