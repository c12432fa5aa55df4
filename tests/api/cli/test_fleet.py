"""Tests of `litevps host list`, `show`, `drain`, `undrain`, `label` and `overcommit`."""

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
def host(typed: Type, database_url: str, tmp_path: Path) -> str:
    """Return the id of a host that was registered."""

    assert typed("account", "create", "ann@example.com", stdin="a long password\n").exit_code == 0

    async def register() -> None:
        settings = msgspec.structs.replace(ROOMY, home=str(tmp_path / "home"), compute="simulated")
        database = Database(database_url, None)
        async with bootstrap.opened_runtime(
            settings, database, with_hosts=False, on_progress=lambda _: None
        ) as runtime:
            registered = HostRegistered(HOST, "host-1", "127.0.0.1", 22_000, 22_009, 2_048, 2, 40)
            await ensure_registered(runtime.worker, registered)

    asyncio.run(register())
    return str(HOST)


def test_hosts_are_listed_with_what_is_reserved_and_of_how_much(typed: Type, host: str) -> None:
    (told,) = json.loads(typed("host", "list", "-o", "json").stdout)

    assert told == {
        "id": host,
        "name": "host-1",
        "state": "open",
        "labels": {},
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


def test_a_drained_host_is_shown_as_such_until_it_is_undrained(typed: Type, host: str) -> None:
    (drained,) = json.loads(typed("host", "drain", "host-1", "-o", "json").stdout)
    assert drained["state"] == "drained"
    assert typed("host", "drain", host).exit_code == 0, "asked twice, it is so"
    shown = json.loads(typed("host", "show", host, "-o", "json").stdout)
    assert (shown["state"], shown["images"]) == ("drained", ["debian-12-lite"])
    (open_again,) = json.loads(typed("host", "undrain", host, "-o", "json").stdout)
    assert open_again["state"] == "open"


def test_hosts_are_found_by_their_labels(typed: Type, host: str) -> None:
    (told,) = json.loads(typed("host", "label", host, "zone=a", "plans=small,big", "-o", "json").stdout)
    assert told["labels"] == {"plans": "small,big", "zone": "a"}
    assert len(json.loads(typed("host", "list", "--label", "zone=a", "-o", "json").stdout)) == 1
    assert json.loads(typed("host", "list", "--label", "zone=b", "-o", "json").stdout) == []
    (told,) = json.loads(typed("host", "label", host, "zone-", "-o", "json").stdout)
    assert told["labels"] == {"plans": "small,big"}
    assert json.loads(typed("host", "list", "--label", "zone", "-o", "json").stdout) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("label", "host-1", "zone"), "'zone' is neither key=value nor key-"),
        (("label", "host-1", " =a"), "labels: must have keys that are not empty"),
        (("drain", "host-2"), "there is no host host-2"),
        (("show", "host-2"), "there is no host host-2"),
    ],
)
def test_what_cannot_be_meant_of_a_host_is_refused(typed: Type, host: str, words: tuple[str, ...], told: str) -> None:
    refused = typed("host", *words)

    assert refused.exit_code != 0
    assert told in refused.stderr
