"""The reconciler: compares what hosts show with what the ledger says, and records and mends what differs."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, assert_never

import structlog

from api.application.apart import read_apart
from api.application.capacity import adopt
from api.application.fail_points import fail_point
from api.application.repository import Loaded
from api.application.worker_context import WorkerContext
from api.workers.host_observation import observe_host
from domain.compute import outcomes
from domain.compute.capacity import capacity_ref
from domain.compute.events import HostDiffered
from domain.compute.host import Finding, compare, host_ref, leave_alone, lose, off_reason, shows_off
from domain.compute.ports import GuestSeen, HostObservation, Hypervisor, HypervisorUnavailable
from domain.compute.vps import Vps, find_host, lose_host, vps_ref
from domain.deciding import NOTHING, AggregateRef, Decision, recorded_in
from domain.events import Event
from domain.ids import HostId, VpsId, host_stream
from domain.ports import StoreFailed, StoreUnavailable
from domain.pricing.price_book import PRICES
from domain.settings.settings import SETTINGS_REF
from domain.time import MINUTE, Instant, seconds
from domain.wallet.wallet import wallet_ref

ORPHAN_GRACE_S = 120.0
"""How long a guest of a deleted VPS, or one that is not shown at all, is only watched: nothing is done on one look."""
LOOK_S = 5.0
"""How long a look waits for hosts: what one shows proves minutes that are to be settled, whatever another does."""
LOOKED_AT_MAX = 2_000
"""How many VPSs are read at once."""

_log = structlog.get_logger(__name__)


class Reconciler:
    """Compares every host that this process drives. Several may be at it: what one has mended, the next finds so."""

    def __init__(
        self, worker: WorkerContext, *, orphan_grace_s: float = ORPHAN_GRACE_S, look_s: float = LOOK_S
    ) -> None:
        self._context = worker
        self._look_s = look_s
        self._orphan_grace_s = orphan_grace_s
        self._orphan_since: dict[tuple[HostId, VpsId], Instant] = {}
        self._absent_since: dict[tuple[HostId, VpsId], Instant] = {}
        self._drift_recorded: set[tuple[HostId, VpsId]] = set()
        self._looks: dict[HostId, asyncio.Task[None]] = {}
        """Those under way: one a host, however long it takes."""
        self._silent_since: dict[HostId, Instant] = {}
        """When a host was asked that has not answered since."""

    async def reconcile(self) -> None:
        """Observe every host at once, and mend what differs. A host that does not answer is left for later.

        One that takes longer than ``LOOK_S`` is not waited for, nor asked anything else until it has answered.
        Raises what befell one of the hosts, once all others were looked at.
        """
        begun = [self._begun(hypervisor) for hypervisor in self._context.hypervisors.values()]
        looks = [look for look in begun if look is not None]
        if looks:
            await asyncio.wait(looks, timeout=self._look_s)
        await self._lose_silent_hosts()
        for look in looks:
            if look.done():
                look.result()

    def _begun(self, hypervisor: Hypervisor) -> asyncio.Task[None] | None:
        before = self._looks.get(hypervisor.host_id)
        if before is not None and not before.done():
            return None
        look = self._looks[hypervisor.host_id] = asyncio.create_task(self._reconcile_host(hypervisor))
        return look

    async def _lose_silent_hosts(self) -> None:
        """Record of hosts that have been silent for long that they are gone, and of what is on them likewise."""
        if not self._silent_since:
            return
        settings = (await self._context.aggregates.load(SETTINGS_REF)).of(SETTINGS_REF)
        lost_after = settings.host_lost_after_minutes * MINUTE
        for host_id, since in list(self._silent_since.items()):
            if self._context.clock.now() - since >= lost_after:
                await self._lose(host_id, since, lost_after)

    async def _lose(self, host_id: HostId, silent_since: Instant, lost_after: int) -> None:
        ref = host_ref(host_id)

        def decide(loaded: Loaded, now: Instant) -> Decision:
            host = loaded.of(ref)
            return NOTHING if host is None else recorded_in(ref.stream, *lose(host, silent_since, now, lost_after))

        outcome = await self._context.record([ref], decide, "lose", None)
        host = outcome.loaded.of(ref)
        if host is None or host.lost_since is None:
            return
        if outcome.events:
            _log.error("a host does not answer, and is taken to be gone", host_id=str(host_id))
        # Each time anew, since it may have been broken off halfway.
        since = host.lost_since
        for vps_id, vps in await self._placed_on(host_id):
            if lose_host(vps, host_id, since, self._context.clock.now()):
                with _left_for_later(host_id, vps_id):
                    await self._record_of(vps, "lose", lambda vps, now: lose_host(vps, host_id, since, now))

    async def _placed_on(self, host_id: HostId) -> list[tuple[VpsId, Vps | None]]:
        vps_ids = await self._context.work.vpss_on(host_id)
        found: list[tuple[VpsId, Vps | None]] = []
        for first in range(0, len(vps_ids), LOOKED_AT_MAX):
            refs = {vps_id: vps_ref(vps_id) for vps_id in vps_ids[first : first + LOOKED_AT_MAX]}
            found += (await read_apart(self._context.aggregates, refs)).items()
        return found

    async def _record_of(
        self, vps: Vps | None, step: str, decided: Callable[[Vps | None, Instant], tuple[Event, ...]]
    ) -> None:
        assert vps is not None, "only of a VPS that was read is there anything to record"
        ref = vps_ref(vps.vps_id)

        def decide(loaded: Loaded, now: Instant) -> Decision:
            return recorded_in(ref.stream, *decided(loaded.of(ref), now))

        await self._context.record([ref], decide, step, vps.account_id)

    async def _reconcile_host(self, hypervisor: Hypervisor) -> None:
        host_id = hypervisor.host_id
        self._silent_since.setdefault(host_id, self._context.clock.now())
        try:
            # Asked before the host is: what is placed later cannot be missing from what it shows.
            expected = await self._context.work.vpss_on(host_id)
            seen = await observe_host(self._context, hypervisor)
            self._silent_since.pop(host_id, None)
            await self._compare(hypervisor, expected, seen)
            await adopt(self._context, host_id, expected)
            await self._release(hypervisor, seen)
            await hypervisor.ensure_network()
        except HypervisorUnavailable as problem:
            _log.warning("host does not answer", host_id=str(host_id), problem=str(problem))

    async def _compare(self, hypervisor: Hypervisor, expected: Iterable[VpsId], seen: HostObservation) -> None:
        guests = {guest.vps_id: guest for guest in seen.guests}
        vps_ids = list(dict.fromkeys((*expected, *guests)))
        orphans: set[VpsId] = set()
        for first in range(0, len(vps_ids), LOOKED_AT_MAX):
            refs = {vps_id: vps_ref(vps_id) for vps_id in vps_ids[first : first + LOOKED_AT_MAX]}
            for vps_id, vps in (await read_apart(self._context.aggregates, refs)).items():
                guest = guests.get(vps_id)
                finding = compare(vps, guest, hypervisor.host_id, seen.collected_at)
                if finding == "orphan" and guest is not None:
                    orphans.add(vps_id)
                with _left_for_later(hypervisor.host_id, vps_id):
                    await self._repair(hypervisor, finding, vps_id, vps, guest, seen)
                    if find_host(vps, hypervisor.host_id, seen.collected_at):
                        await self._record_of(
                            vps, "found", lambda vps, _now: find_host(vps, hypervisor.host_id, seen.collected_at)
                        )
        self._forget_orphans_but(hypervisor.host_id, orphans)

    async def _repair(
        self,
        hypervisor: Hypervisor,
        finding: Finding,
        vps_id: VpsId,
        vps: Vps | None,
        guest: GuestSeen | None,
        seen: HostObservation,
    ) -> None:
        collected_at = seen.collected_at
        match finding:
            case "off" | "lost":
                assert vps is not None
                await self._record_off(hypervisor, vps, finding, guest, seen)
            case "unwanted":
                differed = HostDiffered(hypervisor.host_id, vps_id, "stale-generation", "stopped", collected_at)
                await self._record_drift(differed)
                fail_point("differ:before-host")
                await hypervisor.ensure_off(vps_id, grace_s=0)
                fail_point("differ:after-host")
            case "orphan":
                if guest is not None:
                    await self._delete_orphan(hypervisor, vps_id, collected_at)
            case "unknown" | "duplicate":
                if guest is not None:
                    await self._leave(hypervisor.host_id, finding, vps_id, collected_at)
            case "agrees":
                pass
            case _:
                assert_never(finding)

    async def _record_off(
        self, hypervisor: Hypervisor, vps: Vps, finding: Finding, guest: GuestSeen | None, seen: HostObservation
    ) -> None:
        """Have a VPS that should run and does not be stopped, and its guest put off if it is only halted.

        A guest of another start is put off after the next look, as is one that could not be put off now.
        """
        host_id = hypervisor.host_id
        reason = off_reason(vps, guest, seen.boot_id)
        differed = HostDiffered(
            host_id=host_id,
            vps_id=vps.vps_id,
            difference="missing" if guest is None else "off" if finding == "off" else "stale-generation",
            action="recorded-off",
            collected_at=seen.collected_at,
        )
        await self._context.settle(vps.account_id)
        ref, wallet, host = vps_ref(vps.vps_id), wallet_ref(vps.account_id), host_ref(host_id)
        reserved = capacity_ref(host_id)

        def decide(loaded: Loaded, _now: Instant) -> Decision:
            shown = loaded.of(host)
            assert shown is not None
            return outcomes.found_off(
                loaded.of(ref),
                loaded.of(wallet),
                shown,
                loaded.of(reserved),
                loaded.of(PRICES),
                differed,
                reason,
                shown_off=shows_off(vps, guest),
            )

        refs: list[AggregateRef[Any]] = [ref, wallet, host, reserved, PRICES]
        outcome = await self._context.record(refs, decide, "differ", vps.account_id)
        _log.warning("a vps was found off", vps_id=str(vps.vps_id), reason=reason)
        if outcome.events and finding == "off" and guest is not None and guest.start_id:
            await hypervisor.ensure_off(vps.vps_id, grace_s=0)

    async def _delete_orphan(self, hypervisor: Hypervisor, vps_id: VpsId, collected_at: Instant) -> None:
        """Remove a guest whose VPS has been known as deleted for the whole of the grace."""
        since = self._orphan_since.setdefault((hypervisor.host_id, vps_id), collected_at)
        if collected_at - since < seconds(self._orphan_grace_s):
            return
        _log.warning("a guest of a deleted vps is removed", vps_id=str(vps_id))
        await self._record_drift(HostDiffered(hypervisor.host_id, vps_id, "orphan", "removed", collected_at))
        fail_point("differ:before-host")
        await hypervisor.ensure_removed(vps_id)
        fail_point("differ:after-host")

    async def _leave(
        self, host_id: HostId, finding: Literal["unknown", "duplicate"], vps_id: VpsId, collected_at: Instant
    ) -> None:
        """Leave a guest alone that the ledger cannot explain: nobody asked for its end, and there is a disk.

        A ledger that was restored from an older backup knows nothing of what came after it.
        """
        if (host_id, vps_id) in self._drift_recorded:
            return
        _log.error(
            "a guest that the ledger cannot explain is left alone: was the ledger restored from an older backup?",
            host_id=str(host_id),
            vps_id=str(vps_id),
            finding=finding,
        )
        ref = host_ref(host_id)
        difference: Literal["duplicate", "orphan"] = "duplicate" if finding == "duplicate" else "orphan"
        differed = HostDiffered(host_id, vps_id, difference, "none", collected_at)

        def decide(loaded: Loaded, _now: Instant) -> Decision:
            host = loaded.of(ref)
            assert host is not None, "a host is registered before it is driven"
            return recorded_in(ref.stream, *leave_alone(host, differed))

        await self._context.record([ref], decide, "differ", None)
        self._drift_recorded.add((host_id, vps_id))

    async def _release(self, hypervisor: Hypervisor, seen: HostObservation) -> None:
        """Release what is held for guests that the host shows off by now, or that are gone for the whole grace."""
        host_id = hypervisor.host_id
        reserved = capacity_ref(host_id)
        held = (await self._context.aggregates.load(reserved)).of(reserved).by_vps
        guests = {guest.vps_id: guest for guest in seen.guests}
        absent: set[VpsId] = set()
        for first in range(0, len(held), LOOKED_AT_MAX):
            vps_ids = list(held)[first : first + LOOKED_AT_MAX]
            refs = {vps_id: vps_ref(vps_id) for vps_id in vps_ids}
            for vps_id, vps in (await read_apart(self._context.aggregates, refs)).items():
                guest = guests.get(vps_id)
                if vps is None or not (vps.deleted or (held[vps_id].on and vps.power == "off" and not vps.wanted_on)):
                    continue
                if vps.deleted or not shows_off(vps, guest):
                    if guest is not None and guest.start_id:
                        continue  # It is on: first it is put off, or removed, as an orphan is.
                    absent.add(vps_id)
                    since = self._absent_since.setdefault((host_id, vps_id), seen.collected_at)
                    if seen.collected_at - since < seconds(self._orphan_grace_s):
                        continue
                    with _left_for_later(host_id, vps_id):
                        # What the host does not show may be there all the same: it is told once more.
                        await (
                            hypervisor.ensure_removed(vps_id)
                            if vps.deleted
                            else hypervisor.ensure_off(vps_id, grace_s=0)
                        )
                        await self._release_late(host_id, vps_id, seen.collected_at)
                    continue
                with _left_for_later(host_id, vps_id):
                    await self._release_late(host_id, vps_id, seen.collected_at)
        for known_host, vps_id in list(self._absent_since):
            if known_host == host_id and vps_id not in absent:
                del self._absent_since[known_host, vps_id]

    async def _release_late(self, host_id: HostId, vps_id: VpsId, collected_at: Instant) -> None:
        ref, reserved = vps_ref(vps_id), capacity_ref(host_id)

        def decide(loaded: Loaded, _now: Instant) -> Decision:
            return outcomes.released_late(loaded.of(ref), host_id, loaded.of(reserved), collected_at)

        await self._context.record([ref, reserved], decide, "release", None)

    async def _record_drift(self, differed: HostDiffered) -> None:
        ref = host_ref(differed.host_id)
        await self._context.record(
            [ref], lambda _loaded, _now: recorded_in(host_stream(differed.host_id), differed), "differ", None
        )

    def _forget_orphans_but(self, host_id: HostId, present: set[VpsId]) -> None:
        for known_host, vps_id in list(self._orphan_since):
            if known_host == host_id and vps_id not in present:
                del self._orphan_since[known_host, vps_id]


@contextmanager
def _left_for_later(host_id: HostId, vps_id: VpsId) -> Iterator[None]:
    """Have one guest with which its host can do nothing, or we cannot, keep none of the others waiting."""
    try:
        yield
    except StoreUnavailable:
        raise
    except (HypervisorUnavailable, StoreFailed) as problem:
        _log.warning("left for the next look", host_id=str(host_id), vps_id=str(vps_id), problem=str(problem))
    except Exception:  # noqa: BLE001 Whatever it is, it is of this one.
        _log.exception("left for the next look", host_id=str(host_id), vps_id=str(vps_id))
