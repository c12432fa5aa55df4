"""The service itself: what it offers."""

from litestar import Controller, get

from api.http.openapi.docs import Docs
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse, ok

DOCUMENT = "document"
"""Of the application's state: the document, as it is sent."""


class DocumentController(Controller):
    """The OpenAPI document."""

    tags = ["service"]
    opt = {"public": True}

    @get(
        ["/openapi.json", "/api/openapi.json"],
        operation_id="openapi",
        summary="This document",
        include_in_schema=False,
        docs=Docs("The OpenAPI 3.1 document."),
    )
    async def get_document(self, request: ApiRequest) -> ApiResponse[bytes]:
        """Tell the document."""
        return ok(request.app.state[DOCUMENT])
