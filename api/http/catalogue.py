"""The catalogue of every endpoint there is, and the document that is made of it."""

from functools import lru_cache
from typing import Any

from api.application.settings import Settings
from api.http import (
    accounts,
    alerts,
    billing_explain,
    billing_funds_endpoints,
    billing_seeing,
    billing_usage,
    closing,
    health,
    password_reset,
    pricing,
    ssh_keys,
    statements,
    tokens,
    verify_email,
    vps_endpoints,
)
from api.http import exec as exec_
from api.http.openapi.document import document
from api.http.pipeline.call import Answer, Call
from api.http.pipeline.endpoint import Endpoint, Told
from api.http.rendering import encode_json

DOCUMENT_PATHS = ("/openapi.json", "/api/openapi.json")


def endpoints(settings: Settings) -> tuple[Endpoint, ...]:
    """Return every endpoint, in the order of the document, which is told by the last ones."""
    body = _document(settings)

    async def tell(_call: Call) -> Answer:
        return Answer(200, body)

    return (*declared(settings), *(_telling(path, tell) for path in DOCUMENT_PATHS))


@lru_cache(maxsize=4)
def _document(settings: Settings) -> bytes:
    # It takes longer to make than all else that an application is made of.
    return encode_json(document(declared(settings), settings.url))


def declared(settings: Settings) -> tuple[Endpoint, ...]:
    """Return every endpoint that the document tells of."""
    return (
        *accounts.endpoints(settings),
        *verify_email.ENDPOINTS,
        *password_reset.ENDPOINTS,
        *closing.ENDPOINTS,
        *alerts.ENDPOINTS,
        *pricing.ENDPOINTS,
        *ssh_keys.ENDPOINTS,
        *tokens.ENDPOINTS,
        *vps_endpoints.ENDPOINTS,
        *exec_.ENDPOINTS,
        *billing_funds_endpoints.ENDPOINTS,
        *billing_seeing.ENDPOINTS,
        *billing_usage.ENDPOINTS,
        *billing_explain.ENDPOINTS,
        *statements.ENDPOINTS,
        *health.endpoints(),
    )


def _telling(path: str, tell: Any) -> Endpoint:
    return Endpoint(
        method="GET",
        path=path,
        name="openapi",
        tag="service",
        summary="This document",
        who="public",
        handle=tell,
        told=(Told(200, "The OpenAPI 3.1 document."),),
    )
