"""VPSs over HTTP: what their owner asks of them."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from api.application.blobs import aside_of
from api.application.capacity import room_views
from api.application.repository import Loaded
from api.application.runtime import VpsAsked
from api.application.streams import events_between
from api.http.bridge import NO_CONTENT, Answer, Call, act, page_of, paged, told
from api.http.pages import Cursor, Page, cursor_of
from api.http.quotes import quoted
from api.http.vps_rendering import labels_told, vps_event, vps_told
from domain.accounts.ssh_keys import authorized_keys, ssh_keys_ref
from domain.blobs import Aside
from domain.compute import admission
from domain.compute import vps as vpss
from domain.compute.boot_script import SCRIPT_BYTES_MAX
from domain.compute.commands import CreateVps
from domain.compute.labels import LABEL_CHARACTERS_MAX, LABELS_MAX
from domain.compute.sizes import choose_plan
from domain.compute.vps import Vps, vps_ref
from domain.deciding import AggregateRef, Decision
from domain.errors import Invalid
from domain.ids import PlanId, SshKeyId, VpsId, vps_stream
from domain.pricing.price_book import PRICES
from domain.settings.settings import SETTINGS_REF
from domain.time import Instant
from domain.wallet.wallet import wallet_ref

IMAGE = "debian-12-lite"
"""The one image that ships."""
SSH_KEYS_MAX = 32
BODY_BYTES_MAX = 128 * 1024

Label = Annotated[str, msgspec.Meta(max_length=LABEL_CHARACTERS_MAX)]
Size = Annotated[int, msgspec.Meta(ge=1, le=2**31)]


class NewVps(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A VPS to be made. Without a plan, the cheapest that covers the sizes; sizes in MiB and GiB."""

    name: Annotated[str, msgspec.Meta(description="A host name label: `a-z`, `0-9`, `-` inside, at most 63.")]
    plan_id: Annotated[
        UUID | None,
        msgspec.Meta(description="A plan on offer, or it is a 400; null: the cheapest that covers the sizes."),
    ] = None
    ssh_key_ids: Annotated[
        tuple[UUID, ...], msgspec.Meta(max_length=SSH_KEYS_MAX, description="Of yours, which root logs in with.")
    ] = ()
    vcpu: Annotated[Size | None, msgspec.Meta(description="At least so many processors.")] = None
    memory_mb: Annotated[Size | None, msgspec.Meta(description="At least so much memory, MiB.")] = None
    disk_gb: Annotated[Size | None, msgspec.Meta(description="At least so much disk, GiB.")] = None
    user_data: Annotated[
        str | None,
        msgspec.Meta(
            description=(
                f"A script that runs in the guest once, at its first boot, as root. It begins with `#!` and the path of"
                f" its interpreter, its lines end in LF, and it has at most {SCRIPT_BYTES_MAX} bytes."
            )
        ),
    ] = None
    labels: Annotated[
        dict[Label, Label],
        msgspec.Meta(max_length=LABELS_MAX, description="Key and value. A key is not empty and has no `=`."),
    ] = {}


class VpsPage(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which VPSs are wanted."""

    state: Literal["creating", "running", "stopped", "error"] | None = None
    name: str | None = None
    label: Annotated[str, msgspec.Meta(description="``key`` or ``key=value``; the first `=` ends the key.")] | None = (
        None
    )


async def create_vps(call: Call) -> Answer:
    """Have a VPS made, if the balance covers an hour of everything that is on; or tell what that would come to."""
    vps_id = VpsId(call.runtime.ids.new())
    vps, wallet = vps_ref(vps_id), wallet_ref(call.account_id)
    _check_sizes(call.body)
    body: NewVps = call.body
    texts, stream = {"user_data": body.user_data}, vps_stream(vps_id)
    aside = (await aside_of(call.runtime.sealer, stream, call.account_id, texts)).get("user_data")
    hosts = await room_views(call.runtime.worker)
    refs: tuple[AggregateRef[Any], ...] = (vps, wallet, ssh_keys_ref(call.account_id), PRICES, *hosts.refs)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        command, rooms = _wanted(call, loaded, vps_id, now, aside), hosts.rooms(loaded, new=True)
        settings = loaded.of(SETTINGS_REF)
        return admission.create_vps(
            loaded.of(vps),
            loaded.of(wallet),
            loaded.of(PRICES),
            rooms,
            settings.vps_limits,
            command,
            now,
            failed_starts_max=settings.failed_starts_per_hour,
        )

    if call.query.dry_run:
        loaded, now = await call.runtime.aggregates.load(*refs), call.runtime.clock.now()
        plan = loaded.of(PRICES).plan(_wanted(call, loaded, vps_id, now, aside).plan_id)
        return quoted(
            loaded.of(wallet),
            loaded.of(PRICES),
            vps_id,
            plan,
            now,
            lambda: decide(loaded, now),
            token_id=call.token_id,
            accepted=201,
        )
    return await act(call, refs, decide, lambda loaded, now: _one(call, loaded, vps_id, now, 201), "create")


def _wanted(call: Call, loaded: Loaded, vps_id: VpsId, now: Instant, user_data_aside: Aside | None) -> CreateVps:
    body: NewVps = call.body
    plan = choose_plan(
        loaded.of(PRICES),
        None if body.plan_id is None else PlanId(body.plan_id),
        vcpu=body.vcpu,
        memory_mb=body.memory_mb,
        disk_gb=body.disk_gb,
        now=now,
    )
    key_ids = tuple(SshKeyId(id_) for id_ in dict.fromkeys(body.ssh_key_ids))
    return CreateVps(
        vps_id=vps_id,
        account_id=call.account_id,
        name=body.name,
        plan_id=plan.id,
        vcpu=plan.vcpu,
        memory_mb=plan.memory_mb,
        disk_gb=plan.disk_gb,
        image=IMAGE,
        ssh_key_ids=key_ids,
        authorized_keys=authorized_keys(loaded.of(ssh_keys_ref(call.account_id)), key_ids),
        user_data=body.user_data,
        user_data_aside=user_data_aside,
        labels=body.labels,
        token_id=call.token_id,
    )


async def list_vps(call: Call) -> Answer:
    """Tell the VPSs of the account, newest first."""
    page: VpsPage = call.query
    cursor = cursor_of(page)
    place = None if cursor is None else _place(cursor)
    asked = VpsAsked(
        state=page.state,
        is_wanted=None if page.name is None and page.label is None else partial(_is_wanted, page),
        limit=page.limit,
        offset=page.offset,
        before=place if cursor is not None and cursor.side == "before" else None,
        after=place if cursor is not None and cursor.side == "after" else None,
    )
    part = await call.runtime.vps_list.of_account(call.account_id, asked)
    wallet = wallet_ref(call.account_id)
    loaded = await call.runtime.aggregates.load(wallet, PRICES)
    now = call.runtime.clock.now()
    meters, book = loaded.of(wallet).meters, loaded.of(PRICES)
    shown = [vps_told(vps, meters.get(vps.vps_id), book, now) for vps in part.shown]
    return page_of(call, shown, part.total, older=_key(part.older), newer=_key(part.newer))


async def get_vps(call: Call) -> Answer:
    """Tell one VPS as it is now."""
    vps_id = VpsId(call.id_in_path("vps_id"))
    loaded = await call.runtime.aggregates.load(vps_ref(vps_id), wallet_ref(call.account_id), PRICES)
    answer = _one(call, loaded, vps_id, call.runtime.clock.now(), 200)
    wallet = loaded.of(wallet_ref(call.account_id))
    return msgspec.structs.replace(answer, balance=wallet.balance, wallet=wallet)


async def start_vps(call: Call) -> Answer:
    """Switch a VPS on, if the balance covers an hour of everything that is on; or tell what that would come to."""
    wallet, hosts = wallet_ref(call.account_id), await room_views(call.runtime.worker)

    def decide(vps: Vps | None, loaded: Loaded, now: Instant) -> Decision:
        book, rooms = loaded.of(PRICES), hosts.rooms(loaded, new=False)
        return admission.start_vps(
            vps,
            loaded.of(wallet),
            book,
            rooms,
            call.account_id,
            now,
            asked_by=call.token_id,
            failed_starts_max=loaded.of(SETTINGS_REF).failed_starts_per_hour,
        )

    if not call.query.dry_run:
        return await _change(call, "start", decide, hosts.refs)
    ref = vps_ref(VpsId(call.id_in_path("vps_id")))
    loaded, now = await call.runtime.aggregates.load(ref, wallet, PRICES, *hosts.refs), call.runtime.clock.now()
    vps, book = vpss.owned(loaded.of(ref), call.account_id), loaded.of(PRICES)
    plan = book.plan(vps.plan_id)
    return quoted(
        loaded.of(wallet),
        book,
        vps.vps_id,
        plan,
        now,
        lambda: decide(vps, loaded, now),
        token_id=vps.token_id,
        accepted=202,
    )


async def stop_vps(call: Call) -> Answer:
    """Switch a VPS off."""
    return await _change(
        call,
        "stop",
        lambda vps, loaded, now: admission.stop_vps(vps, loaded.of(wallet_ref(call.account_id)), call.account_id, now),
    )


async def restart_vps(call: Call) -> Answer:
    """Have a VPS boot anew."""
    return await _change(call, "restart", lambda vps, _sight, now: admission.restart_vps(vps, call.account_id, now))


async def delete_vps(call: Call) -> Answer:
    """Have a VPS gone for good, in whatever state it is."""
    vps_id = VpsId(call.id_in_path("vps_id"))
    vps, wallet = vps_ref(vps_id), wallet_ref(call.account_id)
    outcome = await call.runtime.aggregates.execute(
        (vps, wallet),
        lambda loaded, now: admission.delete_vps(loaded.of(vps), loaded.of(wallet), call.account_id, now),
        call.context("delete"),
    )
    after = outcome.loaded.of(wallet)
    return msgspec.structs.replace(NO_CONTENT, balance=after.balance, wallet=after)


async def list_vps_events(call: Call) -> Answer:
    """Tell the whole recorded life of a VPS, newest first."""
    vps_id = VpsId(call.id_in_path("vps_id"))
    ref = vps_ref(vps_id)
    loaded = await call.runtime.aggregates.load(ref)
    vpss.owned(loaded.of(ref), call.account_id)
    recorded = events_between(call.runtime.store, ref.stream, 0, loaded.version(ref.stream))
    return paged(call, [(f"{one.position:019d}", vps_event(one)) async for one in recorded])


async def _change(
    call: Call,
    step: str,
    decide: Callable[[Vps | None, Loaded, Instant], Decision],
    beside: tuple[AggregateRef[Any], ...] = (),
) -> Answer:
    vps_id = VpsId(call.id_in_path("vps_id"))
    vps = vps_ref(vps_id)
    status = 200

    def decide_and_note(loaded: Loaded, now: Instant) -> Decision:
        nonlocal status
        decision = decide(loaded.of(vps), loaded, now)
        # Accepted is what is still to be done; what is so already is just told.
        status = 202 if decision.events else 200
        return decision

    refs: tuple[AggregateRef[Any], ...] = (vps, wallet_ref(call.account_id), PRICES, *beside)
    return await act(call, refs, decide_and_note, lambda loaded, now: _one(call, loaded, vps_id, now, status), step)


def _one(call: Call, loaded: Loaded, vps_id: VpsId, now: Instant, status: int) -> Answer:
    vps = vpss.owned(loaded.of(vps_ref(vps_id)), call.account_id)
    meter = loaded.of(wallet_ref(call.account_id)).meters.get(vps_id)
    return told(status, vps_told(vps, meter, loaded.of(PRICES), now))


def _check_sizes(body: NewVps) -> None:
    if body.plan_id is None and body.vcpu is None and body.memory_mb is None and body.disk_gb is None:
        raise Invalid(fields={"plan_id": "required, unless vcpu, memory_mb or disk_gb is told"})


def _is_wanted(page: VpsPage, vps: Vps) -> bool:
    if page.name is not None and vps.name != page.name:
        return False
    if page.label is None:
        return True
    key, equals, value = page.label.partition("=")
    labels = labels_told(vps)
    return key in labels and (not equals or labels[key] == value)


def _place(cursor: Cursor) -> int:
    if not (cursor.key.isdecimal() and len(cursor.key) <= 18):
        raise Invalid(fields={"cursor": "is none of this list"})
    return int(cursor.key)


def _key(place: int | None) -> str | None:
    return None if place is None else str(place)
