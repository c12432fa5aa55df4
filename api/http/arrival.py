"""Arrivals: the request id, the client's address and the headers of a request, before anything is believed."""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from api.http.call import Arrival
from api.settings import Network
from domain.ports import Ids

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_FORWARDED_MAX = 32
"""How many hops of ``X-Forwarded-For`` are looked at, from the nearest on."""

Scope = Mapping[str, Any]


def arrivals(ids: Ids, proxies: Sequence[Network]) -> Callable[[Scope], Arrival]:
    """Return what turns an ASGI scope into an arrival; only these proxies are believed about addresses."""

    def arrival(scope: Scope) -> Arrival:
        headers = dict(scope["headers"])
        asked = headers.get(b"x-request-id", b"")
        return Arrival(
            request_id=asked.decode() if _REQUEST_ID.fullmatch(asked) else str(ids.new()),
            address=_client_address(scope, headers, proxies),
            as_problem=b"application/problem+json" in headers.get(b"accept", b"").lower(),
            headers=headers,
        )

    return arrival


def _client_address(scope: Scope, headers: Mapping[bytes, bytes], proxies: Sequence[Network]) -> str | None:
    client = scope.get("client")
    if client is None:
        return None
    address: str = client[0]
    if not proxies:
        return address
    # The nearest hop is written last; each is believed about the one before it only while it is trusted.
    hops = headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")[-_FORWARDED_MAX:]
    while hops and _is_among(address, proxies):
        hop = hops.pop().strip()
        if not _is_address(hop):
            break
        address = hop
    return address


def _is_among(address: str, networks: Sequence[Network]) -> bool:
    return _is_address(address) and any(ipaddress.ip_address(address) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
