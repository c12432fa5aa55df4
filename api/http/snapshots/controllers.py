"""Snapshots over HTTP."""

from litestar import Controller, delete, get, post
from litestar.params import FromPath, RequestBody

from api.application import snapshots
from api.http.openapi.docs import Docs, ResponseDocs
from api.http.pages import PAGE_HEADERS, Page, made_at, paged
from api.http.pipeline.idempotency import once
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse, created
from api.http.snapshots.schemas import EXAMPLE, NewSnapshot, SnapshotResponse
from api.http.vps.controllers import NOT_ADMITTED, changed
from api.http.vps.schemas import VPS_EXAMPLE, VpsResponse
from domain.compute.capacity import NoCapacity
from domain.compute.change_limit import TooManyChanges
from domain.compute.snapshots import SnapshotLimitReached, SnapshotNameTaken, SnapshotNotReady, VpsIsStarting
from domain.compute.vps import VpsIsCreating, VpsIsRestoring, VpsIsStopping
from domain.errors import Contended, NotFound
from domain.ids import VpsId
from domain.wallet.boots import TooManyFailedStarts
from domain.wallet.funds import VpsOfAnother
from domain.wallet.vps_limits import VpsDiskLimitReached


class SnapshotsController(Controller):
    """The snapshots of a VPS's disk."""

    path = "/api/vps/{vps_id:str}/snapshots"
    tags = ["VPS"]
    opt = {"scope": "vps:write"}

    @post(
        operation_id="take_snapshot",
        summary="Keep the disk of a VPS as it is",
        description=(
            "On or off. It is ``creating`` at first and ``ready`` soon after. Of a VPS that runs, the guest writes out"
            " what it holds in memory first, for ten seconds at most; what programs are in the middle of is as after a"
            " power cut. It counts as much disk as the VPS has."
        ),
        docs=Docs(
            "The snapshot, being taken.",
            EXAMPLE | {"state": "creating", "taken_at": None},
            refuses=(
                *(NotFound, VpsIsCreating, SnapshotNameTaken, SnapshotLimitReached),
                *(TooManyChanges, VpsDiskLimitReached, NoCapacity, Contended),
            ),
            body_example={"name": EXAMPLE["name"]},
        ),
    )
    async def take(
        self, request: ApiRequest, vps_id: FromPath[VpsId], data: RequestBody[NewSnapshot]
    ) -> ApiResponse[SnapshotResponse]:
        """Have the disk of a VPS kept as it is."""
        runtime, caller = request.runtime, request.caller
        return await once(
            request,
            lambda kept: snapshots.take_snapshot(runtime, caller, vps_id, data.name, kept),
            lambda snapshot: created(SnapshotResponse.of(snapshot)),
        )

    @get(
        operation_id="list_snapshots",
        summary="Which snapshots does this VPS have",
        scope="vps:read",
        query=Page,
        docs=Docs("The snapshots, newest first.", [EXAMPLE], PAGE_HEADERS, refuses=(NotFound,)),
    )
    async def list_all(self, request: ApiRequest, vps_id: FromPath[VpsId]) -> ApiResponse[list[SnapshotResponse]]:
        """Tell the snapshots of a VPS, newest first."""
        found = await snapshots.list_snapshots(request.runtime, request.caller, vps_id)
        return paged(request, [(made_at(one.created_at, one.snapshot_id), SnapshotResponse.of(one)) for one in found])

    @post(
        "/{name:str}/restore",
        operation_id="restore_snapshot",
        summary="Set the disk of a VPS back",
        description=(
            "Everything that was written since is lost; the snapshot is kept. A VPS that is off stays off. One that"
            " runs is put off at once, as by its plug, and started again: until it is off it is charged, its boot is"
            " free, and it has to be admitted like one that is switched on."
        ),
        status_code=202,
        docs=Docs(
            "Accepted; ``pending`` tells what is still to be done.",
            VPS_EXAMPLE | {"pending": "restore"},
            also=(ResponseDocs(200, "It is under way already.", VpsResponse, VPS_EXAMPLE | {"pending": "restore"}),),
            refuses=(
                *(NotFound, VpsIsCreating, VpsIsStarting, VpsIsStopping, VpsIsRestoring, SnapshotNotReady),
                *(*NOT_ADMITTED, VpsOfAnother, TooManyChanges, TooManyFailedStarts, Contended),
            ),
        ),
    )
    async def restore(
        self, request: ApiRequest, vps_id: FromPath[VpsId], name: FromPath[str]
    ) -> ApiResponse[VpsResponse]:
        """Have the disk of a VPS as it was."""
        runtime, caller = request.runtime, request.caller
        return await once(
            request, lambda kept: snapshots.restore_snapshot(runtime, caller, vps_id, name, kept), changed
        )

    @delete(
        "/{name:str}",
        operation_id="delete_snapshot",
        summary="Delete a snapshot",
        description="In every state, but not while it is being restored. The name is free at once.",
        docs=Docs("It does not exist any more.", refuses=(NotFound, VpsIsRestoring, Contended)),
    )
    async def delete(self, request: ApiRequest, vps_id: FromPath[VpsId], name: FromPath[str]) -> None:
        """Have a snapshot gone for good."""
        await snapshots.delete_snapshot(request.runtime, request.caller, vps_id, name)
