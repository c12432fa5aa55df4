"""The network of guests as the settings ask for it, in a namespace that stands for the machine."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.networks import HOST_ADDRESS, UPLINK, World, make_world

pytestmark = pytest.mark.slow

OPEN_AND_REMOVE = """
import sys
from api.application.settings import Settings
from api.bootstrap.networks import network_of, remove_network
from domain.compute.egress import OPEN
from domain.compute.ports import GuestAddress
from tests.guests import KeyPair, guest_spec

settings = Settings(home=sys.argv[1], network="nat", guest_name_servers="8.8.8.8")
network = network_of(settings)
network.guests.ensure_up()
spec = guest_spec(KeyPair("", "a"), KeyPair("", "a"), ssh_port=22_000, egress=OPEN)
network.guests.ensure_guest(spec)
def way(ssh_host):
    opened, to = network.dial(GuestAddress(spec.vps_id, ssh_host, 22_000, ""))
    opened.close()
    return to
print(network.ssh_host, way(network.ssh_host), way("127.0.0.1"), sorted(network.guests.inventory().bound))
remove_network(settings)
"""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    yield from make_world()


def test_customers_reach_guests_at_the_uplink_and_the_service_over_the_bridge_until_all_is_taken_away(
    world: World, tmp_path: Path
) -> None:
    world.host.run("sysctl", "-qw", f"net/ipv4/conf/{UPLINK}/forwarding=0")
    told = world.host.run(sys.executable, "-c", OPEN_AND_REMOVE, str(tmp_path))

    assert told == f"{HOST_ADDRESS} ('10.77.85.240', 22) ('127.0.0.1', 22000) ['10.77.85.240']\n"
    assert not (tmp_path / "network").exists()
    assert world.host.run("nft", "list", "ruleset") == ""
    assert "litevps0" not in world.host.run("ip", "link", "show")
    assert world.host.run("sysctl", "-n", f"net/ipv4/conf/{UPLINK}/forwarding") == "0\n"


def test_what_the_machine_did_not_forward_it_does_not_forward_for_others(world: World) -> None:
    world.host.run("sysctl", "-qw", f"net/ipv4/conf/{UPLINK}/forwarding=0")
    world.network()
    assert world.host.run("sysctl", "-n", f"net/ipv4/conf/{UPLINK}/forwarding") == "1\n"
    assert f'"{UPLINK}"' in world.host.run("nft", "list", "set", "inet", "litevps", "guarded")
