"""Tests of `litevps account limit`."""

import json

import pytest

from tests.api.cli.conftest import Type


@pytest.fixture
def ann(typed: Type) -> str:
    """Return the address of an account."""
    assert typed("account", "create", "ann@example.com", stdin="a long password\n").exit_code == 0
    return "ann@example.com"


def test_an_account_is_given_limits_of_its_own_one_at_a_time(typed: Type, ann: str) -> None:
    first = typed("account", "limit", ann, "--vps-max", "50", "--reason", "a good customer", "-o", "json")
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    assert (told["vps_max"], told["vps_disk_gb_max"]) == (50, 500)

    typed("account", "limit", ann, "--vps-disk-gb-max", "9", "--reason", "less disk")
    back = typed("account", "limit", ann, "--vps-max", "default", "--reason", "no longer", "-o", "json")
    assert (json.loads(back.stdout)["vps_max"], json.loads(back.stdout)["vps_disk_gb_max"]) == (20, 9)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--reason", "why"), "give --vps-max, --vps-disk-gb-max or both"),
        (("--vps-max", "many", "--reason", "why"), "neither a whole number nor `default`"),
        (("--vps-max", "9999999", "--reason", "why"), "vps_max: must be from 0 to 1000000"),
        (("--vps-max", "5", "--reason", " "), "reason: must be 1 to 1000 characters"),
    ],
)
def test_limits_that_cannot_be_meant_are_refused(typed: Type, ann: str, words: tuple[str, ...], told: str) -> None:
    refused = typed("account", "limit", ann, *words)

    assert refused.exit_code != 0
    assert told in refused.stderr
