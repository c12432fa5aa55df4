"""Another password by mail, from the side of who forgot it, and of who wants into somebody else's account."""

import asyncio
from collections import Counter

import pytest

from domain.accounts.account import account_ref
from domain.accounts.events import PasswordChanged
from domain.accounts.resetting import RESET_LIFE, RESETS_OF_ADDRESS
from domain.alerts.codes import TRIES_MAX
from domain.alerts.events import PasswordResetRequested
from domain.time import MICROSECONDS_PER_SECOND
from tests.api.houses import PASSWORD
from tests.api.mailed_house import OPS, Mailed, code_in

pytestmark = pytest.mark.anyio

PATH = "/api/auth/password-reset"
NEW = "battery staple"
REFUSED = (400, "code_refused")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have answers told at once."""
    monkeypatch.setattr("api.http.accounts.controllers.MAILING_TAKES_S", 0.0)
    monkeypatch.setattr("api.http.accounts.controllers.FAILURE_TAKES_S", 0.0)


async def show(mailed: Mailed, code: str, password: str = NEW) -> tuple[int, object]:
    answer = await mailed.house.client.post(PATH, json={"code": code, "new_password": password})
    return answer.status_code, answer.json().get("code") if answer.content else None


async def login(mailed: Mailed, password: str) -> int:
    body = {"email": mailed.ann.email, "password": password}
    return (await mailed.house.client.post("/api/auth/login", json=body)).status_code


async def test_whoever_forgot_the_password_has_another_one_by_mail(mailed: Mailed) -> None:
    asked = await mailed.ask_for_code(PATH, mailed.ann.email.upper())

    assert (asked.status_code, asked.content) == (202, b"")
    (mail,) = await mailed.mails()
    assert (mail["To"], mail["X-LiteVPS-Kind"]) == (mailed.ann.email, "password-reset")
    assert await show(mailed, code_in(mail)) == (204, None)
    assert (await mailed.ann.ask("GET", "/api/me")).status_code == 401
    assert (await login(mailed, PASSWORD), await login(mailed, NEW)) == (401, 200)


async def test_an_address_without_an_account_is_answered_alike_and_mailed_nothing(mailed: Mailed) -> None:
    known, unknown = (
        await mailed.ask_for_code(PATH, mailed.ann.email),
        await mailed.ask_for_code(PATH, "nobody@example.com"),
    )

    assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (202, b"")
    assert set(known.headers) == set(unknown.headers)
    assert len(await mailed.mails()) == 1


async def test_asking_alone_changes_nothing(mailed: Mailed) -> None:
    await mailed.ask_for_code(PATH, mailed.ann.email)

    assert (await mailed.ann.ask("GET", "/api/me")).status_code == 200
    assert await login(mailed, PASSWORD) == 200


async def test_a_code_works_once_also_when_shown_by_many_at_once(mailed: Mailed) -> None:
    await mailed.ask_for_code(PATH, mailed.ann.email)
    code = await mailed.code()
    shown = Counter(await asyncio.gather(*(show(mailed, code, f"{NEW} {n}") for n in range(8))))

    assert shown == {(204, None): 1, REFUSED: 7}
    assert len(await mailed.recorded(PasswordChanged)) == 1
    assert await show(mailed, code) == REFUSED


async def test_a_code_ends_with_time_with_a_newer_one_and_with_guesses(mailed: Mailed) -> None:
    await mailed.ask_for_code(PATH, mailed.ann.email)
    older = await mailed.code()
    mailed.clock.advance(1)
    await mailed.ask_for_code(PATH, mailed.ann.email)
    code = await mailed.code()
    assert older != code
    assert await show(mailed, older) == REFUSED
    mailed.clock.advance(RESET_LIFE / MICROSECONDS_PER_SECOND)
    assert await show(mailed, code) == REFUSED
    await mailed.ask_for_code(PATH, mailed.ann.email)
    code = await mailed.code()
    for _ in range(TRIES_MAX):
        assert await show(mailed, code[:-8] + "aaaaaaaa") == REFUSED
    assert await show(mailed, code) == REFUSED
    assert await login(mailed, PASSWORD) == 200


async def test_whoever_asks_for_others_keeps_nobody_from_a_good_code() -> None:
    # Beyond its share an address is mailed none for the rest of the window: the last one has to last as long.
    assert RESETS_OF_ADDRESS.window_s * MICROSECONDS_PER_SECOND <= RESET_LIFE


async def test_a_code_of_one_kind_is_none_of_another(mailed: Mailed) -> None:
    await mailed.ask_for_code(PATH, mailed.ann.email)
    assert await mailed.show(await mailed.code()) == 400
    await mailed.ann.ask("PUT", "/api/billing/alerts", json={"email": OPS})
    verification = code_in(next(mail for mail in await mailed.mails() if mail["To"] == OPS))

    assert await show(mailed, verification) == REFUSED


@pytest.mark.parametrize("code", ["", "nonsense", "a" * 52, "ä" * 52, "=" * 100])
async def test_what_is_no_code_is_refused_like_a_wrong_one(mailed: Mailed, code: str) -> None:
    assert await show(mailed, code) == REFUSED


async def test_a_password_that_is_refused_uses_no_code_up(mailed: Mailed) -> None:
    await mailed.ask_for_code(PATH, mailed.ann.email)
    code = await mailed.code()

    assert await show(mailed, code, "short") == (400, "invalid_request")
    assert await show(mailed, code) == (204, None)


async def test_nobody_is_flooded_with_mail_and_the_last_code_stays_good(mailed: Mailed) -> None:
    for _ in range(RESETS_OF_ADDRESS.tries + 5):
        assert (await mailed.ask_for_code(PATH, mailed.ann.email)).status_code == 202

    assert len(await mailed.recorded(PasswordResetRequested)) == RESETS_OF_ADDRESS.tries
    assert await show(mailed, await mailed.code()) == (204, None)


async def test_a_closed_account_is_mailed_nothing_not_even_what_waited(mailed: Mailed) -> None:
    await mailed.ask_for_code(PATH, mailed.ann.email)
    await mailed.ann.ask("DELETE", "/api/me", json={"password": PASSWORD})
    await mailed.ask_for_code(PATH, mailed.ann.email)

    assert await mailed.mails() == []


async def test_a_link_is_to_where_the_service_is_whatever_host_was_asked(mailed: Mailed) -> None:
    await mailed.ask_for_code(PATH, mailed.ann.email, host="evil.example", **{"x-forwarded-host": "evil.example"})

    (mail,) = await mailed.mails()
    assert "evil.example" not in mail.as_string()


async def test_waits_of_the_login_do_not_hold_it_up(mailed: Mailed) -> None:
    for _ in range(6):
        await login(mailed, "not this one")
    await mailed.ask_for_code(PATH, mailed.ann.email)

    assert await show(mailed, await mailed.code()) == (204, None)


async def test_no_code_is_recorded_nor_where_somebody_asked_from(mailed: Mailed) -> None:
    await mailed.ask_for_code(PATH, mailed.ann.email)
    code = await mailed.code()

    feed = await mailed.house.runtime.store.read_feed(0, 1000)
    assert not any(code in one.payload + one.metadata or '"127.0.0.1"' in one.metadata for one in feed)
    ref = account_ref(mailed.ann.id)
    assert (await mailed.house.runtime.aggregates.load(ref)).of(ref).password_number == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": "a@b.c", "code": "x", "new_password": NEW}, "email"),
        ({"email": "a@b.c", "new_password": NEW}, "new_password"),
        ({"code": "x"}, "new_password"),
        ({"email": "a@b.c", "password": NEW}, "password"),
    ],
)
async def test_what_cannot_be_meant_is_refused_by_name(mailed: Mailed, body: dict[str, str], field: str) -> None:
    refused = await mailed.house.client.post(PATH, json=body)

    assert (refused.status_code, set(refused.json()["fields"])) == (400, {field})


@pytest.mark.parametrize("token", ["", "unsolved"])
async def test_nobody_has_codes_mailed_without_a_captcha(mailed: Mailed, token: str) -> None:
    body = {"email": mailed.ann.email, "cf-turnstile-response": token}
    refused = await mailed.house.client.post(PATH, json=body)

    assert (refused.status_code, refused.json()["code"]) == (400, "captcha_failed")
    assert await mailed.mails() == []
