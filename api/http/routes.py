"""The routes: every controller there is, in the order of the document."""

from functools import cache

from litestar import Litestar
from litestar.types import ControllerRouterHandler

from api.http.accounts.controllers import MailedCodesController, OwnAccountController, SessionsController
from api.http.alerts.controllers import AlertsController
from api.http.billing.controllers import BillingController
from api.http.billing.funds_controllers import FundsController, PayersController, RefundsController, WebhookController
from api.http.exec.controllers import ExecController
from api.http.pipeline.operation import BODY_BYTES_MAX, Operation, operations_of
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse
from api.http.pricing.controllers import PricingController
from api.http.service.controllers import ServiceController
from api.http.snapshots.controllers import SnapshotsController
from api.http.ssh_keys.controllers import SshKeysController
from api.http.statements.controllers import StatementsController
from api.http.templates.controllers import TemplatesController
from api.http.tokens.controllers import TokensController
from api.http.vps.controllers import VpsController

CONTROLLERS: tuple[ControllerRouterHandler, ...] = (
    SessionsController,
    OwnAccountController,
    MailedCodesController,
    AlertsController,
    PricingController,
    SshKeysController,
    TokensController,
    TemplatesController,
    VpsController,
    SnapshotsController,
    ExecController,
    FundsController,
    WebhookController,
    RefundsController,
    PayersController,
    BillingController,
    StatementsController,
    ServiceController,
)


@cache
def operations() -> tuple[Operation, ...]:
    """Return every operation, those included that the document does not tell of."""
    router = Litestar(
        route_handlers=CONTROLLERS,
        request_class=ApiRequest,
        response_class=ApiResponse,
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=None,
        logging_config=None,
    )
    return operations_of(router, CONTROLLERS)
