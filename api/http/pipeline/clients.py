"""Clients: from a connection and its headers to the address that asks."""

import ipaddress
from collections.abc import Iterable, Sequence

from api.application.settings import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

FORWARDED_MAX = 32
"""How many hops of ``X-Forwarded-For`` are looked at, from the nearest on."""
ADDRESS_CHARACTERS_MAX = 64


def parse_address(text: str) -> Address | None:
    """Return an address whatever its spelling, or None for what is none.

    With a port, in brackets or quotes as in ``Forwarded`` (RFC 7239, 6), with a zone, or IPv4 written as IPv6: the
    address is the same without.
    """
    text = text.strip().strip('"')
    if len(text) > ADDRESS_CHARACTERS_MAX:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def client_address(peer: str, forwarded: Iterable[bytes], proxies: Sequence[Network]) -> str:
    """Return the address that asks, canonical: the last one on the way that is not one of our proxies.

    ``peer``: who made the connection; ``forwarded``: every line of ``X-Forwarded-For``, in order.
    """
    address = parse_address(peer)
    if address is None:
        return peer
    if not proxies:
        return str(address)
    hops = [hop for line in forwarded for hop in line.decode("latin-1").split(",") if hop.strip()]
    # The nearest hop is written last; each is believed about the one before it only while it is trusted.
    for hop in reversed(hops[-FORWARDED_MAX:]):
        before = parse_address(hop) if is_proxy(address, proxies) else None
        if before is None:
            break
        address = before
    return str(address)


def is_proxy(address: Address, proxies: Sequence[Network]) -> bool:
    """Return whether an address is one of our proxies."""
    return any(address in network for network in proxies)
