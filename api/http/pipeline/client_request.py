"""Arrivals: the request id, the client's address and the headers of a request, before anything is believed."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from api.application.settings import Network
from api.http.pipeline.call import Arrival
from api.http.pipeline.clients import client_address
from domain.accounts.networks import network_of
from domain.ports import Ids

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_FORWARDED = b"x-forwarded-for"

Scope = Mapping[str, Any]


def arrivals(ids: Ids, proxies: Sequence[Network]) -> Callable[[Scope], Arrival]:
    """Return what turns an ASGI scope into an arrival; only these proxies are believed about addresses."""

    def arrival(scope: Scope) -> Arrival:
        headers = dict(scope["headers"])
        asked = headers.get(b"x-request-id", b"")
        peer, address = scope.get("client"), None
        if peer is not None:
            forwarded = [value for name, value in scope["headers"] if name == _FORWARDED] if proxies else ()
            address = client_address(peer[0], forwarded, proxies)
        return Arrival(
            request_id=asked.decode() if _REQUEST_ID.fullmatch(asked) else str(ids.new()),
            address=address,
            client=network_of(address),
            as_problem=b"application/problem+json" in headers.get(b"accept", b"").lower(),
            headers=headers,
        )

    return arrival
