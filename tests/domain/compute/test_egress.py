"""What an owner may list as reachable, and what a list leads to."""

import pytest

from domain.compute import egress
from domain.compute.egress import ALLOWED_MAX, NONE, OPEN, Egress, allowing, allows_name, from_text, to_text


@pytest.mark.parametrize(
    "entry", ["example.org", "EXAMPLE.org.", "*.example.org", "_dmarc.example.org", "xn--bcher-kva.example", "1.1.1.1"]
)
def test_a_name_or_a_public_network_can_be_listed(entry: str) -> None:
    assert egress.wrong_allowed([entry]) is None


@pytest.mark.parametrize(
    "entry",
    ["", "localhost", "*", "*.org", "a..b", "ex ample.org", "-a.org", "bücher.example", "http://example.org", "a.b/24"],
)
def test_what_is_neither_name_nor_network_is_refused(entry: str) -> None:
    assert egress.wrong_allowed([entry]) is not None


@pytest.mark.parametrize("network", list(map(str, egress.NEVER_REACHED)))
def test_no_network_that_nobody_may_reach_can_be_listed_nor_one_around_it(network: str) -> None:
    first = network.partition("/")[0]
    for listed in (network, first, "0.0.0.0/0", "128.0.0.0/1" if first >= "128" else "0.0.0.0/1"):
        assert egress.wrong_allowed([listed]) is not None


@pytest.mark.parametrize("network", ["1.2.3.4/24", "1.2.3", "1.2.3.4/33", "::1", "2001:db8::/32", "1.2.3.4/"])
def test_a_network_is_one_of_ipv4_from_its_first_address_on(network: str) -> None:
    assert egress.wrong_allowed([network]) is not None


def test_a_list_is_bounded() -> None:
    names = [f"n{number}.example.org" for number in range(ALLOWED_MAX + 1)]
    assert egress.wrong_allowed(names[1:]) is None
    assert egress.wrong_allowed(names) is not None


def test_a_list_is_kept_in_one_spelling() -> None:
    listed = allowing([" Example.org.", "example.org", "8.0.0.0/8", "8.8.8.8", "*.Debian.org"])
    assert listed == Egress("allow", names=("example.org", "*.debian.org"), networks=("8.0.0.0/8",))


def test_a_name_stands_for_itself_and_a_star_for_what_is_below() -> None:
    listed = allowing(["example.org", "*.debian.org"])
    asked = (
        "example.org",
        "www.example.org",
        "debian.org",
        "deb.debian.org",
        "a.b.debian.org",
        "notdebian.org",
        ".debian.org",
    )
    assert [name for name in asked if allows_name(listed, name)] == ["example.org", "deb.debian.org", "a.b.debian.org"]
    assert not any(allows_name(policy, "example.org") for policy in (OPEN, NONE))


def test_a_policy_is_read_as_it_was_recorded_and_an_erased_one_leads_nowhere() -> None:
    for policy in (OPEN, NONE, allowing(["example.org", "1.1.1.1"])):
        assert from_text(to_text(policy)) == policy
    assert from_text("erased") == NONE
