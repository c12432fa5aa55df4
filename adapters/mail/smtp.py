"""Mail handed to an SMTP server, one connection a mail."""

import asyncio
import ssl
from email.headerregistry import Address
from urllib.parse import parse_qsl, unquote, urlsplit

import aiosmtplib
import msgspec

from adapters.mail.message import message_of
from domain.alerts.ports import Mail, MailRefused, MailUnavailable
from domain.ports import Clock

TIMEOUT_S = 15.0
"""Of each step of the conversation."""
SEND_TIMEOUT_S = 45.0
"""Of all of it."""
REASON_CHARACTERS_MAX = 300
_PORTS = {"smtp": 587, "smtps": 465}


class BadSmtpUrl(ValueError):
    """The URL of the mail server cannot be meant; the text says why, and holds no password."""


class SmtpServer(msgspec.Struct, frozen=True):
    """Where mail is handed over, and how."""

    host: str
    port: int
    tls: bool
    """From the first byte on; else it is begun by STARTTLS, unless ``plain``."""
    plain: bool
    sender: str
    user: str | None = None
    password: str | None = None


def parse_smtp_url(url: str, *, default_sender: str) -> SmtpServer:
    """Read ``smtps://user:password@host:465?from=billing@example.com`` or ``smtp://host:587?tls=off``.

    Raises BadSmtpUrl.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise BadSmtpUrl("is no URL that can be read") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise BadSmtpUrl("must be smtp://host or smtps://host")
    if parts.path not in ("", "/") or parts.fragment:
        raise BadSmtpUrl("must have nothing but options behind the host")
    if unknown := options.keys() - {"from", "tls"}:
        raise BadSmtpUrl(f"has unknown options: {', '.join(sorted(unknown))}")
    if options.get("tls", "on") not in ("on", "off") or (parts.scheme == "smtps" and options.get("tls") == "off"):
        raise BadSmtpUrl("tls must be on, or off with smtp://")
    sender = options.get("from", default_sender)
    try:
        Address(addr_spec=sender)
    except Exception as error:
        raise BadSmtpUrl("from must be an e-mail address") from error
    return SmtpServer(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        tls=parts.scheme == "smtps",
        plain=options.get("tls") == "off",
        sender=sender,
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


class SmtpMailer:
    """Implements ``domain.alerts.ports.Mailer``. The server's certificate is checked."""

    def __init__(self, server: SmtpServer, clock: Clock, *, tls_context: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._clock = clock
        self._tls_context = tls_context

    async def send(self, mail: Mail) -> None:
        """Hand a mail over. Raises MailUnavailable, MailRefused."""
        message = message_of(mail, self._server.sender, self._clock.now())
        server = self._server
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await aiosmtplib.send(
                    message,
                    sender=server.sender,
                    recipients=[mail.to],
                    hostname=server.host,
                    port=server.port,
                    username=server.user,
                    password=server.password,
                    use_tls=server.tls,
                    # Required, not just where offered: whoever sits in between could leave out the offer.
                    start_tls=not server.tls and not server.plain,
                    tls_context=self._tls_context,
                    timeout=TIMEOUT_S,
                )
        except aiosmtplib.SMTPRecipientsRefused as refused:
            raise _outcome(refused.recipients[0].code, refused.recipients[0].message) from refused
        except aiosmtplib.SMTPDataError as refused:
            raise _outcome(refused.code, refused.message) from refused
        except aiosmtplib.SMTPResponseException as refused:
            # A login or a sender that is refused is ours to put right; the mail is as good as any other.
            raise MailUnavailable(_reason(refused.code, refused.message)) from refused
        except (aiosmtplib.SMTPException, TimeoutError, OSError) as away:
            raise MailUnavailable(f"{type(away).__name__}: {away}"[:REASON_CHARACTERS_MAX]) from away


def _outcome(code: int, message: str) -> MailUnavailable | MailRefused:
    kind = MailRefused if 500 <= code < 600 else MailUnavailable
    return kind(_reason(code, message))


def _reason(code: int, message: str) -> str:
    return f"{code} {message}"[:REASON_CHARACTERS_MAX]
