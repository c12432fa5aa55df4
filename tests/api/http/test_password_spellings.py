"""One password however it is typed, at every place where one is shown or given."""

import pytest

from adapters.turnstile import TEST_TOKEN
from api.application.repository import CommandContext
from domain.accounts.account import account_ref, register
from domain.accounts.commands import RegisterAccount
from domain.accounts.events import PasswordRehashed
from domain.codec import decode
from domain.events import Actor
from domain.ids import AccountId
from domain.wallet.wallet import wallet_ref
from tests.api.houses import Customer, House

pytestmark = pytest.mark.anyio

COMPOSED = "\u00e9t\u00e9 de 2026"
DECOMPOSED = "e\u0301te\u0301\u00a0de 2026"


async def login(here: House, email: str, password: str) -> int:
    return (await here.client.post("/api/auth/login", json={"email": email, "password": password})).status_code


async def joined(here: House, password: str) -> Customer:
    body = {"email": "ann@example.com", "password": password, "cf-turnstile-response": TEST_TOKEN}
    made = (await here.client.post("/api/auth/register", json=body)).json()
    return Customer(here, AccountId(made["id"]), body["email"], made["token"])


async def joined_before(here: House, password: str) -> Customer:
    """Return somebody whose password was hashed as it was typed."""
    ids, sealer, email = here.runtime.ids, here.runtime.sealer, "old@example.com"
    account_id = AccountId(ids.new())
    command = RegisterAccount(
        account_id, email, sealer.keyed_hash("email", email), await here.runtime.passwords.hash(password)
    )
    await here.runtime.aggregates.execute(
        (account_ref(account_id), wallet_ref(account_id)),
        lambda _loaded, _now: register(command),
        CommandContext(actor=Actor("service", part="test"), account_id=account_id),
    )
    token = (await here.client.post("/api/auth/login", json={"email": email, "password": password})).json()["token"]
    return Customer(here, account_id, email, token)


@pytest.mark.parametrize(("given", "shown"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
async def test_a_password_is_one_however_it_is_typed(here: House, given: str, shown: str) -> None:
    ann = await joined(here, given)

    assert await login(here, ann.email, shown) == 200
    changed = await ann.ask("PUT", "/api/me/password", json={"password": shown, "new_password": "other \u00f6\u00f6"})
    assert changed.status_code == 204
    assert await login(here, ann.email, "other o\u0308o\u0308") == 200


async def test_closing_takes_it_as_well(here: House) -> None:
    ann = await joined(here, COMPOSED)

    assert (await ann.ask("DELETE", "/api/me", json={"password": DECOMPOSED})).status_code == 200


async def test_a_hash_from_before_still_opens_and_is_renewed(here: House) -> None:
    old = await joined_before(here, DECOMPOSED)

    assert await login(here, old.email, DECOMPOSED) == 200
    assert await login(here, old.email, COMPOSED) == 200
    assert (await old.ask("GET", "/api/me")).status_code == 200
    kinds = [type(decode(one)) for one in await here.runtime.store.read_feed(0, 1000)]
    assert kinds.count(PasswordRehashed) == 1


async def test_a_wrong_one_is_wrong_in_every_spelling(here: House) -> None:
    ann = await joined(here, COMPOSED)

    assert await login(here, ann.email, "e\u0301te\u0301 de 2027") == 401
    assert await login(here, "nobody@example.com", DECOMPOSED) == 401


@pytest.mark.parametrize("password", ["e\u0301" * 7, "o\u0308" * 513, "a" + "\u0300\u0316" * 16_000])
async def test_its_bounds_are_counted_in_its_form(here: House, password: str) -> None:
    body = {"email": "ann@example.com", "password": password, "cf-turnstile-response": TEST_TOKEN}
    refused = await here.client.post("/api/auth/register", json=body)

    assert (refused.status_code, set(refused.json()["fields"])) in [(400, {"password"})]
