"""What a guest may reach: the internet, nothing, or what its owner lists; and what no guest ever may."""

import ipaddress
import re
from collections.abc import Iterable
from typing import Literal

import msgspec

ALLOWED_MAX = 64
"""How many names and networks one VPS can list: each network is an element of the host's filter."""
NAME_CHARACTERS_MAX = 253
"""RFC 1035, 2.3.4, less the octets that are lengths."""
ANY_BELOW = "*."
"""Before a name: all names below it, and not itself."""

NEVER_REACHED = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this network (RFC 791)
            "10.0.0.0/8",  # private (RFC 1918)
            "100.64.0.0/10",  # between a provider and its customers (RFC 6598); clouds have services there
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local (RFC 3927); clouds tell secrets at 169.254.169.254
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # IETF protocol assignments (RFC 6890)
            "192.0.2.0/24",  # documentation (RFC 5737)
            "192.88.99.0/24",  # 6to4 relays, given up (RFC 7526)
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks (RFC 2544)
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/3",  # multicast, reserved, broadcast
        ),
    )
)
"""No policy leads there. The host's own addresses come on top, and what its operator names."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})+")
_LIKE_A_NETWORK = re.compile(r"[0-9./]+|.*:.*")

Mode = Literal["open", "none", "allow"]


class Egress(msgspec.Struct, frozen=True):
    """What a guest may reach. ``names`` and ``networks`` belong to ``allow``, in their one spelling."""

    mode: Mode
    names: tuple[str, ...] = ()
    """Host names in lower case; ``*.example.org`` stands for every name below it."""
    networks: tuple[str, ...] = ()
    """Networks of IPv4, none within another."""


WantedEgress = Literal["open", "none"] | tuple[str, ...]
"""As an owner says it: a mode, or what is to be on the list."""
OPEN = Egress("open")
"""The internet: all that is neither private nor the host's."""
NONE = Egress("none")
"""Nothing, names included."""


def wrong_egress(wanted: WantedEgress) -> str | None:
    """Return why a policy cannot be had, and what to change; None where it can."""
    return None if isinstance(wanted, str) else wrong_allowed(wanted)


def normalized(wanted: WantedEgress) -> Egress:
    """Return the policy that an owner wants, which was found right, in the form that is recorded."""
    return Egress(wanted) if isinstance(wanted, str) else allowing(wanted)


def wrong_allowed(allowed: Iterable[str]) -> str | None:
    """Return why names and networks cannot be listed, and what to change; None where each can."""
    listed = list(allowed)
    if len(listed) > ALLOWED_MAX:
        return f"must be at most {ALLOWED_MAX} names and networks"
    return next(filter(None, map(_wrong, listed)), None)


def allowing(allowed: Iterable[str]) -> Egress:
    """Return the policy that leads to the names and networks listed, which were found right, and nowhere else."""
    listed = [entry.strip().lower().removesuffix(".") for entry in allowed]
    networks = [ipaddress.IPv4Network(entry) for entry in listed if _LIKE_A_NETWORK.fullmatch(entry)]
    names = (entry for entry in listed if not _LIKE_A_NETWORK.fullmatch(entry))
    return Egress(
        "allow",
        names=tuple(dict.fromkeys(names)),
        networks=tuple(map(str, ipaddress.collapse_addresses(networks))),
    )


def allows_name(egress: Egress, name: str) -> bool:
    """Return whether a name, in lower case and without a dot at its end, is one of those listed or below one."""
    return any(
        name.endswith(listed[1:]) and len(name) >= len(listed) if listed.startswith(ANY_BELOW) else name == listed
        for listed in egress.names
    )


def to_text(egress: Egress) -> str:
    """Return a policy as it is recorded."""
    return msgspec.json.encode(egress).decode()


def from_text(text: str) -> Egress:
    """Return a policy that was recorded; one that cannot be read any more, as after an erasure, leads nowhere."""
    try:
        return msgspec.json.decode(text, type=Egress)
    except msgspec.DecodeError:
        return NONE


def _wrong(entry: str) -> str | None:
    text = entry.strip().lower().removesuffix(".")
    if not _LIKE_A_NETWORK.fullmatch(text):
        if len(text) > NAME_CHARACTERS_MAX or not _NAME.fullmatch(text):
            return "must be host names such as example.org or *.example.org, or networks such as 93.184.216.0/24"
        return None
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        return "has a network that is none: write its first address, and the bits of its prefix if it is more than one"
    if isinstance(network, ipaddress.IPv6Network):
        return "must be networks of IPv4: guests have no IPv6"
    never = next((never for never in NEVER_REACHED if never.overlaps(network)), None)
    return None if never is None else f"must leave out {never}, which no guest ever reaches"
