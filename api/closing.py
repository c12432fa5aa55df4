"""Closing accounts: what follows from the word of their owner, done by the request itself or by whoever comes after."""

from uuid import UUID

import msgspec
import structlog

from api.ledger import Context, Sight
from api.runtime import Runtime
from domain.accounts.account import EMAIL_CLAIM, account_view
from domain.accounts.closing import close, finish, may_finish
from domain.accounts.commands import CloseAccount
from domain.alerts.alerts import alerts_view
from domain.compute import admission
from domain.compute.vps import vps_view
from domain.deciding import NOTHING, Decision
from domain.errors import Contended, NotFound
from domain.events import Actor
from domain.ids import AccountId, TokenId, VpsId
from domain.money import MicroUsd
from domain.payments.checkout import CENT
from domain.ports import StoreUnavailable
from domain.time import Instant
from domain.tokens.commands import RevokeToken
from domain.tokens.token import revoke, token_view
from domain.wallet.wallet import wallet_view
from projections.reading import ProjectionBehind

EVERY_S = 5.0
OPEN_MAX = 100
LEASE_S = 120.0
LEASE_SCOPE = "closing"

_log = structlog.get_logger(__name__)


class Progress(msgspec.Struct, frozen=True):
    """How far the closing of an account has come."""

    finished: bool
    refunded: MicroUsd
    """What went back just now, or where it is not finished, what goes back as things stand."""
    forfeited: MicroUsd


async def close_account(runtime: Runtime, account_id: AccountId, email: str, context: Context) -> None:
    """Record that an account is closed: the rest follows from that. Raises Unauthorized."""
    account, wallet, alerts = account_view(account_id), wallet_view(account_id), alerts_view(account_id)
    command = CloseAccount(runtime.sealer.keyed_hash(EMAIL_CLAIM, email.lower()))
    await runtime.ledger.execute(
        (account, wallet, alerts),
        lambda sight, now: close(sight.of(account), sight.of(wallet), sight.of(alerts), command, now),
        context,
    )


async def finish_closings(runtime: Runtime) -> int:
    """Do what is left for accounts that were closed; return how many are finished by that."""
    finished = 0
    for account_id in await runtime.closings.open_closings(OPEN_MAX):
        try:
            finished += await _finish_leased(runtime, account_id)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 Of one account; the others are closed all the same.
            _log.exception("account not closed yet", account_id=str(account_id))
    return finished


async def carry_on(runtime: Runtime, account_id: AccountId) -> Progress:
    """Do what can be done now for a closed account; done twice, or by two at once, it comes to the same.

    Its minutes are settled, its VPSs deleted, its tokens revoked; once nothing of it runs, what was paid in and
    is left goes back.
    """
    context = Context(actor=Actor("service", part="closing"), account_id=account_id)
    wallet = wallet_view(account_id)
    await runtime.workshop.settle(account_id)
    seen = (await runtime.ledger.read(wallet)).of(wallet)
    for vps_id in seen.meters:
        await _delete(runtime, account_id, vps_id, context)
    for token_id in seen.limits:
        await _revoke(runtime, account_id, token_id, context)
    seen = (await runtime.ledger.read(wallet)).of(wallet)
    whole_cents = MicroUsd(seen.refundable - seen.refundable % CENT)
    as_things_stand = Progress(False, whole_cents, MicroUsd(seen.balance - whole_cents))
    if not may_finish(seen) or runtime.refund_all is None:
        # Without anybody who can pay it back, nothing is forfeited either: it waits.
        return as_things_stand
    try:
        refunded = await runtime.refund_all(account_id, context)
    except (ProjectionBehind, Contended) as not_now:
        _log.info("refund of a closed account waits", account_id=str(account_id), problem=str(not_now))
        return as_things_stand
    account = account_view(account_id)

    def decide(sight: Sight, now: Instant) -> Decision:
        return finish(account_id, sight.of(wallet).balance, now) if sight.of(account).closed else NOTHING

    outcome = await runtime.ledger.execute((account, wallet), decide, msgspec.structs.replace(context, step="closing"))
    return Progress(True, refunded, outcome.sight.of(wallet).balance)


async def _finish_leased(runtime: Runtime, account_id: AccountId) -> bool:
    leases, key = runtime.workshop.leases, UUID(int=account_id.int)
    if await leases.take(LEASE_SCOPE, key, LEASE_S) is None:
        return False
    try:
        return (await carry_on(runtime, account_id)).finished
    finally:
        await leases.done(LEASE_SCOPE, key)


async def _delete(runtime: Runtime, account_id: AccountId, vps_id: VpsId, context: Context) -> None:
    vps, wallet = vps_view(vps_id), wallet_view(account_id)

    def decide(sight: Sight, now: Instant) -> Decision:
        try:
            return admission.delete_vps(sight.of(vps), sight.of(wallet), account_id, now)
        except NotFound:
            return NOTHING  # It was deleted before, and its host has not shown it gone yet.

    await runtime.ledger.execute((vps, wallet), decide, msgspec.structs.replace(context, step="delete"))


async def _revoke(runtime: Runtime, account_id: AccountId, token_id: TokenId, context: Context) -> None:
    token, wallet = token_view(token_id), wallet_view(account_id)

    def decide(sight: Sight, now: Instant) -> Decision:
        try:
            return revoke(sight.of(token), RevokeToken(account_id, token_id), now)
        except NotFound:
            return NOTHING

    await runtime.ledger.execute((token, wallet), decide, context)
