"""Guessing passwords, from the side of whoever guesses, and of whoever only wants to get in."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache

import httpx
import pytest

from adapters.simulated.clock import ManualClock
from adapters.turnstile import TEST_TOKEN
from api.application.runtime import Runtime
from api.http.app import create_app
from api.http.pipeline.edge import Edge
from domain.accounts import logins
from domain.accounts.events import PasswordConfirmed, PasswordTried
from domain.accounts.ports import PasswordsBusy
from domain.codec import decode
from tests.api.houses import ADDRESS, PASSWORD, Customer, House, house
from tests.databases import Databases

pytestmark = pytest.mark.anyio

HOME = "198.51.100.1"
CAPTCHA = {"cf-turnstile-response": TEST_TOKEN}
WRONG = "not this one"
NOBODY = "nobody@example.com"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have failures told at once."""
    monkeypatch.setattr("api.http.accounts.controllers.FAILURE_TAKES_S", 0.0)
    monkeypatch.setattr("api.application.accounts.passwords.UNDECIDED_PAUSE_S", 0.01)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
async def still(databases: Databases, clock: ManualClock) -> AsyncIterator[House]:
    """A service with that clock."""
    async with house(databases, clock=clock) as made:
        yield made


@pytest.fixture
async def owner(still: House) -> Customer:
    """Somebody who never logged in yet."""
    return await still.register("ann@example.com")


@lru_cache(maxsize=1)
def app_of(runtime: Runtime) -> Edge:
    return create_app(runtime)


@asynccontextmanager
async def coming_from(here: House, address: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app_of(here.runtime), client=(address, 4711))
    async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
        yield client


async def login(here: House, address: str, password: str = WRONG, email: str = "ann@example.com", **more: str) -> str:
    """Try to log in from an address; return what came of it in a word."""
    async with coming_from(here, address) as client:
        answer = await client.post("/api/auth/login", json={"email": email, "password": password, **more})
    return "in" if answer.status_code == 200 else str(answer.json()["code"])


def network(number: int) -> str:
    return f"192.0.2.{number}"


async def guess_from_everywhere(here: House, email: str = "ann@example.com") -> list[str]:
    return [await login(here, network(n), email=email) for n in range(logins.FROM_UNKNOWN_NETWORKS.tries + 5)]


async def test_a_stranger_who_guesses_keeps_only_himself_out(still: House, owner: Customer) -> None:
    guessed = [await login(still, network(1)) for _ in range(7)]

    assert guessed == ["invalid_credentials"] * 5 + ["captcha_or_wait"] * 2
    assert await login(still, HOME, PASSWORD) == "in"
    assert await login(still, network(1), PASSWORD) == "captcha_or_wait"


async def test_who_failed_at_one_account_need_not_wait_at_another_account(still: House, owner: Customer) -> None:
    for _ in range(6):
        await login(still, HOME, email=NOBODY)

    assert await login(still, HOME, PASSWORD) == "in"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:DB8:1:2:ffff:0:0:9"),
        ("192.0.2.7", "::ffff:192.0.2.7"),
        ("fe80::1%eth0", "fe80::2%eth1"),
    ],
)
async def test_one_network_is_one_however_it_is_written(still: House, owner: Customer, one: str, other: str) -> None:
    for _ in range(5):
        await login(still, one)

    assert await login(still, other) == "captcha_or_wait"


@pytest.mark.parametrize("place", ["login", "close", "change"])
async def test_a_hundred_guesses_at_once_are_one_after_the_other(
    still: House, clock: ManualClock, owner: Customer, place: str
) -> None:
    async def guess() -> str:
        match place:
            case "login":
                answer = await still.client.post("/api/auth/login", json={"email": owner.email, "password": WRONG})
            case "close":
                answer = await owner.ask("DELETE", "/api/me", json={"password": WRONG})
            case _:
                body = {"password": WRONG, "new_password": "battery staple"}
                answer = await owner.ask("PUT", "/api/me/password", json=body)
        return str(answer.json()["code"])

    wrong = "invalid_credentials" if place == "login" else "wrong_password"
    first = Counter(await asyncio.gather(*(guess() for _ in range(100))))
    assert first == {wrong: 5, "captcha_or_wait": 95}
    for failures in range(6, 9):
        clock.advance(2 ** (failures - 6))
        assert Counter(await asyncio.gather(*(guess() for _ in range(100)))) == {wrong: 1, "captcha_or_wait": 99}


async def test_what_is_guessed_in_one_place_counts_in_every_other(still: House, owner: Customer) -> None:
    for _ in range(5):
        await owner.ask("DELETE", "/api/me", json={"password": WRONG})
    body = {"password": PASSWORD, "new_password": "battery staple"}

    closing = await owner.ask("DELETE", "/api/me", json={"password": PASSWORD})
    changing = await owner.ask("PUT", "/api/me/password", json=body)
    again = await still.client.post("/api/auth/login", json={"email": owner.email, "password": PASSWORD})

    assert {answer.json()["code"] for answer in (closing, changing, again)} == {"captcha_or_wait"}
    assert {answer.headers["retry-after"] for answer in (closing, changing, again)} == {"1"}
    assert (await owner.ask("PUT", "/api/me/password", json={**body, **CAPTCHA})).status_code == 204


async def test_the_right_password_shown_once_more_ends_the_row_and_is_recorded(still: House, owner: Customer) -> None:
    for _ in range(4):
        await owner.ask("DELETE", "/api/me", json={"password": WRONG})
    body = {"password": PASSWORD, "new_password": "battery staple"}
    await owner.ask("PUT", "/api/me/password", json=body)

    events = [decode(one) for one in await still.runtime.store.read_feed(0, 1000)]
    assert PasswordConfirmed(owner.id) in events
    assert await login(still, "127.0.0.1") == "invalid_credentials"
    assert await login(still, "127.0.0.1") == "invalid_credentials"


@pytest.mark.parametrize("email", ["ann@example.com", NOBODY])
async def test_whoever_guesses_from_everywhere_is_slowed_down(still: House, owner: Customer, email: str) -> None:
    guessed = await guess_from_everywhere(still, email)

    assert guessed == ["invalid_credentials"] * logins.FROM_UNKNOWN_NETWORKS.tries + ["captcha_or_wait"] * 5


async def test_where_the_owner_came_from_before_nobody_elses_guesses_count(
    still: House, clock: ManualClock, owner: Customer
) -> None:
    assert await login(still, HOME, PASSWORD) == "in"
    await guess_from_everywhere(still)

    assert await login(still, HOME, PASSWORD) == "in"
    assert await login(still, "203.0.113.1", PASSWORD) == "captcha_or_wait"
    clock.advance(logins.FROM_UNKNOWN_NETWORKS.window_s)
    assert await login(still, "203.0.113.1", PASSWORD) == "in"


async def test_whoever_has_the_password_and_solves_a_captcha_gets_in(still: House, owner: Customer) -> None:
    await guess_from_everywhere(still)
    for _ in range(10):
        await login(still, HOME)

    assert await login(still, HOME, PASSWORD) == "captcha_or_wait"
    assert await login(still, HOME, PASSWORD, **CAPTCHA) == "in"
    assert await login(still, "203.0.113.1", PASSWORD, **CAPTCHA) == "in"


async def test_a_captcha_that_is_not_solved_gets_nobody_in_and_uses_nothing_up(still: House, owner: Customer) -> None:
    for _ in range(5):
        await login(still, HOME)
    unsolved = {"cf-turnstile-response": "unsolved"}
    for _ in range(logins.WITH_CAPTCHA_FROM_NETWORK.tries + 1):
        assert await login(still, HOME, PASSWORD, **unsolved) == "captcha_failed"

    assert await login(still, HOME, PASSWORD, **CAPTCHA) == "in"


async def test_a_captcha_is_looked_at_only_where_one_would_have_to_wait(still: House, owner: Customer) -> None:
    assert await login(still, HOME, PASSWORD, **{"cf-turnstile-response": "unsolved"}) == "in"


@pytest.mark.parametrize("email", ["ann@example.com", NOBODY])
async def test_captchas_are_no_way_to_guess_faster(still: House, owner: Customer, email: str) -> None:
    for _ in range(5):
        await login(still, network(1), email=email)
    guessed = Counter(await asyncio.gather(*(login(still, network(1), email=email, **CAPTCHA) for _ in range(100))))

    assert guessed == {"invalid_credentials": 5, "too_many_attempts": 95}
    assert await login(still, network(1), email=email, **CAPTCHA) == "too_many_attempts"


async def test_captchas_solved_everywhere_are_bounded_as_well_but_not_where_the_owner_came_from(
    still: House, owner: Customer
) -> None:
    assert await login(still, HOME, PASSWORD) == "in"
    for _ in range(5):
        await login(still, HOME)
    await guess_from_everywhere(still)
    bound = logins.WITH_CAPTCHA_FROM_UNKNOWN_NETWORKS.tries
    guessed = [await login(still, network(n), **CAPTCHA) for n in range(30, 30 + bound + 3)]

    assert guessed == ["invalid_credentials"] * bound + ["too_many_attempts"] * 3
    assert await login(still, HOME, PASSWORD, **CAPTCHA) == "in"


async def test_programs_that_log_in_side_by_side_meet_no_wait(still: House, owner: Customer) -> None:
    assert await asyncio.gather(*(login(still, HOME, PASSWORD) for _ in range(30))) == ["in"] * 30


async def test_a_password_is_recorded_as_tried_before_it_is_looked_at(
    still: House, clock: ManualClock, owner: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> bool:
        raise RuntimeError("the process dies here")

    monkeypatch.setattr(still.runtime.passwords, "verify", crash)
    assert await login(still, HOME) == "internal_error"
    monkeypatch.undo()

    events = [decode(one) for one in await still.runtime.store.read_feed(0, 1000)]
    assert PasswordTried(owner.id, clock.now()) in events


async def test_what_is_not_looked_at_counts_for_nothing(
    still: House, owner: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_: object) -> bool:
        raise PasswordsBusy

    monkeypatch.setattr(still.runtime.passwords, "verify", busy)
    assert [await login(still, HOME, PASSWORD) for _ in range(8)] == ["busy"] * 8
    monkeypatch.undo()

    assert await login(still, HOME, PASSWORD) == "in"


async def test_nothing_recorded_of_tries_tells_in_plain_where_they_came_from(still: House, owner: Customer) -> None:
    await login(still, "203.0.113.99")
    await login(still, "203.0.113.99", email=NOBODY)

    feed = await still.runtime.store.read_feed(0, 1000)
    assert not any("203.0.113.99" in one.payload + one.metadata for one in feed)


def test_the_bounds_are_what_the_guide_says() -> None:
    per_hour = [quota.tries * 3600 // quota.window_s for quota in (
        logins.FROM_UNKNOWN_NETWORKS, logins.WITH_CAPTCHA_FROM_NETWORK, logins.WITH_CAPTCHA_FROM_UNKNOWN_NETWORKS,
    )]  # fmt: skip

    assert per_hour == [120, 60, 100]
