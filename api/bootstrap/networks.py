"""Bootstrap of the network that guests of the embedded host hang on, where the settings say so."""

from socket import socket

from adapters.host_network.network import NatNetwork, address_at, uplink_of
from adapters.host_network.plan import NetworkPlan
from adapters.ssh.connection import dial_directly
from api.application.settings import Settings
from domain.compute.ports import GuestAddress, NetworkUnavailable


class OpenedNetwork:
    """The network of the embedded host's guests, and where they are reached from outside."""

    def __init__(self, settings: Settings) -> None:
        """Raises NetworkUnavailable where nobody could reach a guest."""
        uplink = settings.guest_uplink or uplink_of(None)
        host = settings.guest_ssh_host or (None if uplink is None else address_at(uplink, None))
        if host is None:
            raise NetworkUnavailable(
                "this machine has no address that customers could reach guests at: set guest_ssh_host"
            )
        self.ssh_host = host
        self.guests = NatNetwork(
            NetworkPlan(
                folder=settings.home_folder / "network",
                network=settings.guest_ipv4_network,
                uplink=uplink,
                smtp=settings.guest_smtp,
                denied=settings.guest_denied_ipv4_networks,
                name_servers=settings.guest_name_server_list,
            )
        )

    def dial(self, address: GuestAddress) -> tuple[socket, tuple[str, int]]:
        """Return the way to a guest: over the bridge, or as before there was one for those placed then."""
        return self.guests.dial(address.ssh_port) if address.ssh_host == self.ssh_host else dial_directly(address)


def network_of(settings: Settings) -> OpenedNetwork | None:
    """Return the network that the settings ask for, up or not; None where each guest's card ends in its own QEMU."""
    return OpenedNetwork(settings) if settings.network == "nat" else None


def remove_network(settings: Settings) -> None:
    """Have nothing left of a network, whatever the settings ask for now; for when the host is ended."""
    plan = NetworkPlan(folder=settings.home_folder / "network", network=settings.guest_ipv4_network, uplink=None)
    if plan.folder.is_dir():
        NatNetwork(plan).remove()
