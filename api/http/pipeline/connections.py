"""Connections: how many there may be, in all and for a client, and how many of them are open."""

import resource
from collections import Counter

import msgspec

from api.application.refusals import RateLimited
from api.application.settings import Network
from api.http.pipeline.clients import is_proxy, parse_address
from api.http.pipeline.errors import RETRY_AFTER_S, Busy
from domain.accounts.networks import network_of
from domain.errors import Refusal

FILES_OF_OUR_OWN = 256
"""Open files that are left for everything but connections of clients: database, hosts, guests, files."""
FILES_MAX = 65_536
LINGERING_MAX = 64
"""How many connections that were refused may stay a moment, so that their clients come to read why."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many connections there may be."""

    in_all: int = 4096
    of_client: int = 256
    """Of one address, of IPv6 of one /64."""
    proxies: tuple[Network, ...] = ()
    """Whoever comes through these is counted by their requests alone."""


class Connections:
    """Counts the connections of one process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._of: Counter[str] = Counter()
        self._in_all = 0
        self.lingering = 0
        """How many that were refused are still there."""

    def refusal(self, peer: str | None) -> Refusal | None:
        """Return why one more connection of this address is too many, or None."""
        if self._in_all >= self._limits.in_all:
            return Busy()
        client = self._client(peer)
        if client is not None and self._of[client] >= self._limits.of_client:
            return RateLimited(retry_after_seconds=RETRY_AFTER_S)
        return None

    def opened(self, peer: str | None) -> None:
        """Count a connection."""
        self._in_all += 1
        if (client := self._client(peer)) is not None:
            self._of[client] += 1

    def closed(self, peer: str | None) -> None:
        """Count it no more."""
        self._in_all -= 1
        if (client := self._client(peer)) is not None:
            self._of[client] -= 1
            if not self._of[client]:
                del self._of[client]

    def _client(self, peer: str | None) -> str | None:
        address = None if peer is None else parse_address(peer)
        if address is None or is_proxy(address, self._limits.proxies):
            return None
        return network_of(str(address))


def room_for(connections: int) -> int:
    """Have the system let this process open files for so many connections; return for how many it does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(connections + FILES_OF_OUR_OWN, FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return connections
    return max(1, min(connections, soft - FILES_OF_OUR_OWN))
