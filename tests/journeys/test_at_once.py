"""A hundred requests at once that change one account, over two real processes on one PostgreSQL: each has its turn."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import pytest

from domain.compute.events import HostRegistered
from tests.guests import new_key_pair
from tests.journeys.paying_processes import Payer, Ports, Processes, waiting
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

AT_ONCE = 100
EMAIL = "ann@example.com"


@pytest.fixture
def processes(database_url: str, owner_url: str, tmp_path: Path) -> Iterator[Processes]:
    (tmp_path / "home").mkdir()
    made = Processes(tmp_path, database_url, owner_url, Ports(free_port(), free_port(), free_port()))
    made.have_own_stand_in()
    try:
        made.start_api(0)
        made.start_api(1)
        yield made
    finally:
        made.close()


async def test_a_hundred_tokens_keys_and_vpss_at_once(processes: Processes) -> None:
    ann = Payer(processes, EMAIL)
    credited = processes.run("account", "credit", EMAIL, "0.042", "--reason", "to begin with")
    assert credited.returncode == 0, credited.stderr
    nano = min(ann.ask("GET", "/api/pricing").json(), key=lambda plan: plan["price_hourly"])
    assert nano["price_hourly"] == 0.0042
    processes.start_work()  # It brings the host on which there is to be room.
    until_there_is_a_host(processes)
    numbers = range(AT_ONCE)

    tokens = await posted_at_once(processes, ann, "/api/tokens", [{"name": f"ci-{n}"} for n in numbers])
    keys = [{"name": f"key-{n}", "public_key": new_key_pair().public} for n in numbers]
    added = await posted_at_once(processes, ann, "/api/ssh-keys", keys)
    vpss = [{"name": f"vm-{n}", "plan_id": nano["id"]} for n in numbers]
    created = await posted_at_once(processes, ann, "/api/vps", vpss)

    assert tokens == {201: AT_ONCE}
    assert added == {201: AT_ONCE}
    assert created == {201: 10, 402: AT_ONCE - 10}


def until_there_is_a_host(processes: Processes) -> None:
    for _ in waiting(60):
        if processes.events(HostRegistered):
            return
    raise AssertionError(f"no host is registered: {processes.log_tail()}")


async def posted_at_once(
    processes: Processes, ann: Payer, path: str, bodies: Sequence[Mapping[str, object]]
) -> Counter[int]:
    """Post all bodies at once, every other one to the other process; return how often each status was answered."""
    limits = httpx.Limits(max_connections=len(bodies))
    async with httpx.AsyncClient(headers=ann.authorization, limits=limits, timeout=60) as client:
        asked = (client.post(processes.apis[n % 2] + path, json=body) for n, body in enumerate(bodies))
        return Counter(answer.status_code for answer in await asyncio.gather(*asked))
