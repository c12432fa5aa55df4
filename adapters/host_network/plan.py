"""What is fixed of a host's network before any guest: names of interfaces, addresses, and what its operator set."""

import hashlib
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import msgspec

from domain.compute.egress import Egress
from domain.ids import VpsId

TABLE = "litevps"
BRIDGE = "litevps0"
PORTS = "lvps"
"""What the bridge ports of guests begin with; the guest's SSH port follows. 15 characters are the most (IFNAMSIZ)."""
RESOLVER_PORT, LISTED_RESOLVER_PORT = 5300, 5301
"""On the bridge's address: names of the whole world, and those of guests that may have a few only."""


class NetworkPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One host's network. All that is made lives in ``folder``, in two tables of nftables, and at one bridge."""

    folder: Path
    network: IPv4Network
    """Of guests, a /16: the first address is the bridge's own."""
    uplink: str | None
    """The interface that leads to the internet; None: nothing gets out."""
    smtp: bool = False
    """Whether guests may speak SMTP to others' servers."""
    denied: tuple[IPv4Network, ...] = ()
    """What is denied to every guest besides what nobody reaches."""
    name_servers: tuple[str, ...] = ()
    """Where names are asked for, as dnsmasq writes servers; none: those of /etc/resolv.conf."""
    namespace: Path | None = None
    """The network namespace that all of it is in; None: that of this process."""

    @property
    def gateway(self) -> IPv4Address:
        """The bridge's own address, which guests reach names and the world by."""
        return self.network[1]

    def address_of(self, ssh_port: int) -> IPv4Address:
        """Return the address of the guest that has a port: its last 16 bits, so that one is as free as the other."""
        return self.network[ssh_port]

    @staticmethod
    def bridge_port_of(ssh_port: int) -> str:
        """Return what the bridge port of a guest is called."""
        return f"{PORTS}{ssh_port}"


class GuestEntry(msgspec.Struct, frozen=True):
    """What is kept on disk of a guest that is in the network: all of the filter is made from these."""

    vps_id: VpsId
    ssh_port: int
    mac: str
    egress: Egress
    mark: int
    """Names guest and policy together: connections carry it, so that those of an older policy end with it."""


def entry_of(vps_id: VpsId, ssh_port: int, egress: Egress) -> GuestEntry:
    """Return the entry of a guest."""
    told = msgspec.json.encode((vps_id, ssh_port, egress))
    mark = int.from_bytes(hashlib.sha256(told).digest()[:4]) or 1  # 0 is what a connection has before any mark.
    return GuestEntry(vps_id, ssh_port, mac_of(vps_id), egress, mark)


def mac_of(vps_id: VpsId) -> str:
    """Return the hardware address of a guest's card, the same at every start: locally administered, for one station."""
    return ":".join(f"{octet:02x}" for octet in (0x52, *vps_id.bytes[-5:]))
