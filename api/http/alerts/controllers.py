"""Alerts over HTTP: where mail about the balance goes."""

from litestar import Controller, get, put
from litestar.params import RequestBody

from api.application.alerts.preferences import get_alerts, set_alerts, switch_alerts_off
from api.application.refusals import RateLimited
from api.http.alerts.schemas import EXAMPLE, UNDELIVERED_EXAMPLE, AlertsRequest, AlertsResponse
from api.http.openapi.docs import Docs
from api.http.pipeline.request import ApiRequest
from domain.errors import Invalid


class AlertsController(Controller):
    """Where the alerts of an account go."""

    path = "/api/billing/alerts"
    tags = ["billing"]

    @put(
        operation_id="put_alerts",
        summary="Be told by mail when funds run low",
        description=(
            "Mail goes out when the balance falls to or below a threshold, when a VPS is stopped for want of funds or"
            " for a token's limit, and when a payment is disputed or the account is frozen. Until the address has"
            " shown the code that is mailed to it (`POST /api/auth/verify-email`) nothing else is sent there."
            ' Without a call of this, nobody is told of anything. `{"email": null}` switches alerts off: what waits to'
            " be sent is not sent, and an address that is given later has to show a code again."
        ),
        docs=Docs(
            "Where alerts go; `email` is null where they are switched off.",
            EXAMPLE,
            refuses=(RateLimited,),
            body_example={"email": "ops@example.com", "thresholds": [5.00, 1.00]},
        ),
    )
    async def put_own(self, request: ApiRequest, data: RequestBody[AlertsRequest]) -> AlertsResponse:
        """Have alerts go to an address, which is mailed a code unless it is verified; or to none."""
        runtime, caller = request.runtime, request.caller
        if data.email is not None:
            return AlertsResponse.of(await set_alerts(runtime, caller, data.email, data.requested_thresholds()))
        if data.thresholds is not None:
            raise Invalid(fields={"thresholds": "must be left out where email is null"})
        return AlertsResponse.of(await switch_alerts_off(runtime, caller))

    @get(
        operation_id="get_alerts",
        summary="Where do alerts go",
        docs=Docs(
            "Where alerts go; `email` is null while they are off. `undelivered` tells of mail that was given up.",
            {**EXAMPLE, "undelivered": UNDELIVERED_EXAMPLE},
        ),
    )
    async def get_own(self, request: ApiRequest) -> AlertsResponse:
        """Tell where alerts go."""
        return AlertsResponse.of(await get_alerts(request.runtime, request.caller))
