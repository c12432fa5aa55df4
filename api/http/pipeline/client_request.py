"""Client requests: the request id, the client's address and the headers, before anything is believed."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from api.application.caller import Client
from api.application.settings import Network
from api.http.pipeline.clients import client_address
from domain.accounts.networks import network_of
from domain.ports import Ids

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_FORWARDED = b"x-forwarded-for"
_USER_AGENT_CHARACTERS_MAX = 256
ADDRESSES_KNOWN_MAX = 4096
"""Of how many addresses a process remembers how they are written and counted: to work it out takes 8 microseconds."""

Scope = Mapping[str, Any]


class ClientRequest(msgspec.Struct, frozen=True):
    """What is known of a request before anything in it is believed."""

    client: Client
    as_problem: bool
    """Whether the client wants errors as ``application/problem+json``."""
    headers: Mapping[bytes, bytes]
    """By lower-case name; of a header sent twice the last."""


def client_request_reader(ids: Ids, proxies: Sequence[Network]) -> Callable[[Scope], ClientRequest]:
    """Return what reads the head of a request from an ASGI scope; only these proxies are believed about addresses."""

    @lru_cache(ADDRESSES_KNOWN_MAX)
    def address_of(peer: str) -> str:
        return client_address(peer, (), proxies)

    @lru_cache(ADDRESSES_KNOWN_MAX)
    def counted_network(address: str | None) -> str:
        return network_of(address)

    def read(scope: Scope) -> ClientRequest:
        headers = dict(scope["headers"])
        asked = headers.get(b"x-request-id", b"")
        peer, address = scope.get("client"), None
        if peer is not None:
            forwarded = [value for name, value in scope["headers"] if name == _FORWARDED] if proxies else ()
            address = client_address(peer[0], forwarded, proxies) if forwarded else address_of(peer[0])
        agent = headers.get(b"user-agent", b"").decode("latin-1")[:_USER_AGENT_CHARACTERS_MAX]
        client = Client(
            request_id=asked.decode() if _REQUEST_ID.fullmatch(asked) else str(ids.new()),
            address=address,
            network=counted_network(address),
            user_agent=agent or None,
        )
        return ClientRequest(client, b"application/problem+json" in headers.get(b"accept", b"").lower(), headers)

    return read
