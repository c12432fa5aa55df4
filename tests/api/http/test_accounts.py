"""Registration, login, logout, passwords."""

import time

import msgspec
import pytest

from adapters.turnstile import TEST_TOKEN
from api.http.accounts.controllers import FAILURE_TAKES_S
from tests.api.houses import PASSWORD, ROOMY, Customer, House, house
from tests.databases import Databases

pytestmark = pytest.mark.anyio


async def test_whoever_registers_is_logged_in(here: House) -> None:
    body = {"email": "Ann@example.com", "password": PASSWORD, "cf-turnstile-response": TEST_TOKEN}
    response = await here.client.post("/api/auth/register", json=body)

    assert response.status_code == 201
    assert set(response.json()) == {"id", "email", "token"}
    me = await here.client.get("/api/me", headers={"authorization": f"Bearer {response.json()['token']}"})
    assert me.status_code == 200
    assert me.text == (
        f'{{"id":"{response.json()["id"]}","email":"Ann@example.com","email_verified":false,"balance":0.0000,"balance_micros":0,"roles":[]}}'
    )
    assert me.headers["x-balance-remaining"] == "0.0000"


async def test_an_address_has_only_one_account_however_it_is_written(here: House, ann: Customer) -> None:
    body = {"email": "ANN@Example.com", "password": PASSWORD, "cf-turnstile-response": TEST_TOKEN}
    response = await here.client.post("/api/auth/register", json=body)

    assert (response.status_code, response.json()["code"]) == (409, "email_taken")


@pytest.mark.parametrize("token", [None, "", "wrong"])
async def test_nobody_registers_without_a_captcha(here: House, token: str | None) -> None:
    body = {"email": "ann@example.com", "password": PASSWORD}
    if token is not None:
        body["cf-turnstile-response"] = token
    response = await here.client.post("/api/auth/register", json=body)

    assert response.status_code == 400
    assert response.json() == {"error": "CAPTCHA verification failed", "code": "captcha_failed"}


@pytest.mark.parametrize("email", ["", "ann", "ann@", "@example.com", "ann@example", "a b@example.com", "x" * 300])
async def test_what_is_no_address_is_refused(here: House, email: str) -> None:
    body = {"email": email, "password": PASSWORD, "cf-turnstile-response": TEST_TOKEN}
    response = await here.client.post("/api/auth/register", json=body)

    assert response.status_code == 400
    assert set(response.json()["fields"]) == {"email"}


@pytest.mark.parametrize("password", ["", "1234567", "ö" * 513])
async def test_a_password_has_its_bounds(here: House, password: str) -> None:
    body = {"email": "ann@example.com", "password": password, "cf-turnstile-response": TEST_TOKEN}
    response = await here.client.post("/api/auth/register", json=body)

    assert response.status_code == 400
    assert set(response.json()["fields"]) == {"password"}


async def test_login_gives_a_token_that_is_good(here: House, ann: Customer) -> None:
    response = await here.client.post("/api/auth/login", json={"email": "ann@EXAMPLE.com", "password": PASSWORD})

    assert response.status_code == 200
    assert set(response.json()) == {"token"}
    me = await here.client.get("/api/me", headers={"authorization": f"bearer {response.json()['token']}"})
    assert me.json()["email"] == "ann@example.com"


async def test_a_wrong_password_and_an_unknown_address_are_told_alike(here: House, ann: Customer) -> None:
    wrong = await here.client.post("/api/auth/login", json={"email": ann.email, "password": "not this one"})
    unknown = await here.client.post("/api/auth/login", json={"email": "no@example.com", "password": PASSWORD})

    assert wrong.status_code == unknown.status_code == 401
    assert wrong.content == unknown.content == b'{"error":"invalid credentials","code":"invalid_credentials"}'
    assert set(wrong.headers) == set(unknown.headers)


async def test_a_wrong_password_and_an_unknown_address_take_the_same_time(here: House, ann: Customer) -> None:
    async def took_s(email: str) -> float:
        began_s = time.perf_counter()
        await here.client.post("/api/auth/login", json={"email": email, "password": "not this one"})
        return time.perf_counter() - began_s

    wrong, unknown = await took_s(ann.email), await took_s("no@example.com")

    assert min(wrong, unknown) >= FAILURE_TAKES_S
    assert abs(wrong - unknown) < FAILURE_TAKES_S


async def test_failed_logins_are_recorded(here: House, ann: Customer) -> None:
    await here.client.post("/api/auth/login", json={"email": ann.email, "password": "not this one"})
    await here.client.post("/api/auth/login", json={"email": "no@example.com", "password": "not this one"})

    feed = await here.runtime.store.read_feed(0, 1000)
    assert [one.type for one in feed].count("accounts.login-failed.v1") == 2


@pytest.mark.parametrize("email", ["ann@example.com", "nobody@example.com"])
async def test_an_address_waits_ever_longer_after_failures(here: House, ann: Customer, email: str) -> None:
    answers = [
        await here.client.post("/api/auth/login", json={"email": email, "password": "not this one"}) for _ in range(6)
    ]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert answers[-1].json()["code"] == "captcha_or_wait"
    assert answers[-1].headers["retry-after"] == "1"


async def test_after_logout_a_token_is_no_longer_good(here: House, ann: Customer) -> None:
    response = await ann.ask("POST", "/api/auth/logout")

    assert (response.status_code, response.content) == (204, b"")
    after = await ann.ask("GET", "/api/me")
    assert (after.status_code, after.json()) == (401, {"error": "unauthorized", "code": "unauthorized"})
    assert after.headers["www-authenticate"] == "Bearer"


async def test_logout_ends_one_session_only(here: House, ann: Customer) -> None:
    other = (await here.client.post("/api/auth/login", json={"email": ann.email, "password": PASSWORD})).json()
    await ann.ask("POST", "/api/auth/logout")

    ann.token = other["token"]
    assert (await ann.ask("GET", "/api/me")).status_code == 200


async def test_a_new_password_ends_every_session(here: House, ann: Customer) -> None:
    change = {"password": PASSWORD, "new_password": "battery staple"}
    response = await ann.ask("PUT", "/api/me/password", json=change)

    assert response.status_code == 204
    assert (await ann.ask("GET", "/api/me")).status_code == 401
    old = await here.client.post("/api/auth/login", json={"email": ann.email, "password": PASSWORD})
    new = await here.client.post("/api/auth/login", json={"email": ann.email, "password": "battery staple"})
    assert (old.status_code, new.status_code) == (401, 200)


async def test_another_password_needs_the_present_one(ann: Customer) -> None:
    change = {"password": "not this one", "new_password": "battery staple"}
    response = await ann.ask("PUT", "/api/me/password", json=change)

    assert (response.status_code, response.json()["code"]) == (403, "wrong_password")
    assert (await ann.ask("GET", "/api/me")).status_code == 200


async def test_the_present_password_is_guessed_no_faster_than_at_the_login(here: House, ann: Customer) -> None:
    wrong = {"password": "not this one", "new_password": "battery staple"}
    right = {"password": PASSWORD, "new_password": "battery staple"}
    guesses = [await ann.ask("PUT", "/api/me/password", json=wrong) for _ in range(5)]
    guesses.append(await ann.ask("PUT", "/api/me/password", json=right))
    login = await here.client.post("/api/auth/login", json={"email": ann.email, "password": PASSWORD})

    assert [guess.status_code for guess in guesses] == [403] * 5 + [429]
    assert guesses[-1].json()["code"] == login.json()["code"] == "captcha_or_wait"


async def test_changes_of_a_password_share_the_quota_of_logins(databases: Databases) -> None:
    async with house(databases, msgspec.structs.replace(ROOMY, logins_per_minute=1)) as here:
        ann = await here.register()
        change = {"password": "not this one", "new_password": "battery staple"}
        answers = [await ann.ask("PUT", "/api/me/password", json=change) for _ in range(2)]

    assert [answer.json()["code"] for answer in answers] == ["wrong_password", "rate_limited"]
