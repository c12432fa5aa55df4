"""Networks: where a client comes from, in one spelling, so that nobody counts as many."""

import ipaddress

NOWHERE = "-"
"""What a client without an address counts as, all of them together."""
IPV6_PREFIX_BITS = 64
"""What a provider gives to one customer at least (RFC 6177): whoever has it has all of its addresses."""


def network_of(address: str | None) -> str:
    """Return the network that an address counts as: an IPv4 address, or the /64 of an IPv6 address.

    An IPv4 address that is written as an IPv6 one (RFC 4291, 2.5.5.2) is the IPv4 address. What is no address
    counts as ``NOWHERE``.
    """
    try:
        parsed = ipaddress.ip_address((address or "").strip().partition("%")[0])
    except ValueError:
        return NOWHERE
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, IPV6_PREFIX_BITS), strict=False))
