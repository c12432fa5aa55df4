"""Metering: settling everything that is due, whenever and by however many it is asked for."""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from api.ledger import Context, Ledger, Sight
from domain.compute.host import HostState, host_view, proof_of
from domain.compute.vps import Vps, request_stop, vps_view
from domain.deciding import Decision, View
from domain.events import Actor
from domain.ids import AccountId, HostId, VpsId, vps_stream, wallet_stream
from domain.ports import Clock
from domain.pricing.price_book import PRICES
from domain.time import Instant
from domain.wallet.metering import Settlement, settle
from domain.wallet.ports import DueAccounts
from domain.wallet.wallet import Wallet, wallet_view

BATCH_ACCOUNTS_MAX = 200
"""Accounts settled side by side: their appends come to the store in one batch, which others wait for."""
ROUNDS_MAX = 1_000
"""Appends for one account at one tick; what is left then comes at the next."""

_log = structlog.get_logger(__name__)


async def settle_due(ledger: Ledger, due: DueAccounts, clock: Clock) -> int:
    """Settle every account of which a minute is due; return how many of them had anything to record.

    Done twice, or by two at once, it comes to the same as done once. One account that cannot be settled
    does not keep the others waiting; it is told of in the log and met again at the next tick.
    """
    settled, after = 0, None
    while accounts := await due.due_accounts(clock.now(), after, BATCH_ACCOUNTS_MAX):
        results = await asyncio.gather(*(settle_account(ledger, one) for one in accounts), return_exceptions=True)
        for account_id, result in zip(accounts, results, strict=True):
            if isinstance(result, Exception):
                _log.error("account not settled", account_id=str(account_id), exc_info=result)
            elif isinstance(result, BaseException):
                raise result
            else:
                settled += result
        after = accounts[-1]
    return settled


async def settle_account(ledger: Ledger, account_id: AccountId) -> bool:
    """Pay what is due of an account, and have what cannot pay stopped; tell whether that was anything."""
    anything = False
    for _ in range(ROUNDS_MAX):
        settlement = await _settle_once(ledger, account_id)
        anything = anything or bool(settlement.events)
        if not settlement.more:
            break
    return anything


async def _settle_once(ledger: Ledger, account_id: AccountId) -> Settlement:
    wallet = wallet_view(account_id)
    vpss = await _vps_views(ledger, wallet)
    if not vpss:
        return Settlement()
    hosts = await _host_views(ledger, vpss)
    settlement = Settlement()

    def decide(sight: Sight, now: Instant) -> Decision:
        nonlocal settlement
        seen = {vps_id: vps for vps_id, view in vpss.items() if (vps := sight.of(view)) is not None}
        shown = {host_id: sight.of(view) for host_id, view in hosts.items()}
        proofs = {
            vps_id: proof for vps_id, vps in seen.items() if (proof := proof_of(vps, _host_of(vps, shown))) is not None
        }
        settlement = settle(sight.of(wallet), proofs, sight.of(PRICES), now)
        stops = tuple(
            (vps_stream(vps_id), event)
            for vps_id, _, why in settlement.stops
            for event in request_stop(seen[vps_id], why, now)
        )
        return Decision(events=(*((wallet_stream(account_id), event) for event in settlement.events), *stops))

    context = Context(actor=Actor(kind="service", part="metering"), account_id=account_id, step="tick")
    await ledger.execute([wallet, PRICES, *vpss.values(), *hosts.values()], decide, context)
    return settlement


async def _vps_views(ledger: Ledger, wallet: View[Wallet]) -> dict[VpsId, View[Vps | None]]:
    meters = (await ledger.read(wallet)).of(wallet).meters.values()
    return {meter.vps_id: vps_view(meter.vps_id) for meter in meters if meter.due_at is not None}


async def _host_views(ledger: Ledger, vpss: Mapping[VpsId, View[Vps | None]]) -> dict[HostId, View[Any]]:
    sight = await ledger.read(*vpss.values())
    placed = (vps.host_id for view in vpss.values() if (vps := sight.of(view)) is not None)
    return {host_id: host_view(host_id) for host_id in placed if host_id is not None}


def _host_of(vps: Vps, shown: Mapping[HostId, HostState]) -> HostState:
    return None if vps.host_id is None else shown.get(vps.host_id)
