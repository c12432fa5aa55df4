"""The HTTP application: Litestar, with what it leaves to its users to decide, and an edge around it."""

from litestar import Litestar
from litestar.datastructures import State

from api.application.readiness import Readiness
from api.application.runtime import Runtime
from api.http.catalogue import handlers
from api.http.openapi.document import document
from api.http.pipeline.authentication import Authentication
from api.http.pipeline.edge import Edge
from api.http.pipeline.errors import exception_handlers
from api.http.pipeline.headers import CommonHeaders
from api.http.pipeline.operation import BODY_BYTES_MAX, operations_of
from api.http.pipeline.request import ApiRequest, read
from api.http.pipeline.responses import ApiResponse
from api.http.rendering import encode_json
from api.http.service.controllers import DOCUMENT, READINESS


def create_app(runtime: Runtime) -> Edge:
    """Return the ASGI application of a service."""
    authentication = Authentication(runtime)
    given = handlers(runtime.settings)
    router = Litestar(
        route_handlers=given,
        middleware=[authentication],
        before_request=read,
        before_send=[CommonHeaders(runtime)],
        exception_handlers=exception_handlers(authentication.let_in),
        request_class=ApiRequest,
        response_class=ApiResponse,
        request_max_body_size=BODY_BYTES_MAX,
        state=State({READINESS: Readiness(runtime)}),
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    router.state[DOCUMENT] = encode_json(document(operations_of(router, given), runtime.settings.url))
    return Edge(runtime, router)
