"""Mail handed to an SMTP server that is played."""

import asyncio
from pathlib import Path

import pytest

from adapters.clock import SystemClock
from adapters.mail import smtp
from adapters.mail.smtp import BadSmtpUrl, SmtpMailer, SmtpServer, parse_smtp_url
from domain.alerts.ports import MailRefused, MailUnavailable
from tests.contracts.mailers import A_MAIL, Postbox, certificate, logs_in, postbox

pytestmark = pytest.mark.anyio

SENDER = "litevps@example.com"


def mailer_of(url: str, **more: object) -> SmtpMailer:
    return SmtpMailer(parse_smtp_url(url, default_sender=SENDER), SystemClock(), **more)  # type: ignore[arg-type]


def test_a_url_tells_everything() -> None:
    url = "smtps://us%40er:pass%2Fword@mail.example.com:1465?from=billing@example.com"

    assert parse_smtp_url(url, default_sender=SENDER) == SmtpServer(
        "mail.example.com", 1465, True, False, "billing@example.com", "us@er", "pass/word"
    )
    assert parse_smtp_url("smtp://mail", default_sender=SENDER) == SmtpServer("mail", 587, False, False, SENDER)
    assert parse_smtp_url("smtps://mail", default_sender=SENDER).port == 465
    assert parse_smtp_url("smtp://mail?tls=off", default_sender=SENDER).plain


@pytest.mark.parametrize(
    "url",
    [
        *("", "mail.example.com", "http://mail", "smtp://", "smtp://mail:99999", "smtp://mail/path"),
        *("smtp://mail?tls=maybe", "smtps://mail?tls=off", "smtp://mail?form=a@b.c", "smtp://mail?from=nobody"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_without_telling_its_password(url: str) -> None:
    with pytest.raises(BadSmtpUrl) as refused:
        parse_smtp_url(url.replace("//mail", "//user:hunter2@mail"), default_sender=SENDER)
    assert "hunter2" not in str(refused.value)


async def test_tls_begins_at_once_or_by_starttls_and_the_certificate_is_checked(tmp_path: Path) -> None:
    made, box = certificate(tmp_path), Postbox()
    async with postbox(box, tls_context=made.served) as port:
        await mailer_of(f"smtp://127.0.0.1:{port}", tls_context=made.trusted).send(A_MAIL)
        with pytest.raises(MailUnavailable):
            await mailer_of(f"smtp://127.0.0.1:{port}").send(A_MAIL)
    async with postbox(box, ssl_context=made.served) as port:
        await mailer_of(f"smtps://127.0.0.1:{port}", tls_context=made.trusted).send(A_MAIL)
        with pytest.raises(MailUnavailable):
            await mailer_of(f"smtps://127.0.0.1:{port}").send(A_MAIL)

    assert len(box.taken) == 2


async def test_a_server_that_offers_no_tls_gets_no_mail_unless_that_is_wanted() -> None:
    box = Postbox()
    async with postbox(box) as port:
        with pytest.raises(MailUnavailable):
            await mailer_of(f"smtp://127.0.0.1:{port}").send(A_MAIL)
        await mailer_of(f"smtp://127.0.0.1:{port}?tls=off").send(A_MAIL)

    assert len(box.taken) == 1


async def test_it_logs_in_and_a_wrong_password_may_be_put_right() -> None:
    box = Postbox()
    async with postbox(box, **logs_in("right")) as port:
        with pytest.raises(MailUnavailable) as refused:
            await mailer_of(f"smtp://user:wrong@127.0.0.1:{port}?tls=off").send(A_MAIL)
        await mailer_of(f"smtp://user:right@127.0.0.1:{port}?tls=off&from=a@example.com").send(A_MAIL)

    assert str(refused.value).startswith("535 ")
    assert "wrong" not in str(refused.value)
    assert [(one.mail_from, one.rcpt_tos) for one in box.taken] == [("a@example.com", [A_MAIL.to])]


@pytest.mark.parametrize(
    ("recipient", "content", "outcome"),
    [
        ("550 no such user", "250 OK", MailRefused),
        ("450 try later", "250 OK", MailUnavailable),
        ("250 OK", "554 spam", MailRefused),
        ("250 OK", "452 disk full", MailUnavailable),
    ],
)
async def test_what_the_server_says_for_good_is_for_good(
    recipient: str, content: str, outcome: type[Exception]
) -> None:
    box = Postbox()
    box.recipient_answer, box.data_answer = recipient, content
    async with postbox(box) as port:
        with pytest.raises(outcome):
            await mailer_of(f"smtp://127.0.0.1:{port}?tls=off").send(A_MAIL)


async def test_a_server_that_is_away_or_says_nothing_is_not_waited_for_long(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "SEND_TIMEOUT_S", 0.2)
    silent = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    async with silent:
        for port in (free_port, silent.sockets[0].getsockname()[1]):
            with pytest.raises(MailUnavailable):
                await mailer_of(f"smtp://127.0.0.1:{port}?tls=off").send(A_MAIL)
