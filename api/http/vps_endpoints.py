"""The paths of VPSs: what each takes, tells and refuses, as the document says it."""

from api.application.vps_queries import LOOKED_THROUGH_MAX
from api.http.bridge import Endpoint, Told
from api.http.pages import PAGE_HEADERS, Page
from api.http.quotes import QUOTE_EXAMPLE, DryRun, QuoteTold
from api.http.vps import (
    BODY_BYTES_MAX,
    NewVps,
    VpsPage,
    create_vps,
    delete_vps,
    get_vps,
    list_vps,
    list_vps_events,
    restart_vps,
    start_vps,
    stop_vps,
)
from api.http.vps_rendering import CREATING_EXAMPLE, VPS_EXAMPLE, VpsEvent, VpsTold
from domain.compute.capacity import NoCapacity
from domain.compute.vps import VpsIsCreating, VpsIsStopping, VpsNotRunning
from domain.errors import Contended, NotFound
from domain.wallet.boots import TooManyFailedStarts
from domain.wallet.funds import AccountFrozen, InsufficientBalance, TokenSpendLimitReached, VpsOfAnother
from domain.wallet.vps_limits import VpsDiskLimitReached, VpsLimitReached
from projections.reading import ProjectionBehind

_CHANGED = Told(202, "Accepted; ``pending`` tells what is still to be done.", VpsTold, VPS_EXAMPLE)
_SO_ALREADY = Told(200, "It is so already; nothing was changed.", VpsTold, VPS_EXAMPLE)
_SO_ALREADY_OR_QUOTED = Told(
    200,
    "It is so already; nothing was changed. With ``dry_run``, a quote as of POST /api/vps.",
    VpsTold,
    VPS_EXAMPLE,
    or_else=QuoteTold,
)
_QUOTED = Told(200, "With ``dry_run``: what it would come to; nothing was made.", QuoteTold, QUOTE_EXAMPLE)
_NOT_ADMITTED = (InsufficientBalance, AccountFrozen, TokenSpendLimitReached)

ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/vps",
        name="create_vps",
        tag="VPS",
        summary="Make a VPS",
        description="It is ``creating`` at first; once the service has logged in, it is ``running`` and is charged.",
        who="account",
        scope="vps:write",
        handle=create_vps,
        body=NewVps,
        body_bytes_max=BODY_BYTES_MAX,
        body_example={"name": "web-01", "plan_id": VPS_EXAMPLE["plan_id"], "ssh_key_ids": VPS_EXAMPLE["ssh_key_ids"]},
        query=DryRun,
        told=(Told(201, "The VPS, being made.", VpsTold, CREATING_EXAMPLE), _QUOTED),
        refusals=(
            *(*_NOT_ADMITTED, TooManyFailedStarts),
            *(VpsLimitReached, VpsDiskLimitReached, NoCapacity, Contended),
        ),
    ),
    Endpoint(
        method="GET",
        path="/api/vps",
        name="list_vps",
        tag="VPS",
        summary="Which VPSs do I have",
        description=(
            "``name`` and ``label`` are kept sealed, so that VPSs are opened one by one to find them. Of more than"
            f" {LOOKED_THROUGH_MAX:,} VPSs, a page looks through so many: it may show fewer than ``limit``, or none,"
            " has no total, takes no ``offset``, and its ``Link`` leads on."
        ),
        who="account",
        scope="vps:read",
        handle=list_vps,
        query=VpsPage,
        told=(Told(200, "The VPSs, newest first.", list[VpsTold], [VPS_EXAMPLE], PAGE_HEADERS),),
        refusals=(ProjectionBehind,),
    ),
    Endpoint(
        method="GET",
        path="/api/vps/{vps_id}",
        name="get_vps",
        tag="VPS",
        summary="How is this VPS",
        who="account",
        scope="vps:read",
        handle=get_vps,
        told=(Told(200, "The VPS as it is now.", VpsTold, VPS_EXAMPLE),),
        refusals=(NotFound,),
    ),
    Endpoint(
        method="POST",
        path="/api/vps/{vps_id}/start",
        name="start_vps",
        tag="VPS",
        summary="Switch a VPS on",
        who="account",
        scope="vps:write",
        handle=start_vps,
        query=DryRun,
        told=(_CHANGED, _SO_ALREADY_OR_QUOTED),
        refusals=(
            *(NotFound, VpsIsCreating, VpsIsStopping),
            *(*_NOT_ADMITTED, VpsOfAnother, TooManyFailedStarts, NoCapacity, Contended),
        ),
    ),
    Endpoint(
        method="POST",
        path="/api/vps/{vps_id}/stop",
        name="stop_vps",
        tag="VPS",
        summary="Switch a VPS off",
        who="account",
        scope="vps:write",
        handle=stop_vps,
        told=(_CHANGED, _SO_ALREADY),
        refusals=(NotFound, VpsIsCreating, Contended),
    ),
    Endpoint(
        method="POST",
        path="/api/vps/{vps_id}/restart",
        name="restart_vps",
        tag="VPS",
        summary="Have a VPS boot anew",
        who="account",
        scope="vps:write",
        handle=restart_vps,
        told=(_CHANGED, _SO_ALREADY),
        refusals=(NotFound, VpsIsCreating, VpsNotRunning, Contended),
    ),
    Endpoint(
        method="DELETE",
        path="/api/vps/{vps_id}",
        name="delete_vps",
        tag="VPS",
        summary="Delete a VPS",
        description="In every state; nothing of it is left.",
        who="account",
        scope="vps:write",
        handle=delete_vps,
        told=(Told(204, "It does not exist any more."),),
        refusals=(NotFound, Contended),
    ),
    Endpoint(
        method="GET",
        path="/api/vps/{vps_id}/events",
        name="list_vps_events",
        tag="VPS",
        summary="What happened to this VPS",
        who="account",
        scope="vps:read",
        handle=list_vps_events,
        query=Page,
        told=(Told(200, "Everything recorded of it, newest first.", list[VpsEvent], None, PAGE_HEADERS),),
        refusals=(NotFound,),
    ),
)
