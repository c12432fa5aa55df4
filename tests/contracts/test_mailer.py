"""Mailers, into a folder and to an SMTP server: what both promise."""

from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.clock import SystemClock
from adapters.mail.folder import FolderMailer
from adapters.mail.smtp import SmtpMailer, parse_smtp_url
from domain.accounts.emails import checked_email
from domain.alerts.ports import Mailer, MailRefused, MailUnavailable
from domain.errors import Invalid
from tests.contracts.mailers import A_MAIL, Postbox, parsed, postbox

pytestmark = pytest.mark.anyio


class Handed(msgspec.Struct, frozen=True):
    """A mailer, what it has handed over, and how it is made to fail."""

    mailer: Mailer
    messages: Callable[[], list[EmailMessage]]
    break_it: Callable[[], None]


@pytest.fixture(params=["folder", "smtp"])
async def handed(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Handed]:
    if request.param == "folder":
        folder = tmp_path / "mail"

        def messages() -> list[EmailMessage]:
            return [parsed(file.read_bytes()) for file in sorted(folder.glob("*.eml"))]

        yield Handed(FolderMailer(folder, SystemClock()), messages, lambda: folder.touch())
        return
    box = Postbox()

    def busy() -> None:
        box.recipient_answer = "451 too busy"

    async with postbox(box) as port:
        server = parse_smtp_url(f"smtp://127.0.0.1:{port}?tls=off", default_sender="litevps@example.com")
        yield Handed(SmtpMailer(server, SystemClock()), box.messages, busy)


async def test_a_mail_comes_as_it_was_sent(handed: Handed) -> None:
    await handed.mailer.send(A_MAIL)

    (message,) = handed.messages()
    assert (message["To"], message["Subject"]) == (A_MAIL.to, A_MAIL.subject)
    assert message.get_content().replace("\r\n", "\n") == A_MAIL.text
    assert message["From"].endswith(">")
    assert message["Date"] is not None


async def test_a_mail_that_is_sent_again_is_recognised(handed: Handed) -> None:
    await handed.mailer.send(A_MAIL)
    await handed.mailer.send(A_MAIL)

    assert [message["Message-ID"] for message in handed.messages()] == ["<0197@litevps.test>"] * 2


@pytest.mark.parametrize(
    "changes",
    [
        {"to": "ops@example.com\r\nBcc: all@example.com"},
        {"to": "ops@example.com\nBcc: all@example.com"},
        {"to": ""},
        {"to": "no address"},
        {"to": "a@example.com, b@example.com"},
        {"subject": "balance\r\nBcc: all@example.com"},
        {"message_id": "a\nb"},
    ],
    ids=str,
)
async def test_nothing_is_smuggled_into_a_header(handed: Handed, changes: dict[str, str]) -> None:
    with pytest.raises(MailRefused):
        await handed.mailer.send(msgspec.structs.replace(A_MAIL, **changes))

    assert handed.messages() == []


async def test_what_cannot_be_handed_over_now_may_be_later(handed: Handed) -> None:
    handed.break_it()

    with pytest.raises(MailUnavailable):
        await handed.mailer.send(A_MAIL)
    assert handed.messages() == []


def _taken(email: str) -> bool:
    try:
        checked_email(email)
    except Invalid:
        return False
    return True


_PART = st.text("ab.Z09!#$%&'*+/=?^_`{|}~-@\" ()<>,;:\\[]ä", max_size=8)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(local=_PART, domain=_PART)
async def test_whatever_address_is_taken_mail_is_sent_to(handed: Handed, local: str, domain: str) -> None:
    email = f"{local}@{domain}.example"
    if not _taken(email):
        return
    await handed.mailer.send(msgspec.structs.replace(A_MAIL, to=email))

    assert handed.messages()[-1]["To"] == email
