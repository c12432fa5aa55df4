"""Closing accounts: what follows from the word of their owner, done by the request itself or by whoever comes after."""

from collections.abc import Awaitable
from uuid import UUID

import msgspec
import structlog

from api.application.queues import work_off_accounts
from api.application.repository import CommandContext, Loaded
from api.application.runtime import Runtime
from api.application.streams import events_between
from domain.accounts.account import EMAIL_CLAIM, account_ref
from domain.accounts.closing import close, finish, is_to_go_back, may_finish
from domain.accounts.commands import CloseAccount
from domain.accounts.emails import email_form
from domain.alerts.alerts import alerts_ref
from domain.codec import decode
from domain.compute import admission
from domain.compute.vps import vps_ref
from domain.deciding import NOTHING, AggregateRef, Decision
from domain.errors import Contended, NotFound
from domain.events import Actor
from domain.ids import AccountId, TokenId, VpsId
from domain.money import ZERO, MicroUsd
from domain.payments.ports import PaymentsUnavailable
from domain.ports import StoreFailed
from domain.time import Instant
from domain.tokens.commands import RevokeToken
from domain.tokens.token import revoke, token_ref
from domain.wallet.top_up import CENT
from domain.wallet.wallet import Wallet, wallet_ref
from projections.reading import ProjectionBehind

EVERY_S = 5.0
LEASE_S = 120.0
LEASE_SCOPE = "closing"

_log = structlog.get_logger(__name__)


class Progress(msgspec.Struct, frozen=True):
    """How far the closing of an account has come."""

    finished: bool
    refunded: MicroUsd
    """What went back just now, and where it is not finished, what goes back as things stand."""
    forfeited: MicroUsd
    balance: MicroUsd


async def close_account(runtime: Runtime, account_id: AccountId, email: str, context: CommandContext) -> None:
    """Record that an account is closed: the rest follows from that. Raises Unauthorized."""
    account, wallet, alerts = account_ref(account_id), wallet_ref(account_id), alerts_ref(account_id)
    command = CloseAccount(runtime.sealer.keyed_hash(EMAIL_CLAIM, email_form(email)))
    await runtime.aggregates.execute(
        (account, wallet, alerts),
        lambda loaded, now: close(loaded.of(account), loaded.of(wallet), loaded.of(alerts), command, now),
        context,
    )


async def leave(runtime: Runtime, account_id: AccountId, email: str, context: CommandContext) -> Progress:
    """Close an account, and do what can be done now. Raises Unauthorized.

    Nobody else does it meanwhile, or nobody could tell all that went back.
    """
    leases, key = runtime.worker.leases, UUID(int=account_id.int)
    await leases.take(LEASE_SCOPE, key, LEASE_S)
    try:
        await close_account(runtime, account_id, email, context)
        return await carry_on(runtime, account_id)
    finally:
        await leases.done(LEASE_SCOPE, key)


async def finish_closings(runtime: Runtime) -> int:
    """Do what is left for accounts that were closed; return how many are finished by that."""

    async def finish(account_id: AccountId) -> bool:
        return (await carry_on(runtime, account_id)).finished

    return await work_off_accounts(
        runtime.worker.leases, LEASE_SCOPE, runtime.closings.open_closings, finish, lease_s=LEASE_S
    )


async def carry_on(runtime: Runtime, account_id: AccountId) -> Progress:
    """Do what can be done now for a closed account; done twice, or by two at once, it comes to the same.

    Its minutes are settled, its VPSs deleted, its tokens revoked; once nothing of it runs, what was paid in and
    is left goes back.
    """
    context = CommandContext(actor=Actor("service", part="closing"), account_id=account_id)
    wallet = wallet_ref(account_id)
    await runtime.worker.settle(account_id)
    seen = (await runtime.aggregates.load(wallet)).of(wallet)
    failed: list[Exception] = []
    for vps_id in seen.meters:
        await _apart(_delete(runtime, account_id, vps_id, context), failed)
    for token_id in seen.limits:
        await _apart(_revoke(runtime, account_id, token_id, context), failed)
    if failed:
        raise ExceptionGroup("not all of a closed account is deleted and revoked", failed)
    before = await runtime.aggregates.load(wallet)
    if not may_finish(before.of(wallet)) or runtime.refund_all is None:
        # Without anybody who can pay it back, nothing is forfeited either: it waits.
        return _as_things_stand(before.of(wallet))
    try:
        refunded = await runtime.refund_all(account_id, context)
    except (ProjectionBehind, Contended, PaymentsUnavailable) as not_now:
        _log.info("refund of a closed account waits", account_id=str(account_id), problem=str(not_now))
        return _as_things_stand(before.of(wallet))
    after = await runtime.aggregates.load(wallet)
    if await _more_to_go_back(runtime, wallet, before, after):
        return _as_things_stand(after.of(wallet), refunded)
    return await _finish(runtime, account_id, refunded, after, context)


async def _apart(work: Awaitable[None], failed: list[Exception]) -> None:
    """Do something that keeps nothing else from being done, and note what it failed with. Raises StoreFailed."""
    try:
        await work
    except StoreFailed:
        raise
    except Exception as problem:  # noqa: BLE001 What else is on goes on costing its owner until it is deleted.
        failed.append(problem)


def _as_things_stand(wallet: Wallet, refunded: MicroUsd = ZERO) -> Progress:
    whole_cents = MicroUsd(wallet.refundable - wallet.refundable % CENT)
    forfeited = MicroUsd(wallet.balance - whole_cents)
    return Progress(False, MicroUsd(refunded + whole_cents), forfeited, wallet.balance)


async def _more_to_go_back(runtime: Runtime, wallet: AggregateRef[Wallet], before: Loaded, after: Loaded) -> bool:
    """Tell whether money came in since the wallet was loaded, so that it may not be among what was just refunded."""
    versions = before.version(wallet.stream), after.version(wallet.stream)
    async for recorded in events_between(runtime.store, wallet.stream, *versions):
        if is_to_go_back(decode(recorded)):
            return True
    return False


async def _finish(
    runtime: Runtime, account_id: AccountId, refunded: MicroUsd, seen: Loaded, context: CommandContext
) -> Progress:
    """Record that nothing is left to be done, unless the wallet moved on since it was seen."""
    account, wallet = account_ref(account_id), wallet_ref(account_id)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        if not loaded.of(account).closed or loaded.version(wallet.stream) != seen.version(wallet.stream):
            return NOTHING
        return finish(account_id, loaded.of(wallet).balance, now)

    outcome = await runtime.aggregates.execute(
        (account, wallet), decide, msgspec.structs.replace(context, step="closing")
    )
    balance = outcome.loaded.of(wallet).balance
    if not outcome.events:
        return _as_things_stand(outcome.loaded.of(wallet), refunded)
    return Progress(True, refunded, balance, balance)


async def _delete(runtime: Runtime, account_id: AccountId, vps_id: VpsId, context: CommandContext) -> None:
    vps, wallet = vps_ref(vps_id), wallet_ref(account_id)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        try:
            return admission.delete_vps(loaded.of(vps), loaded.of(wallet), account_id, now, "closed")
        except NotFound:
            return NOTHING  # It was deleted before, and its host has not shown it gone yet.

    await runtime.aggregates.execute((vps, wallet), decide, msgspec.structs.replace(context, step="delete"))


async def _revoke(runtime: Runtime, account_id: AccountId, token_id: TokenId, context: CommandContext) -> None:
    token, wallet = token_ref(token_id), wallet_ref(account_id)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        try:
            return revoke(loaded.of(token), RevokeToken(account_id, token_id), now)
        except NotFound:
            return NOTHING

    await runtime.aggregates.execute((token, wallet), decide, context)
