"""Prices over HTTP: the plans that can be bought."""

from litestar import Controller, get

from api.application.pricing import list_plans
from api.http.openapi.docs import Docs
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse, ok
from api.http.pricing.schemas import EXAMPLE, PlanResponse


class PricingController(Controller):
    """The plans on offer."""

    path = "/api/pricing"
    tags = ["pricing"]
    opt = {"public": True}

    @get(
        operation_id="list_plans",
        summary="What can be bought, and for how much",
        docs=Docs("The plans, the cheapest first.", [EXAMPLE]),
    )
    async def list_plans(self, request: ApiRequest) -> ApiResponse[list[PlanResponse]]:
        """Tell every plan on offer, the cheapest first."""
        return ok([PlanResponse.of(plan) for plan in await list_plans(request.runtime)])
