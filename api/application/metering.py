"""Metering: settling everything that is due, whenever and by however many it is asked for."""

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import msgspec
import structlog

from api.application.queues import Backoffs
from api.application.repository import AggregateRepository, CommandContext, Loaded
from domain.compute.host import HostState, host_ref, proof_of, proof_of_meter
from domain.compute.vps import Vps, request_stop, vps_ref
from domain.deciding import AggregateRef, Decision
from domain.errors import Contended
from domain.events import Actor
from domain.ids import AccountId, HostId, VpsId, vps_stream, wallet_stream
from domain.ports import Clock, StoreFailed, StoreUnavailable
from domain.pricing.price_book import PRICES
from domain.time import Instant
from domain.wallet.meter import Meter
from domain.wallet.metering import Settlement, settle
from domain.wallet.ports import DueAccounts
from domain.wallet.proofs import Proof
from domain.wallet.wallet import Wallet, wallet_ref

BATCH_ACCOUNTS_MAX = 100
"""Accounts that are looked up and read together."""
UNDER_WAY_MAX = 64
"""Accounts whose appends wait to be recorded: enough to fill a transaction while another is written."""
ROUNDS_MAX = 1_000
"""Appends for one account at one tick; what is left then comes at the next."""
PAUSE_MAX_S = 60.0
"""How long an account that cannot be settled is left alone at most, since its VPSs run on meanwhile."""

Hosts = Mapping[HostId, HostState]

_log = structlog.get_logger(__name__)


async def settle_due(
    aggregates: AggregateRepository, due: DueAccounts, clock: Clock, pauses: Backoffs[AccountId] | None = None
) -> int:
    """Settle every account of which a minute is due; return how many of them had anything to record.

    Done twice, or by two at once, it comes to the same as done once. One account that cannot be settled
    does not keep the others waiting; it is told of in the log, and met again after a pause that grows to
    ``PAUSE_MAX_S``. ``pauses``: what is known of that from earlier ticks. Raises StoreUnavailable.
    """
    tick = _Tick(aggregates, Backoffs(clock, PAUSE_MAX_S) if pauses is None else pauses)
    after = None
    try:
        while accounts := await due.due_accounts(clock.now(), after, BATCH_ACCOUNTS_MAX):
            await tick.begin(accounts)
            after = accounts[-1]
    finally:
        await tick.end()
    if tick.away is not None:
        raise tick.away
    return tick.settled


async def settle_account(aggregates: AggregateRepository, account_id: AccountId) -> bool:
    """Pay what is due of an account, and have what cannot pay stopped; tell whether that was anything."""
    return await _settle_rounds(aggregates, account_id, await _seen_together(aggregates, [account_id]))


class _Seen:
    """Wallets and prices as they were read together, and what the hosts showed."""

    def __init__(self, loaded: Loaded, hosts: Hosts) -> None:
        self.loaded = loaded
        self.hosts = hosts


class _Tick:
    """Accounts being settled side by side, so many at once."""

    def __init__(self, aggregates: AggregateRepository, pauses: Backoffs[AccountId]) -> None:
        self._aggregates = aggregates
        self._pauses = pauses
        self._room = asyncio.Semaphore(UNDER_WAY_MAX)
        self._under_way: set[asyncio.Task[None]] = set()
        self.settled = 0
        self.away: StoreUnavailable | None = None
        """Why an account was not settled, where it was for the store, and so for no other either."""

    async def begin(self, accounts: Iterable[AccountId]) -> None:
        """Begin to settle accounts, each as soon as there is room."""
        accounts = tuple(filter(self._pauses.is_over, accounts))
        try:
            seen = await _seen_together(self._aggregates, accounts)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 — each is read by itself then, and whoever is to blame found so.
            seen = None
        for account_id in accounts:
            await self._room.acquire()
            settling = asyncio.create_task(self._settle(account_id, seen))
            self._under_way.add(settling)
            settling.add_done_callback(self._under_way.discard)
            # One decision, and whatever else is ready to run gets its turn.
            await asyncio.sleep(0)

    async def end(self) -> None:
        """Wait for those under way."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _settle(self, account_id: AccountId, seen: _Seen | None) -> None:
        try:
            seen = seen or await _seen_together(self._aggregates, [account_id])
            anything = await _settle_rounds(self._aggregates, account_id, seen)
            self.settled += anything
            self._pauses.done(account_id)
        except StoreUnavailable as away:
            self.away = away
        except (StoreFailed, Contended) as passing:
            # What passes by itself gives nobody a pause in which nothing is paid.
            _log.warning("account not settled", account_id=str(account_id), problem=str(passing))
        except Exception:  # noqa: BLE001 Of this account; the others are settled all the same.
            _log.exception("account not settled", account_id=str(account_id))
            self._pauses.failed(account_id)
        finally:
            self._room.release()


async def _settle_rounds(aggregates: AggregateRepository, account_id: AccountId, seen: _Seen) -> bool:
    anything = False
    for _ in range(ROUNDS_MAX):
        settlement = await _settle_once(aggregates, account_id, seen)
        anything = anything or bool(settlement.events)
        if not settlement.more:
            break
        seen = await _seen_together(aggregates, [account_id])
    return anything


async def _settle_once(aggregates: AggregateRepository, account_id: AccountId, seen: _Seen) -> Settlement:
    wallet = wallet_ref(account_id)
    hosts: Hosts = seen.hosts
    loaded: Loaded | None = seen.loaded
    # VPSs are read only where something is recorded of them, or where their meters do not tell where they run.
    needed = frozenset(meter.vps_id for meter in seen.loaded.of(wallet).meters.values() if _is_host_unknown(meter))
    if needed:
        hosts, loaded = {**hosts, **await _hosts_of(aggregates, needed)}, None
    context = CommandContext(
        actor=Actor(kind="service", part="metering"), account_id=account_id, step="tick", low_priority=True
    )
    while True:
        refs: list[AggregateRef[Any]] = [wallet, PRICES, *map(vps_ref, needed)]
        decide = partial(_decide, account_id, needed, hosts)
        settling: _Settling = (await aggregates.execute(refs, decide, context, loaded=loaded)).result
        if not settling.unread:
            return settling.settlement
        needed, loaded = needed | settling.unread, None


class _Settling(msgspec.Struct, frozen=True):
    """What came of a decision to settle: nothing is recorded while there are VPSs that are still to be read."""

    settlement: Settlement
    unread: frozenset[VpsId]
    """VPSs that are to be stopped and were not among the loaded ones."""


def _decide(account_id: AccountId, read: frozenset[VpsId], hosts: Hosts, loaded: Loaded, now: Instant) -> Decision:
    """Decide to settle; the result is a ``_Settling``."""
    wallet = loaded.of(wallet_ref(account_id))
    vpss = {vps_id: vps for vps_id in read if (vps := loaded.of(vps_ref(vps_id))) is not None}
    settlement = settle(wallet, _proofs(wallet, vpss, hosts), loaded.of(PRICES), now)
    unread = frozenset(vps_id for vps_id, _, _ in settlement.stops) - read
    settling = _Settling(settlement, unread)
    if unread:
        return Decision(result=settling)
    stops = (
        (vps_stream(vps_id), event)
        for vps_id, _, why in settlement.stops
        for event in request_stop(vpss[vps_id], why, now)
    )
    paid = ((wallet_stream(account_id), event) for event in settlement.events)
    return Decision(events=(*paid, *stops), result=settling)


def _proofs(wallet: Wallet, vpss: Mapping[VpsId, Vps], hosts: Hosts) -> dict[VpsId, Proof]:
    proofs = {}
    for meter in wallet.meters.values():
        if meter.host_id is not None:
            proof = proof_of_meter(meter, hosts.get(meter.host_id))
        elif (vps := vpss.get(meter.vps_id)) is not None:
            proof = proof_of(vps, None if vps.host_id is None else hosts.get(vps.host_id))
        else:
            continue
        if proof is not None:
            proofs[meter.vps_id] = proof
    return proofs


def _is_host_unknown(meter: Meter) -> bool:
    return meter.host_id is None and meter.due_at is not None


async def _seen_together(aggregates: AggregateRepository, accounts: Iterable[AccountId]) -> _Seen:
    wallets = [wallet_ref(account_id) for account_id in accounts]
    loaded = await aggregates.load(PRICES, *wallets)
    placed = {meter.host_id for wallet in wallets for meter in loaded.of(wallet).meters.values()}
    return _Seen(loaded, await _read_hosts(aggregates, placed))


async def _hosts_of(aggregates: AggregateRepository, vps_ids: Iterable[VpsId]) -> Hosts:
    refs = [vps_ref(vps_id) for vps_id in vps_ids]
    loaded = await aggregates.load(*refs)
    return await _read_hosts(aggregates, (vps.host_id for ref in refs if (vps := loaded.of(ref)) is not None))


async def _read_hosts(aggregates: AggregateRepository, host_ids: Iterable[HostId | None]) -> Hosts:
    # Read before the wallets are decided about, and once for many: what a host has shown goes on being true.
    refs = {host_id: host_ref(host_id) for host_id in host_ids if host_id is not None}
    shown = await aggregates.load(*refs.values())
    return {host_id: shown.of(ref) for host_id, ref in refs.items()}
