"""VPSs over HTTP: what their owner asks of them."""

from typing import Any

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, RequestBody

from api.application import vps as vpss
from api.application.guest_metrics import metrics_of_vps
from api.application.vps import VpsDetails, VpsQuote
from api.application.vps_queries import LOOKED_THROUGH_MAX
from api.http.openapi.docs import Docs, ResponseDocs
from api.http.pages import PAGE_HEADERS, Page, page_of, paged
from api.http.pipeline.idempotency import once
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse, accepted, created, ok
from api.http.vps.metrics_schemas import METRICS_EXAMPLE, MetricsResponse
from api.http.vps.schemas import (
    CREATING_EXAMPLE,
    QUOTE_EXAMPLE,
    VPS_EXAMPLE,
    ChangedVps,
    DryRun,
    NewVps,
    QuoteResponse,
    VpsEventResponse,
    VpsQuery,
    VpsResponse,
)
from domain.compute.capacity import NoCapacity, PlanNotOfHost
from domain.compute.change_limit import TooManyChanges
from domain.compute.changing import DiskCannotShrink
from domain.compute.vps import VpsIsCreating, VpsIsRestoring, VpsIsStopping, VpsNotRunning, VpsNotStopped
from domain.errors import Contended, NotFound
from domain.ids import VpsId
from domain.wallet.boots import TooManyFailedStarts
from domain.wallet.funds import AccountFrozen, InsufficientBalance, TokenSpendLimitReached, VpsOfAnother
from domain.wallet.vps_limits import VpsDiskLimitReached, VpsLimitReached
from projections.reading import ProjectionBehind

BODY_BYTES_MAX = 128 * 1024
_ACCEPTED = "Accepted; ``pending`` tells what is still to be done."
_SO_ALREADY = ResponseDocs(200, "It is so already; nothing was changed.", VpsResponse, VPS_EXAMPLE)
_SO_ALREADY_OR_QUOTED = ResponseDocs(
    200,
    "It is so already; nothing was changed. With ``dry_run``, a quote as of POST /api/vps.",
    VpsResponse | QuoteResponse,
    VPS_EXAMPLE,
)
_QUOTED = ResponseDocs(200, "With ``dry_run``: what it would come to; nothing was made.", QuoteResponse, QUOTE_EXAMPLE)
NOT_ADMITTED = (InsufficientBalance, AccountFrozen, TokenSpendLimitReached)


class VpsController(Controller):
    """The VPSs of an account."""

    path = "/api/vps"
    tags = ["VPS"]
    opt = {"scope": "vps:write"}

    @post(
        operation_id="create_vps",
        summary="Make a VPS",
        description="It is ``creating`` at first; once the service has logged in, it is ``running`` and is charged.",
        request_max_body_size=BODY_BYTES_MAX,
        query=DryRun,
        docs=Docs(
            "The VPS, being made.",
            CREATING_EXAMPLE,
            also=(_QUOTED,),
            refuses=(
                *(*NOT_ADMITTED, TooManyFailedStarts),
                *(VpsLimitReached, VpsDiskLimitReached, NoCapacity, Contended),
            ),
            body_example={
                "name": "web-01",
                "plan_id": VPS_EXAMPLE["plan_id"],
                "ssh_key_ids": VPS_EXAMPLE["ssh_key_ids"],
            },
        ),
    )
    async def create(self, request: ApiRequest, data: RequestBody[NewVps]) -> ApiResponse[VpsResponse]:
        """Have a VPS made, if the balance covers an hour of everything that is on; or tell what that would come to."""
        runtime, caller, specification = request.runtime, request.caller, data.to_command()
        if request.asked(DryRun).dry_run:
            quoted = await vpss.quote_new_vps(runtime, caller, specification)
            return _quoted(quoted, 201)
        return await once(
            request,
            lambda kept: vpss.create_vps(runtime, caller, specification, kept),
            lambda details: created(VpsResponse.of(details), wallet=details.wallet),
        )

    @get(
        operation_id="list_vps",
        summary="Which VPSs do I have",
        description=(
            "``name`` and ``label`` are kept sealed, so that VPSs are opened one by one to find them. Of more than"
            f" {LOOKED_THROUGH_MAX:,} VPSs, a page looks through so many: it may show fewer than ``limit``, or none,"
            " has no total, takes no ``offset``, and its ``Link`` leads on."
        ),
        scope="vps:read",
        query=VpsQuery,
        docs=Docs("The VPSs, newest first.", [VPS_EXAMPLE], PAGE_HEADERS, refuses=(ProjectionBehind,)),
    )
    async def list_all(self, request: ApiRequest) -> ApiResponse[list[VpsResponse]]:
        """Tell the VPSs of the account, newest first."""
        page = await vpss.list_vps(request.runtime, request.caller, request.asked(VpsQuery).to_query())
        shown = [VpsResponse.of(details) for details in page.shown]
        return page_of(request, shown, page.total, older=_key(page.older), newer=_key(page.newer))

    @get(
        "/{vps_id:str}",
        operation_id="get_vps",
        summary="How is this VPS",
        scope="vps:read",
        docs=Docs("The VPS as it is now.", VPS_EXAMPLE, refuses=(NotFound,)),
    )
    async def get_one(self, request: ApiRequest, vps_id: FromPath[VpsId]) -> ApiResponse[VpsResponse]:
        """Tell one VPS as it is now."""
        details = await vpss.get_vps(request.runtime, request.caller, vps_id)
        return ok(VpsResponse.of(details), wallet=details.wallet)

    @post(
        "/{vps_id:str}/start",
        operation_id="start_vps",
        summary="Switch a VPS on",
        status_code=202,
        query=DryRun,
        docs=Docs(
            _ACCEPTED,
            VPS_EXAMPLE,
            also=(_SO_ALREADY_OR_QUOTED,),
            refuses=(
                *(NotFound, VpsIsCreating, VpsIsStopping, VpsIsRestoring),
                *(*NOT_ADMITTED, VpsOfAnother, TooManyChanges, TooManyFailedStarts, NoCapacity, Contended),
            ),
        ),
    )
    async def start(self, request: ApiRequest, vps_id: FromPath[VpsId]) -> ApiResponse[VpsResponse]:
        """Switch a VPS on, if the balance covers an hour of everything that is on; or tell what that would come to."""
        runtime, caller = request.runtime, request.caller
        if request.asked(DryRun).dry_run:
            quoted = await vpss.quote_start(runtime, caller, vps_id)
            return _quoted(quoted, 202)
        return await once(request, lambda kept: vpss.start_vps(runtime, caller, vps_id, kept), changed)

    @post(
        "/{vps_id:str}/stop",
        operation_id="stop_vps",
        summary="Switch a VPS off",
        status_code=202,
        docs=Docs(_ACCEPTED, VPS_EXAMPLE, also=(_SO_ALREADY,), refuses=(NotFound, VpsIsCreating, Contended)),
    )
    async def stop(self, request: ApiRequest, vps_id: FromPath[VpsId]) -> ApiResponse[VpsResponse]:
        """Switch a VPS off."""
        runtime, caller = request.runtime, request.caller
        return await once(request, lambda kept: vpss.stop_vps(runtime, caller, vps_id, kept), changed)

    @post(
        "/{vps_id:str}/restart",
        operation_id="restart_vps",
        summary="Have a VPS boot anew",
        status_code=202,
        docs=Docs(
            _ACCEPTED,
            VPS_EXAMPLE,
            also=(_SO_ALREADY,),
            refuses=(NotFound, VpsIsCreating, VpsNotRunning, Contended),
        ),
    )
    async def restart(self, request: ApiRequest, vps_id: FromPath[VpsId]) -> ApiResponse[VpsResponse]:
        """Have a VPS boot anew."""
        runtime, caller = request.runtime, request.caller
        return await once(request, lambda kept: vpss.restart_vps(runtime, caller, vps_id, kept), changed)

    @patch(
        "/{vps_id:str}",
        operation_id="change_vps",
        summary="Change a VPS",
        description=(
            "In every state; all that is asked for, or nothing. Statements keep the name that it had in their month."
        ),
        request_max_body_size=BODY_BYTES_MAX,
        docs=Docs(
            "The VPS as it is now.",
            VPS_EXAMPLE | {"name": "web-02", "labels": {"role": "web"}},
            refuses=(
                *(NotFound, VpsIsCreating, VpsNotStopped, DiskCannotShrink, PlanNotOfHost, VpsDiskLimitReached),
                *(VpsOfAnother, NoCapacity, TooManyChanges, Contended),
            ),
            body_example={"name": "web-02", "labels": {"role": "web"}},
        ),
    )
    async def change(
        self, request: ApiRequest, vps_id: FromPath[VpsId], data: RequestBody[ChangedVps]
    ) -> ApiResponse[VpsResponse]:
        """Have a VPS otherwise."""
        command = data.to_command(vps_id, request.caller.account_id, request.caller.token_id)
        view = await vpss.change_vps(request.runtime, request.caller, command)
        return ok(VpsResponse.of(view), wallet=view.wallet)

    @delete(
        "/{vps_id:str}",
        operation_id="delete_vps",
        summary="Delete a VPS",
        description="In every state; nothing of it is left.",
        docs=Docs("It does not exist any more.", refuses=(NotFound, Contended)),
    )
    async def delete(self, request: ApiRequest, vps_id: FromPath[VpsId]) -> ApiResponse[None]:
        """Have a VPS gone for good, in whatever state it is."""
        wallet = await vpss.delete_vps(request.runtime, request.caller, vps_id)
        return ApiResponse(None, status_code=204, wallet=wallet)

    @get(
        "/{vps_id:str}/events",
        operation_id="list_vps_events",
        summary="What happened to this VPS",
        scope="vps:read",
        query=Page,
        docs=Docs("Everything recorded of it, newest first.", headers=PAGE_HEADERS, refuses=(NotFound,)),
    )
    async def list_events(self, request: ApiRequest, vps_id: FromPath[VpsId]) -> ApiResponse[list[VpsEventResponse]]:
        """Tell the whole recorded life of a VPS, newest first."""
        recorded = await vpss.list_vps_events(request.runtime, request.caller, vps_id)
        return paged(request, [(f"{one.position:019d}", VpsEventResponse.of(one)) for one in recorded])

    @get(
        "/{vps_id:str}/metrics",
        operation_id="get_vps_metrics",
        summary="What does this VPS use",
        description=(
            "As its host sees it, for the last hour, a sample about every ten seconds while it is on. Rates are those"
            " since the sample before, and null where there is none, such as at the first after a start. Nothing is"
            " charged by them."
        ),
        scope="vps:read",
        docs=Docs("The samples, oldest first.", METRICS_EXAMPLE, refuses=(NotFound,)),
    )
    async def get_metrics(self, request: ApiRequest, vps_id: FromPath[VpsId]) -> MetricsResponse:
        """Tell what a VPS used within the last hour."""
        return MetricsResponse.of(await metrics_of_vps(request.runtime, request.caller, vps_id))


def _quoted(quoted: VpsQuote, would_be: int) -> ApiResponse[Any]:
    return ok(QuoteResponse.of(quoted, would_be), wallet=quoted.wallet)


def changed(details: VpsDetails) -> ApiResponse[VpsResponse]:
    """Return the answer to a request that may have been so already."""
    # Accepted is what is still to be done; what is so already is just told.
    answer = accepted if details.changed else ok
    return answer(VpsResponse.of(details), wallet=details.wallet)


def _key(place: int | None) -> str | None:
    return None if place is None else str(place)
