"""The VPSs of an account, whoever asks: made, switched on and off, deleted, listed, and quoted for."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from api.application.blobs import offloaded_texts
from api.application.caller import Caller
from api.application.capacity import RoomRefs, room_refs
from api.application.once import Once
from api.application.repository import Decided, Loaded
from api.application.runtime import Runtime
from api.application.streams import events_between
from api.application.templates import TemplateView, get_template
from api.application.vps_queries import VpsListQuery
from domain.accounts.ssh_keys import authorized_keys, ssh_keys_ref
from domain.blobs import OffloadedText
from domain.compute import admission, changing
from domain.compute import vps as vpss
from domain.compute.commands import ChangeVps, CreateVps
from domain.compute.egress import WantedEgress
from domain.compute.sizes import choose_plan
from domain.compute.vps import Vps, vps_ref
from domain.deciding import AggregateRef, Decision
from domain.errors import Invalid, NotFound
from domain.ids import PlanId, SshKeyId, TokenId, VpsId, vps_stream
from domain.images.images import IMAGES, LITE, Image
from domain.money import MicroUsd
from domain.ports import Recorded
from domain.pricing.price_book import PRICES, Plan, PriceBook
from domain.settings.settings import SETTINGS_REF
from domain.time import Instant
from domain.wallet.meter import Meter
from domain.wallet.quote import Quote, quote
from domain.wallet.wallet import Wallet, wallet_ref


class VpsSpecification(msgspec.Struct, frozen=True, kw_only=True):
    """A VPS to be made. Without a plan, the cheapest that covers the sizes; sizes in MiB and GiB.

    What is told here counts more than what its template says; with a plan, the template's sizes are not asked for.
    """

    name: str
    plan_id: PlanId | None = None
    template: str | None = None
    """The name of one."""
    ssh_key_ids: tuple[SshKeyId, ...] = ()
    vcpu: int | None = None
    memory_mb: int | None = None
    disk_gb: int | None = None
    user_data: str | None = None
    labels: dict[str, str] = {}
    ttl_minutes: int | UnsetType | None = UNSET
    """Unset: as its template says; None: it is not deleted by itself."""
    egress: WantedEgress | None = None


class VpsDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A VPS as its owner sees it."""

    vps: Vps
    meter: Meter | None
    """None where it never ran."""
    price_hourly: MicroUsd
    """Of its plan, now."""
    changed: bool = False
    """Whether something is still to be done of what was asked for; otherwise it was so already."""
    wallet: Wallet
    """The account's."""


class VpsQuote(msgspec.Struct, frozen=True, kw_only=True):
    """What switching a VPS on would come to; nothing was done."""

    quote: Quote
    plan: Plan
    wallet: Wallet
    at: Instant


class VpsPage(msgspec.Struct, frozen=True):
    """A part of a list of VPSs, newest first, with the places of its ends as ``VpsListSlice`` has them."""

    shown: list[VpsDetails]
    total: int | None
    older: int | None
    newer: int | None


async def create_vps(
    runtime: Runtime, caller: Caller, specification: VpsSpecification, once: Once[VpsDetails] | None = None
) -> VpsDetails:
    """Have a VPS made, if the balance covers an hour of everything that is on.

    Raises Invalid, InsufficientBalance, AccountFrozen, TokenSpendLimitReached, TooManyFailedStarts, VpsLimitReached,
    VpsDiskLimitReached, NoCapacity or Contended.
    """
    creation = await _creation(runtime, caller, specification)
    executed = await runtime.aggregates.execute(
        creation.refs,
        creation.decide,
        caller.context("create"),
        result=lambda decided: changed_details(caller, creation.vps_id, decided),
        once=once,
    )
    return executed.result


async def quote_new_vps(runtime: Runtime, caller: Caller, specification: VpsSpecification) -> VpsQuote:
    """Return what making a VPS would come to. Raises what ``create_vps`` does for what is no matter of a quote."""
    creation = await _creation(runtime, caller, specification)
    loaded, now = await runtime.aggregates.load(*creation.refs), runtime.clock.now()
    plan = loaded.of(PRICES).plan(creation.command(loaded, now).plan_id)
    return _quoted(caller, loaded, creation.vps_id, plan, now, caller.token_id, lambda: creation.decide(loaded, now))


async def get_vps(runtime: Runtime, caller: Caller, vps_id: VpsId) -> VpsDetails:
    """Return a VPS as it is now. Raises NotFound."""
    loaded = await runtime.aggregates.load(vps_ref(vps_id), wallet_ref(caller.account_id), PRICES)
    return _details(caller, loaded, vps_id, runtime.clock.now())


async def list_vps(runtime: Runtime, caller: Caller, asked: VpsListQuery) -> VpsPage:
    """Return a part of the VPSs of the account, newest first. Raises Invalid or ProjectionBehind."""
    part = await runtime.vps_list.of_account(caller.account_id, asked)
    ref = wallet_ref(caller.account_id)
    loaded = await runtime.aggregates.load(ref, PRICES)
    wallet, book, now = loaded.of(ref), loaded.of(PRICES), runtime.clock.now()
    shown = [_details_of(vps, wallet, book, now) for vps in part.shown]
    return VpsPage(shown, part.total, part.older, part.newer)


async def list_vps_events(runtime: Runtime, caller: Caller, vps_id: VpsId) -> list[Recorded]:
    """Return everything recorded of a VPS, oldest first. Raises NotFound."""
    ref = vps_ref(vps_id)
    loaded = await runtime.aggregates.load(ref)
    vpss.owned(loaded.of(ref), caller.account_id)
    return [one async for one in events_between(runtime.store, ref.stream, 0, loaded.version(ref.stream))]


async def start_vps(
    runtime: Runtime, caller: Caller, vps_id: VpsId, once: Once[VpsDetails] | None = None
) -> VpsDetails:
    """Switch a VPS on, if the balance covers an hour of everything that is on.

    Raises NotFound, VpsIsCreating, VpsIsStopping, VpsOfAnother, TooManyChanges, NoCapacity, Contended, or what
    ``create_vps`` does of money and failed starts.
    """
    hosts = await room_refs(runtime.worker)
    return await _change(
        runtime,
        caller,
        vps_id,
        "start",
        lambda vps, loaded, now: _start(caller, hosts, vps, loaded, now),
        once,
        hosts.refs,
    )


async def quote_start(runtime: Runtime, caller: Caller, vps_id: VpsId) -> VpsQuote:
    """Return what switching a VPS on would come to. Raises NotFound, VpsIsCreating or VpsIsStopping."""
    hosts, ref = await room_refs(runtime.worker), vps_ref(vps_id)
    loaded = await runtime.aggregates.load(ref, wallet_ref(caller.account_id), PRICES, *hosts.refs)
    now = runtime.clock.now()
    vps = vpss.owned(loaded.of(ref), caller.account_id)
    plan = loaded.of(PRICES).plan(vps.plan_id)
    return _quoted(caller, loaded, vps_id, plan, now, vps.token_id, lambda: _start(caller, hosts, vps, loaded, now))


async def stop_vps(runtime: Runtime, caller: Caller, vps_id: VpsId, once: Once[VpsDetails] | None = None) -> VpsDetails:
    """Switch a VPS off. Raises NotFound, VpsIsCreating or Contended."""
    wallet = wallet_ref(caller.account_id)
    return await _change(
        runtime,
        caller,
        vps_id,
        "stop",
        lambda vps, loaded, now: admission.stop_vps(vps, loaded.of(wallet), caller.account_id, now),
        once,
    )


async def restart_vps(
    runtime: Runtime, caller: Caller, vps_id: VpsId, once: Once[VpsDetails] | None = None
) -> VpsDetails:
    """Have a VPS boot anew. Raises NotFound, VpsIsCreating, VpsNotRunning or Contended."""
    return await _change(
        runtime,
        caller,
        vps_id,
        "restart",
        lambda vps, _loaded, now: admission.restart_vps(vps, caller.account_id, now),
        once,
    )


async def change_vps(runtime: Runtime, caller: Caller, wanted: ChangeVps) -> VpsDetails:
    """Have a VPS otherwise. Raises what ``domain.compute.changing.change_vps`` does, or Contended."""
    hosts, wallet = await room_refs(runtime.worker), wallet_ref(caller.account_id)
    return await _change(
        runtime,
        caller,
        wanted.vps_id,
        "change",
        lambda vps, loaded, now: changing.change_vps(
            vps,
            loaded.of(wallet),
            loaded.of(PRICES),
            hosts.rooms(loaded, new=False),
            loaded.of(SETTINGS_REF).vps_limits,
            wanted,
            now,
        ),
        None,
        hosts.refs,
    )


async def delete_vps(runtime: Runtime, caller: Caller, vps_id: VpsId) -> Wallet:
    """Have a VPS gone for good, in whatever state it is; return the wallet after. Raises NotFound or Contended."""
    vps, wallet = vps_ref(vps_id), wallet_ref(caller.account_id)
    executed = await runtime.aggregates.execute(
        (vps, wallet),
        lambda loaded, now: admission.delete_vps(loaded.of(vps), loaded.of(wallet), caller.account_id, now),
        caller.context("delete"),
    )
    return executed.loaded.of(wallet)


class _Creation(msgspec.Struct, frozen=True, eq=False):
    """A VPS that is asked for, ready to be decided over ``refs``."""

    caller: Caller
    specification: VpsSpecification
    image: str
    vps_id: VpsId
    offloaded_user_data: OffloadedText | None
    hosts: RoomRefs

    @property
    def refs(self) -> tuple[AggregateRef[Any], ...]:
        """What is to be loaded."""
        account_id = self.caller.account_id
        own = (vps_ref(self.vps_id), wallet_ref(account_id), ssh_keys_ref(account_id), PRICES, IMAGES)
        return (*own, *self.hosts.refs)

    def command(self, loaded: Loaded, now: Instant) -> CreateVps:
        """Return what is asked for, with its plan chosen. Raises Invalid."""
        specification = self.specification
        plan = choose_plan(
            loaded.of(PRICES),
            specification.plan_id,
            vcpu=specification.vcpu,
            memory_mb=specification.memory_mb,
            disk_gb=specification.disk_gb,
            now=now,
        )
        key_ids = tuple(dict.fromkeys(specification.ssh_key_ids))
        image = self._image(loaded)
        return CreateVps(
            vps_id=self.vps_id,
            account_id=self.caller.account_id,
            name=specification.name,
            plan_id=plan.id,
            vcpu=plan.vcpu,
            memory_mb=plan.memory_mb,
            disk_gb=plan.disk_gb,
            image=image.name,
            image_disk_gb_min=image.disk_gb_min,
            cloud_config=image.user_data == "cloud-init",
            template=specification.template,
            ssh_key_ids=key_ids,
            authorized_keys=authorized_keys(loaded.of(ssh_keys_ref(self.caller.account_id)), key_ids),
            user_data=specification.user_data,
            offloaded_user_data=self.offloaded_user_data,
            ttl_minutes=None if specification.ttl_minutes is UNSET else specification.ttl_minutes,
            labels=specification.labels,
            egress=specification.egress,
            token_id=self.caller.token_id,
        )

    def decide(self, loaded: Loaded, now: Instant) -> Decision:
        """Decide to make it. Raises what ``create_vps`` does."""
        settings, images = loaded.of(SETTINGS_REF), loaded.of(IMAGES)
        rooms = self.hosts.rooms(loaded, new=True)
        return admission.create_vps(
            loaded.of(vps_ref(self.vps_id)),
            loaded.of(wallet_ref(self.caller.account_id)),
            loaded.of(PRICES),
            [room for room in rooms if images.on_host(self.image, room.host.host_id)],
            settings.vps_limits,
            self.command(loaded, now),
            now,
            failed_starts_max=settings.failed_starts_per_hour,
        )

    def _image(self, loaded: Loaded) -> Image:
        image = loaded.of(IMAGES).find(self.image)
        if image is None:
            raise Invalid(fields={"template": f"its image {self.image} is not offered any more"})
        return image


async def _creation(runtime: Runtime, caller: Caller, specification: VpsSpecification) -> _Creation:
    image = LITE
    if specification.template is not None:
        template = await _template(runtime, caller, specification.template)
        specification, image = _with_defaults(specification, template), template.image
    if (
        specification.plan_id is None
        and specification.vcpu is None
        and specification.memory_mb is None
        and specification.disk_gb is None
    ):
        raise Invalid(fields={"plan_id": "required, unless template, vcpu, memory_mb or disk_gb is told"})
    vps_id = VpsId(runtime.ids.new())
    offloaded = await offloaded_texts(
        runtime.sealer, vps_stream(vps_id), caller.account_id, {"user_data": specification.user_data}
    )
    return _Creation(caller, specification, image, vps_id, offloaded.get("user_data"), await room_refs(runtime.worker))


async def _template(runtime: Runtime, caller: Caller, name: str) -> TemplateView:
    try:
        return await get_template(runtime, caller, name)
    except NotFound:
        raise Invalid(fields={"template": "no such template"}) from None


def _with_defaults(specification: VpsSpecification, view: TemplateView) -> VpsSpecification:
    template = view.template
    sizes = {"vcpu": specification.vcpu, "memory_mb": specification.memory_mb, "disk_gb": specification.disk_gb}
    if specification.plan_id is None:
        sizes = {name: getattr(template, name) if size is None else size for name, size in sizes.items()}
    user_data = view.user_data if specification.user_data is None else specification.user_data
    ttl_minutes = template.ttl_minutes if specification.ttl_minutes is UNSET else specification.ttl_minutes
    return msgspec.structs.replace(specification, **sizes, user_data=user_data, ttl_minutes=ttl_minutes)


def _start(caller: Caller, hosts: RoomRefs, vps: Vps | None, loaded: Loaded, now: Instant) -> Decision:
    return admission.start_vps(
        vps,
        loaded.of(wallet_ref(caller.account_id)),
        loaded.of(PRICES),
        hosts.rooms(loaded, new=False),
        caller.account_id,
        now,
        asked_by=caller.token_id,
        failed_starts_max=loaded.of(SETTINGS_REF).failed_starts_per_hour,
    )


async def _change(
    runtime: Runtime,
    caller: Caller,
    vps_id: VpsId,
    step: str,
    decide: Callable[[Vps | None, Loaded, Instant], Decision],
    once: Once[VpsDetails] | None,
    beside: Iterable[AggregateRef[Any]] = (),
) -> VpsDetails:
    ref = vps_ref(vps_id)
    executed = await runtime.aggregates.execute(
        (ref, wallet_ref(caller.account_id), PRICES, *beside),
        lambda loaded, now: decide(loaded.of(ref), loaded, now),
        caller.context(step),
        result=lambda decided: changed_details(caller, vps_id, decided),
        once=once,
    )
    return executed.result


def changed_details(caller: Caller, vps_id: VpsId, decided: Decided) -> VpsDetails:
    """Return a VPS after a request that was decided, and whether that changed anything."""
    details = _details(caller, decided.loaded, vps_id, decided.at)
    return msgspec.structs.replace(details, changed=bool(decided.events))


def _details(caller: Caller, loaded: Loaded, vps_id: VpsId, now: Instant) -> VpsDetails:
    vps = vpss.owned(loaded.of(vps_ref(vps_id)), caller.account_id)
    return _details_of(vps, loaded.of(wallet_ref(caller.account_id)), loaded.of(PRICES), now)


def _details_of(vps: Vps, wallet: Wallet, book: PriceBook, now: Instant) -> VpsDetails:
    return VpsDetails(
        vps=vps,
        meter=wallet.meters.get(vps.vps_id),
        price_hourly=book.in_force(vps.plan_id, now).price_hourly,
        wallet=wallet,
    )


def _quoted(
    caller: Caller,
    loaded: Loaded,
    vps_id: VpsId,
    plan: Plan,
    now: Instant,
    token_id: TokenId | None,
    decide: Callable[[], Decision],
) -> VpsQuote:
    wallet = loaded.of(wallet_ref(caller.account_id))
    made = quote(wallet, loaded.of(PRICES), vps_id, plan.id, now, token_id, decide)
    return VpsQuote(quote=made, plan=plan, wallet=wallet, at=now)
