"""The address of an account is verified by mail, for its owner, and for who would verify somebody else's."""

import asyncio
import time
from collections import Counter

import pytest

from adapters.turnstile import TEST_TOKEN
from api.application.operators import create_account
from api.workers.mail import send_due_mail
from domain.accounts.account import account_ref
from domain.accounts.events import EmailVerified
from domain.accounts.verifying import VERIFICATIONS_OF_ADDRESS
from domain.alerts.alerts import CODE_LIFE
from domain.alerts.codes import TRIES_MAX
from domain.alerts.events import EmailVerificationRequested
from domain.time import MICROSECONDS_PER_SECOND
from tests.api.houses import PASSWORD, Customer
from tests.api.mailed_house import OPS, VERIFY_PATH, Mailed, code_in

pytestmark = pytest.mark.anyio

BOB = "bob@example.com"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have answers told at once."""
    monkeypatch.setattr("api.http.accounts.controllers.MAILING_TAKES_S", 0.0)


async def is_verified(customer: Customer) -> bool:
    return bool((await customer.ask("GET", "/api/me")).json()["email_verified"])


async def test_whoever_registers_is_mailed_a_code_and_the_address_is_verified_by_it(mailed: Mailed) -> None:
    bob = await mailed.house.register(BOB)
    assert not await is_verified(bob)
    (mail,) = await mailed.mails()
    assert (mail["To"], mail["X-LiteVPS-Kind"]) == (BOB, "verify-email")
    assert not await is_verified(bob)

    assert await mailed.show(code_in(mail)) == 204
    assert await is_verified(bob)
    assert not await is_verified(mailed.ann)
    assert await mailed.recorded(EmailVerified) == [EmailVerified(bob.id)]


async def test_a_code_works_once_also_when_shown_by_many_at_once(mailed: Mailed) -> None:
    await mailed.house.register(BOB)
    code = await mailed.code()

    assert Counter(await asyncio.gather(*(mailed.show(code) for _ in range(8)))) == {204: 1, 400: 7}
    assert len(await mailed.recorded(EmailVerified)) == 1


async def test_an_address_without_an_account_is_answered_alike_and_mailed_nothing(mailed: Mailed) -> None:
    known, unknown = (
        await mailed.ask_for_code(VERIFY_PATH, mailed.ann.email.upper()),
        await mailed.ask_for_code(VERIFY_PATH, "nobody@example.com"),
    )

    assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (202, b"")
    assert set(known.headers) == set(unknown.headers)
    (mail,) = await mailed.mails()
    assert mail["To"] == mailed.ann.email
    assert await mailed.show(code_in(mail)) == 204


async def test_whoever_is_verified_is_answered_alike_and_mailed_nothing(mailed: Mailed) -> None:
    await mailed.ask_for_code(VERIFY_PATH, mailed.ann.email)
    assert await mailed.show(await mailed.code()) == 204

    assert (await mailed.ask_for_code(VERIFY_PATH, mailed.ann.email)).status_code == 202
    assert len(await mailed.mails()) == 1


async def test_answers_take_their_time_whatever_was_found(mailed: Mailed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.http.accounts.controllers.MAILING_TAKES_S", 0.1)
    for email in (mailed.ann.email, "nobody@example.com"):
        began_s = time.monotonic()
        await mailed.ask_for_code(VERIFY_PATH, email)
        assert time.monotonic() - began_s >= 0.1


async def test_a_code_ends_with_time_with_a_newer_one_and_with_guesses(mailed: Mailed) -> None:
    await mailed.ask_for_code(VERIFY_PATH, mailed.ann.email)
    older = await mailed.code()
    mailed.clock.advance(1)
    await mailed.ask_for_code(VERIFY_PATH, mailed.ann.email)
    code = await mailed.code()
    assert await mailed.show(older) == 400
    for _ in range(TRIES_MAX - 1):
        assert await mailed.show(code[:-8] + "aaaaaaaa") == 400
    assert await mailed.show(code) == 204, "an older code was no guess at it"

    await mailed.house.register(BOB)
    code = await mailed.code()
    mailed.clock.advance(CODE_LIFE / MICROSECONDS_PER_SECOND)
    assert await mailed.show(code) == 400
    await mailed.ask_for_code(VERIFY_PATH, BOB)
    code = await mailed.code()
    for _ in range(TRIES_MAX):
        assert await mailed.show(code[:-8] + "aaaaaaaa") == 400
    assert await mailed.show(code) == 400
    assert await mailed.recorded(EmailVerified) == [EmailVerified(mailed.ann.id)]


async def test_nobody_is_flooded_with_codes_and_the_last_one_stays_good(mailed: Mailed) -> None:
    for _ in range(VERIFICATIONS_OF_ADDRESS.tries + 5):
        assert (await mailed.ask_for_code(VERIFY_PATH, mailed.ann.email)).status_code == 202

    assert len(await mailed.recorded(EmailVerificationRequested)) == VERIFICATIONS_OF_ADDRESS.tries
    assert await mailed.show(await mailed.code()) == 204


async def test_nobody_is_flooded_by_accounts_that_are_made_and_closed_with_the_address(mailed: Mailed) -> None:
    for _ in range(VERIFICATIONS_OF_ADDRESS.tries + 2):
        bob = await mailed.house.register(BOB)
        await send_due_mail(mailed.house.runtime)
        assert (await bob.ask("DELETE", "/api/me", json={"password": PASSWORD})).status_code == 200

    assert len([mail for mail in await mailed.mails() if mail["To"] == BOB]) == VERIFICATIONS_OF_ADDRESS.tries


async def test_a_closed_account_is_mailed_nothing_and_its_code_is_good_for_nothing(mailed: Mailed) -> None:
    await mailed.ask_for_code(VERIFY_PATH, mailed.ann.email)
    code = await mailed.code()
    await mailed.ask_for_code(VERIFY_PATH, mailed.ann.email)
    await mailed.ann.ask("DELETE", "/api/me", json={"password": PASSWORD})
    await mailed.ask_for_code(VERIFY_PATH, mailed.ann.email)

    assert len(await mailed.mails()) == 1
    assert await mailed.show(code) == 400


async def test_a_code_for_another_password_verifies_the_address_as_well(mailed: Mailed) -> None:
    path, body = "/api/auth/password-reset", {"email": mailed.ann.email, "cf-turnstile-response": TEST_TOKEN}
    await mailed.house.client.post(path, json=body)
    assert await mailed.recorded(EmailVerified) == [], "asking proves nothing"
    code = await mailed.code()
    assert await mailed.show(code) == 400, "it is a code for something else"
    shown = await mailed.house.client.post(path, json={"code": code, "new_password": "battery staple"})
    assert shown.status_code == 204

    ref = account_ref(mailed.ann.id)
    assert (await mailed.house.runtime.aggregates.load(ref)).of(ref).email_verified


async def test_codes_of_alerts_and_of_the_account_verify_one_address_each(mailed: Mailed) -> None:
    await mailed.ask_for_code(VERIFY_PATH, mailed.ann.email)
    await mailed.ann.ask("PUT", "/api/billing/alerts", json={"email": OPS})
    codes = {mail["To"]: code_in(mail) for mail in await mailed.mails()}

    assert await mailed.show(codes[OPS]) == 204
    assert ((await mailed.alerts()).verified, await is_verified(mailed.ann)) == (True, False)
    assert await mailed.show(codes[mailed.ann.email]) == 204
    assert await is_verified(mailed.ann)


async def test_accounts_of_operators_are_mailed_a_code_only_when_they_ask(mailed: Mailed) -> None:
    account_id = await create_account(mailed.house.runtime, BOB, PASSWORD)
    assert await mailed.mails() == []

    await mailed.ask_for_code(VERIFY_PATH, BOB)
    assert await mailed.show(await mailed.code()) == 204
    assert await mailed.recorded(EmailVerified) == [EmailVerified(account_id)]


async def test_a_mail_names_where_the_service_is_and_no_code_is_recorded(mailed: Mailed) -> None:
    await mailed.ask_for_code(
        VERIFY_PATH, mailed.ann.email, host="evil.example", **{"x-forwarded-host": "evil.example"}
    )
    (mail,) = await mailed.mails()

    assert "evil.example" not in mail.as_string()
    feed = await mailed.house.runtime.store.read_feed(0, 1000)
    assert not any(code_in(mail) in one.payload + one.metadata for one in feed)


@pytest.mark.parametrize("body", [{}, {"email": "a@b.c", "code": "x"}])
async def test_what_cannot_be_meant_is_refused_by_name(mailed: Mailed, body: dict[str, str]) -> None:
    refused = await mailed.house.client.post(VERIFY_PATH, json=body)

    assert (refused.status_code, set(refused.json()["fields"])) == (400, {"code"})


@pytest.mark.parametrize("token", ["", "unsolved"])
async def test_nobody_has_codes_mailed_without_a_captcha(mailed: Mailed, token: str) -> None:
    body = {"email": mailed.ann.email, "cf-turnstile-response": token}
    refused = await mailed.house.client.post(VERIFY_PATH, json=body)

    assert (refused.status_code, refused.json()["code"]) == (400, "captcha_failed")
    assert await mailed.mails() == []
