"""Alerts over HTTP: an address is given, mailed a code, verified, and from then on told."""

import pytest

from api.application.repository import CommandContext, Loaded
from domain.alerts.alerts import alerts_ref
from domain.alerts.codes import TRIES_MAX
from domain.alerts.events import AlertsSwitchedOff, GivenUpCause
from domain.alerts.ports import MailRefused
from domain.alerts.sending import given_up
from domain.deciding import Decision
from domain.events import Actor
from domain.time import Instant, to_rfc3339
from tests.api.mailed_house import ALERTS_PATH as PATH
from tests.api.mailed_house import OPS, Mailed
from tests.api.mailed_house import VERIFY_PATH as VERIFY

pytestmark = pytest.mark.anyio

REFUSED = {"error": "code is wrong or has expired", "code": "code_refused"}


def told(email: str | None, thresholds: list[float], *, verified: bool) -> dict[str, object]:
    return {"email": email, "verified": verified, "thresholds": thresholds, "undelivered": None}


async def test_without_a_word_nobody_is_told_of_anything(mailed: Mailed) -> None:
    answer = await mailed.ann.ask("GET", PATH)

    assert (answer.status_code, answer.json()) == (
        200,
        told(None, [], verified=False),
    )


async def test_an_address_is_mailed_a_code_that_verifies_it(mailed: Mailed) -> None:
    given = await mailed.ann.ask("PUT", PATH, json={"email": OPS, "thresholds": [1.00, 5.00, 0.0042]})
    assert (given.status_code, given.text) == (
        200,
        f'{{"email":"{OPS}","verified":false,"thresholds":[5,1,0.0042],"undelivered":null}}',
    )

    assert await mailed.show(await mailed.code()) == 204

    (mail,) = await mailed.mails()
    assert mail["To"] == OPS
    assert (await mailed.ann.ask("GET", PATH)).json() == {
        "email": OPS,
        "verified": True,
        "thresholds": [5, 1, 0.0042],
        "undelivered": None,
    }


async def test_the_address_of_the_account_itself_needs_a_code_too(mailed: Mailed) -> None:
    given = await mailed.ann.ask("PUT", PATH, json={"email": "ann@example.com"})

    assert given.json() == told("ann@example.com", [1], verified=False)


async def test_a_code_works_once_and_for_a_day(mailed: Mailed) -> None:
    await mailed.ann.ask("PUT", PATH, json={"email": OPS})
    code = await mailed.code()
    assert (await mailed.show(code), await mailed.show(code)) == (204, 400)

    await mailed.ann.ask("PUT", PATH, json={"email": "other@example.com"})
    late = await mailed.code()
    mailed.clock.advance(24 * 3600)
    assert await mailed.show(late) == 400


async def test_a_wrong_an_unknown_and_an_old_code_are_answered_alike(mailed: Mailed) -> None:
    await mailed.ann.ask("PUT", PATH, json={"email": OPS})
    old = await mailed.code()
    await mailed.ann.ask("PUT", PATH, json={"email": OPS})
    wrong = (await mailed.code())[:-8] + "aaaaaaaa"
    unknown = "a" * 52

    for code in (old, wrong, unknown, "no code at all"):
        answer = await mailed.house.client.post(VERIFY, json={"code": code})
        assert (answer.status_code, answer.json()) == (400, REFUSED)


async def test_who_guesses_too_often_is_refused_with_the_right_code_too(mailed: Mailed) -> None:
    await mailed.ann.ask("PUT", PATH, json={"email": OPS})
    code = await mailed.code()
    for _ in range(TRIES_MAX):
        assert await mailed.show(code[:-8] + "aaaaaaaa") == 400

    assert await mailed.show(code) == 400


async def test_nobody_is_flooded_with_codes(mailed: Mailed) -> None:
    to_ops = [(await mailed.ann.ask("PUT", PATH, json={"email": OPS})).status_code for _ in range(4)]
    bob = await mailed.house.register("bob@example.com")
    from_bob = await bob.ask("PUT", PATH, json={"email": OPS.upper()})
    to_many = [(await bob.ask("PUT", PATH, json={"email": f"{n}@example.com"})).status_code for n in range(5)]

    assert to_ops == [200, 200, 200, 429]
    assert from_bob.status_code == 429
    assert from_bob.headers["retry-after"] == "3600"
    assert to_many == [200, 200, 200, 200, 429]
    mailed.clock.advance(3600)
    assert (await mailed.ann.ask("PUT", PATH, json={"email": OPS})).status_code == 200


async def test_other_thresholds_for_a_verified_address_need_no_code(mailed: Mailed) -> None:
    await mailed.ann.ask("PUT", PATH, json={"email": OPS})
    await mailed.show(await mailed.code())

    answers = [await mailed.ann.ask("PUT", PATH, json={"email": OPS, "thresholds": [n]}) for n in range(10)]

    assert {answer.status_code for answer in answers} == {200}
    assert answers[-1].json() == told(OPS, [9], verified=True)
    assert len(await mailed.mails()) == 1


async def test_alerts_are_switched_off_and_on_again(mailed: Mailed) -> None:
    await mailed.ann.credit(10_000_000)
    await mailed.watch(1.00)
    await mailed.stop(await mailed.vps(), "unpaid")

    off = await mailed.ann.ask("PUT", PATH, json={"email": None})

    assert (off.status_code, off.json()) == (
        200,
        told(None, [], verified=False),
    )
    assert (await mailed.ann.ask("GET", PATH)).json() == off.json()
    await mailed.stop(await mailed.vps("web-02"), "unpaid")
    assert await mailed.mails() == []
    assert len(await mailed.recorded(AlertsSwitchedOff)) == 1
    again = await mailed.ann.ask("PUT", PATH, json={"email": OPS})
    assert again.json() == told(OPS, [1], verified=False)
    assert await mailed.show(await mailed.code()) == 204


async def test_switching_off_what_is_off_changes_nothing(mailed: Mailed) -> None:
    answers = [await mailed.ann.ask("PUT", PATH, json={"email": None}) for _ in range(10)]

    assert {answer.status_code for answer in answers} == {200}
    assert await mailed.recorded(AlertsSwitchedOff) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a@example.com\r\nBcc: b@example.com"}, "email"),
        ({}, "email"),
        ({"email": None, "thresholds": [5]}, "thresholds"),
        ({"email": OPS, "thresholds": ["5"]}, "thresholds"),
        ({"email": OPS, "thresholds": [None]}, "thresholds"),
        ({"email": OPS, "thresholds": [-1]}, "thresholds"),
        ({"email": OPS, "thresholds": [0.0000001]}, "thresholds"),
        ({"email": OPS, "thresholds": list(range(11))}, "thresholds"),
        ({"email": OPS, "treshold": 1}, "treshold"),
    ],
    ids=str,
)
async def test_what_cannot_be_meant_is_refused_by_name(mailed: Mailed, body: object, field: str) -> None:
    refused = await mailed.ann.ask("PUT", PATH, json=body)

    assert (refused.status_code, set(refused.json()["fields"])) == (400, {field})
    assert await mailed.mails() == []


@pytest.mark.parametrize("email", ["ops..team@example.com", ".ops@example.com", "ops.@example.com"])
async def test_an_address_that_no_mail_can_be_sent_to_is_refused(mailed: Mailed, email: str) -> None:
    refused = await mailed.ann.ask("PUT", PATH, json={"email": email})

    assert (refused.status_code, refused.json()["fields"]) == (400, {"email": "must be an e-mail address"})


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        ("refused", "the mail server refused it for good: 550 no such mailbox"),
        ("unreachable", "no mail server took it for a day and a half"),
        ("stale", "it could not be sent while it was of use"),
    ],
)
async def test_mail_that_was_given_up_is_told_until_a_later_one_is_sent(
    mailed: Mailed, cause: GivenUpCause, reason: str
) -> None:
    ref = alerts_ref(mailed.ann.id)

    async def give_up_what_waits() -> None:
        def decide(loaded: Loaded, now: Instant) -> Decision:
            (notice_id,) = loaded.of(ref).notices
            return given_up(loaded.of(ref), mailed.ann.id, notice_id, cause, "550 no such mailbox", now)

        context = CommandContext(actor=Actor("service", part="test"), account_id=mailed.ann.id)
        await mailed.house.runtime.aggregates.execute((ref,), decide, context)

    async def undelivered() -> object:
        return (await mailed.ann.ask("GET", PATH)).json().get("undelivered")

    await mailed.ann.ask("PUT", PATH, json={"email": OPS})
    since = mailed.clock.now()
    await give_up_what_waits()
    expected = {"email": OPS, "since": to_rfc3339(since), "reason": reason}
    assert await undelivered() == expected

    mailed.clock.advance(60)
    await mailed.ann.ask("PUT", PATH, json={"email": OPS})
    await give_up_what_waits()
    assert await undelivered() == expected
    await mailed.ann.ask("PUT", PATH, json={"email": OPS})
    assert await undelivered() == expected
    assert await mailed.mails() != []
    assert await undelivered() is None


async def test_another_address_is_not_told_of_what_the_one_before_missed(
    mailed: Mailed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: object) -> None:
        raise MailRefused("550 no such mailbox")

    monkeypatch.setattr(mailed.house.runtime.mailer, "send", refuse)
    await mailed.ann.ask("PUT", PATH, json={"email": OPS})
    await mailed.mails()
    assert (await mailed.ann.ask("GET", PATH)).json()["undelivered"]["email"] == OPS

    given = await mailed.ann.ask("PUT", PATH, json={"email": "other@example.com"})

    assert given.json()["undelivered"] is None
