"""Clients: which address asks, whatever its spelling and whoever is on the way."""

from ipaddress import ip_network
from uuid import uuid4

import msgspec
import pytest

from api.application.settings import Settings
from api.http.pipeline.clients import client_address
from tests.api.houses import PASSWORD, ROOMY, house
from tests.databases import Databases

pytestmark = pytest.mark.anyio

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "canonical"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:C000:201", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_an_address_is_canonical_whatever_its_spelling(peer: str, canonical: str) -> None:
    assert client_address(peer, [], ()) == canonical


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ([b"192.0.2.1"], "192.0.2.1"),
        ([b"198.51.100.7, 192.0.2.1"], "192.0.2.1"),
        ([b"192.0.2.1, 10.0.0.2"], "192.0.2.1"),
        ([b"192.0.2.1", b"10.0.0.2"], "192.0.2.1"),
        ([b"198.51.100.7", b"192.0.2.1", b"10.0.0.3, 10.0.0.2"], "192.0.2.1"),
        ([b"192.0.2.1", b""], "192.0.2.1"),
        ([b"192.0.2.1:4711"], "192.0.2.1"),
        ([b"[2001:db8::1]:4711"], "2001:db8::1"),
        ([b"[2001:db8::1]"], "2001:db8::1"),
        ([b'"[2001:db8::1]:4711"'], "2001:db8::1"),
        ([b"2001:DB8::1"], "2001:db8::1"),
        ([b"::ffff:192.0.2.1"], "192.0.2.1"),
        ([b"192.0.2.1, fd00::2, ::ffff:10.0.0.3"], "192.0.2.1"),
        ([b"192.0.2.1, , "], "192.0.2.1"),
        # What a proxy cannot tell is asked by that proxy, and what stands before it is anybody's word.
        ([b"192.0.2.1, unknown"], "10.0.0.1"),
        ([b"192.0.2.1, nonsense, 10.0.0.2"], "10.0.0.2"),
        ([b"192.0.2.1, 192.0.2.999"], "10.0.0.1"),
        ([b"1" * 30_000], "10.0.0.1"),
        ([], "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_on_the_way_that_is_no_proxy_of_ours(forwarded: list[bytes], address: str) -> None:
    assert client_address("10.0.0.1", forwarded, PROXIES) == address
    assert client_address("::ffff:10.0.0.1", forwarded, PROXIES) == address


def test_who_is_no_proxy_of_ours_is_not_believed() -> None:
    assert client_address("192.0.2.9", [b"192.0.2.1"], PROXIES) == "192.0.2.9"
    assert client_address("10.0.0.1", [b"192.0.2.1"], ()) == "10.0.0.1"


def test_a_proxy_of_ipv4_may_be_written_as_ipv6() -> None:
    assert Settings(trusted_proxies="::ffff:10.0.0.0/104").proxy_networks == (ip_network("10.0.0.0/8"),)


async def test_a_network_shares_its_quota_and_a_proxys_clients_do_not(databases: Databases) -> None:
    tight = msgspec.structs.replace(ROOMY, logins_per_minute=1, trusted_proxies="127.0.0.0/8")

    async with house(databases, tight) as here:

        async def tried(*forwarded: str) -> int:
            headers = [("x-forwarded-for", line) for line in forwarded]
            login = {"email": f"{uuid4()}@example.com", "password": PASSWORD}
            return (await here.client.post("/api/auth/login", json=login, headers=headers)).status_code

        assert [await tried(f"192.0.2.{n}:{5000 + n}") for n in range(11)] == [401] * 11
        assert [await tried("198.51.100.9", f"192.0.3.{n}") for n in range(3)] == [401] * 3
        assert [await tried(f"[2001:db8::{n}]:1") for n in range(1, 4)] == [401, 429, 429]
        assert await tried("::ffff:192.0.2.1") == 429
