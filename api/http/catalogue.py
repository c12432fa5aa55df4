"""The catalogue of every handler there is, and the operations that the document tells of."""

from collections.abc import Sequence

from litestar import Litestar
from litestar.types import ControllerRouterHandler

from api.application.settings import Settings
from api.http import (
    billing_explain,
    billing_funds_endpoints,
    billing_seeing,
    billing_usage,
    vps_endpoints,
)
from api.http.accounts.controllers import MailedCodesController, OwnAccountController, SessionsController
from api.http.alerts.controllers import AlertsController
from api.http.bridge import Endpoint, bridged
from api.http.exec.controllers import ExecController
from api.http.pipeline.operation import BODY_BYTES_MAX, Operation, operations_of
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse
from api.http.pricing.controllers import PricingController
from api.http.service.controllers import ServiceController
from api.http.ssh_keys.controllers import SshKeysController
from api.http.statements.controllers import StatementsController
from api.http.tokens.controllers import TokensController


def handlers(_settings: Settings) -> Sequence[ControllerRouterHandler]:
    """Return every handler, in the order of the document."""
    return (
        SessionsController,
        OwnAccountController,
        MailedCodesController,
        AlertsController,
        PricingController,
        SshKeysController,
        TokensController,
        *_bridged(vps_endpoints.ENDPOINTS),
        ExecController,
        *_bridged(billing_funds_endpoints.ENDPOINTS),
        *_bridged(billing_seeing.ENDPOINTS),
        *_bridged(billing_usage.ENDPOINTS),
        *_bridged(billing_explain.ENDPOINTS),
        StatementsController,
        ServiceController,
    )


def endpoints(settings: Settings) -> tuple[Operation, ...]:
    """Return every operation."""
    given = handlers(settings)
    router = Litestar(
        route_handlers=given,
        request_class=ApiRequest,
        response_class=ApiResponse,
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=None,
        logging_config=None,
    )
    return operations_of(router, given)


def declared(settings: Settings) -> tuple[Operation, ...]:
    """Return every operation that the document tells of."""
    return tuple(one for one in endpoints(settings) if one.is_documented)


def _bridged(those: Sequence[Endpoint]) -> list[ControllerRouterHandler]:
    return [bridged(one) for one in those]
