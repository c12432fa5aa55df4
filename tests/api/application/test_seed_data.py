"""The first start: plans and an operator, once."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from api.application.seed_data import PLANS, ensure_operator, ensure_plans
from api.application.settings import Settings
from tests.api.houses import ROOMY, House, house
from tests.databases import Databases

pytestmark = pytest.mark.anyio


async def test_plans_are_offered_unless_there_are_any(databases: Databases, tmp_path: Path) -> None:
    async with house(databases, at_home(tmp_path)) as here:
        await ensure_plans(here.runtime)
        assert [plan["name"] for plan in (await here.client.get("/api/pricing")).json()] == ["Nano"]


async def test_plans_that_ship_are_offered_once(databases: Databases, tmp_path: Path) -> None:
    async with house(databases, at_home(tmp_path), open_for_business=False) as here:
        for _ in range(2):
            await ensure_plans(here.runtime)
        told = (await here.client.get("/api/pricing")).text
        assert [plan["name"] for plan in msgspec.json.decode(told)] == [name for name, *_ in PLANS]
        assert '"name":"Nano","vcpu":1,"memory_mb":512,"disk_gb":10,"price_hourly":0.0042' in told


async def test_the_operator_can_log_in_and_has_every_role(databases: Databases, tmp_path: Path) -> None:
    async with house(databases, at_home(tmp_path)) as here:
        file = await ensure_operator(here.runtime)
        assert file is not None
        assert file.stat().st_mode & 0o777 == 0o600
        assert (await logged_in(here, file))["roles"] == ["admin", "finance", "support"]

        before = file.read_text()
        assert await ensure_operator(here.runtime) == file
        assert file.read_text() == before


async def test_a_crash_before_the_account_is_made_loses_no_password(databases: Databases, tmp_path: Path) -> None:
    async with house(databases, at_home(tmp_path)) as here:
        file = tmp_path / "operator.txt"
        file.write_text(f"{ROOMY.operator_email}\nwritten before the crash\n")
        await ensure_operator(here.runtime)
        assert (await logged_in(here, file))["email"] == ROOMY.operator_email


async def test_a_file_that_was_removed_is_not_made_again(databases: Databases, tmp_path: Path) -> None:
    async with house(databases, at_home(tmp_path)) as here:
        file = await ensure_operator(here.runtime)
        assert file is not None
        file.unlink()
        assert await ensure_operator(here.runtime) is None


def test_processes_that_start_at_once_agree_on_the_password(databases: Databases, tmp_path: Path) -> None:
    together = threading.Barrier(4)

    async def start() -> bool:
        # A store of its own: what counts is that each makes the account with what the file says in the end.
        async with house(databases, at_home(tmp_path)) as here:
            together.wait(120)
            file = await ensure_operator(here.runtime)
            together.wait(120)
            assert file is not None
            return (await logged_in(here, file)).get("email") == ROOMY.operator_email

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(lambda _: asyncio.run(start()), range(4)))
    assert [file.name for file in tmp_path.iterdir()] == ["operator.txt"]


def at_home(home: Path) -> Settings:
    """Return settings with a home of their own."""
    return msgspec.structs.replace(ROOMY, home=str(home))


async def logged_in(here: House, file: Path) -> dict[str, object]:
    """Log in with what a file says, and return who that is."""
    email, password = file.read_text().splitlines()  # noqa: ASYNC240
    token = (await here.client.post("/api/auth/login", json={"email": email, "password": password})).json().get("token")
    me: dict[str, object] = (await here.client.get("/api/me", headers={"authorization": f"Bearer {token}"})).json()
    return me
