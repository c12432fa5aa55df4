"""The service itself over HTTP: whether the API is up and every part fit to serve, and what it offers."""

import hmac
from typing import Any

from litestar import Controller, get

from api.application.guest_metrics import newest_metrics
from api.application.readiness import Readiness
from api.application.refusals import NotReady
from api.application.settings import Settings
from api.http.openapi.docs import Docs
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse, ok
from api.http.service.prometheus import MEDIA_TYPE, exposition
from api.http.service.schemas import READY_EXAMPLE, Healthy, Ready, agent_card
from domain.accounts.account import Unauthorized
from domain.accounts.ports import Quota
from domain.errors import NotFound

DOCUMENT = "document"
"""Of the application's state: the OpenAPI document, as it is sent."""
READINESS = "readiness"
"""Of the application's state: what looks whether the service is fit to serve, with a verdict of its own to keep."""


def _metrics_quota(_settings: Settings) -> Quota:
    return Quota("metrics", 60, 60)


class ServiceController(Controller):
    """The service itself."""

    tags = ["service"]
    opt = {"public": True}

    @get(
        "/api/health",
        operation_id="health",
        summary="Is the API up",
        docs=Docs("It is.", {"status": "ok"}),
    )
    async def health(self) -> Healthy:
        """Tell that the API is up."""
        return Healthy("ok")

    @get(
        "/api/ready",
        operation_id="ready",
        summary="Is every part fit to serve",
        docs=Docs("It is.", READY_EXAMPLE, refuses=(NotReady,)),
    )
    async def ready(self, request: ApiRequest) -> Ready:
        """Tell whether store, read models and compute hosts are fit to serve, and whether mail can be sent."""
        readiness: Readiness = request.app.state[READINESS]
        return Ready.of(await readiness.check())

    @get(
        "/.well-known/agent.json",
        operation_id="agent_card",
        summary="What is this service",
        docs=Docs("The agent card."),
    )
    async def agent_card(self, request: ApiRequest) -> dict[str, Any]:
        """Tell programs what this service is and how to begin."""
        return agent_card(request.runtime.settings.url)

    @get(
        "/metrics",
        operation_id="metrics",
        summary="What do all VPSs use",
        include_in_schema=False,
        quota=_metrics_quota,
        docs=Docs("The newest counters of every VPS that is on, for Prometheus."),
    )
    async def get_metrics(self, request: ApiRequest) -> ApiResponse[bytes]:
        """Tell an operator's Prometheus what guests use. Raises NotFound where no token is set, Unauthorized."""
        expected = request.runtime.settings.metrics_token
        if expected is None:
            raise NotFound
        shown = request.context.headers.get(b"authorization", b"")
        if not hmac.compare_digest(shown, b"Bearer " + expected.encode()):
            raise Unauthorized
        return ApiResponse(await exposition(await newest_metrics(request.runtime)), media_type=MEDIA_TYPE)

    @get(
        ["/openapi.json", "/api/openapi.json"],
        operation_id="openapi",
        summary="This document",
        include_in_schema=False,
        docs=Docs("The OpenAPI 3.1 document."),
    )
    async def get_document(self, request: ApiRequest) -> ApiResponse[bytes]:
        """Tell the OpenAPI document."""
        return ok(request.app.state[DOCUMENT])
