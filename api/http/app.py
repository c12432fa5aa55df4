"""The HTTP application: Litestar, with what it leaves to its users to decide, and an edge around it."""

from functools import lru_cache

from litestar import Litestar
from litestar.datastructures import State

from api.application.readiness import Readiness
from api.application.runtime import Runtime
from api.http.openapi.document import document
from api.http.pipeline.authentication import Authentication
from api.http.pipeline.edge import Edge
from api.http.pipeline.errors import exception_handlers
from api.http.pipeline.headers import CommonHeaders
from api.http.pipeline.operation import BODY_BYTES_MAX, operations_of
from api.http.pipeline.request import ApiRequest, read
from api.http.pipeline.responses import ApiResponse
from api.http.rendering import encode_json
from api.http.routes import CONTROLLERS, operations
from api.http.service.controllers import DOCUMENT, READINESS


def create_app(runtime: Runtime) -> Edge:
    """Return the ASGI application of a service."""
    authentication = Authentication(runtime)
    router = Litestar(
        route_handlers=CONTROLLERS,
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
    operations_of(router, CONTROLLERS)
    router.state[DOCUMENT] = _document(runtime.settings.url)
    return Edge(runtime, router)


@lru_cache(maxsize=4)
def _document(url: str) -> bytes:
    # It takes longer to make than all else that an application is made of.
    return encode_json(document(operations(), url))
