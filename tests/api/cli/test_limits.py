"""Tests of `litevps account limit`, `litevps host list` and `litevps host overcommit`."""

import asyncio
import json
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from api.application.capacity import ensure_registered
from api.bootstrap import runtime as bootstrap
from api.bootstrap.runtime import Database
from domain.compute.events import HostRegistered
from domain.ids import HostId
from tests.api.cli.conftest import Type
from tests.api.houses import ROOMY

HOST = HostId(UUID(int=77))


@pytest.fixture
def ann(typed: Type) -> str:
    """Return the address of an account."""
    assert typed("account", "create", "ann@example.com", stdin="a long password\n").exit_code == 0
    return "ann@example.com"


@pytest.fixture
def host(ann: str, database_url: str, tmp_path: Path) -> str:
    """Return the id of a host that was registered."""

    async def register() -> None:
        settings = msgspec.structs.replace(ROOMY, home=str(tmp_path / "home"), compute="simulated")
        database = Database(database_url, None)
        async with bootstrap.opened_runtime(settings, database, with_hosts=False, say=lambda _: None) as runtime:
            registered = HostRegistered(HOST, "host-1", "127.0.0.1", 22_000, 22_009, 2_048, 2, 40)
            await ensure_registered(runtime.worker, registered)

    asyncio.run(register())
    return str(HOST)


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


def test_hosts_are_listed_with_what_is_reserved_and_of_how_much(typed: Type, host: str) -> None:
    (told,) = json.loads(typed("host", "list", "-o", "json").stdout)

    assert told == {
        "id": host,
        "name": "host-1",
        "memory_mb": {"used": 0, "total": 2_048},
        "vcpu": {"used": 0, "total": 8},
        "disk_gb": {"used": 0, "total": 40},
        "ports": {"used": 0, "total": 10},
        "vpss": 0,
    }
    assert "0/2048" in typed("host", "list").stdout


def test_a_host_is_promised_over_by_its_own_percentages(typed: Type, host: str) -> None:
    typed("host", "overcommit", host, "--cpu-percent", "100", "--disk-percent", "150")
    (told,) = json.loads(typed("host", "overcommit", host, "--cpu-percent", "default", "-o", "json").stdout)
    assert (told["vcpu"]["total"], told["disk_gb"]["total"]) == (8, 60)

    refused = typed("host", "overcommit", host, "--cpu-percent", "0")
    assert "cpu_percent: must be from 1 to 10000" in refused.stderr
    assert "there is no host" in typed("host", "overcommit", str(UUID(int=1)), "--cpu-percent", "1").stderr
