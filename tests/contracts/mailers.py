"""Mailers under test, and where what they were given can be read."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
from aiosmtpd.smtp import SMTP, AuthResult, Envelope
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from domain.alerts.ports import Mail

A_MAIL = Mail(
    to="ops@example.com",
    subject="LiteVPS: Ihr Guthaben reicht für 2 h",
    text="Grüße,\n.\nund ein Satz, der weit über die Länge hinausgeht, die eine Zeile haben soll: " + "ä" * 2000 + "\n",
    message_id="0197@litevps.test",
    kind="low-balance",
)


class Postbox:
    """An SMTP server in this process, which keeps what it takes."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.recipient_answer = "250 OK"
        self.data_answer = "250 OK"

    async def handle_RCPT(
        self, server: object, session: object, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take an address, or not."""
        if self.recipient_answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.recipient_answer

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:
        """Take a mail, or not."""
        if self.data_answer.startswith("250"):
            self.taken.append(envelope)
        return self.data_answer

    def messages(self) -> list[EmailMessage]:
        """Return what was taken."""
        return [parsed(envelope.content) for envelope in self.taken]


@asynccontextmanager
async def postbox(box: Postbox, *, ssl_context: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[int]:
    """Have a server run meanwhile; gives its port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(box, loop=loop, hostname="postbox", enable_SMTPUTF8=True, **options),
        *("127.0.0.1", 0),
        ssl=ssl_context,
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


def logs_in(password: str) -> Mapping[str, Any]:
    """Return the options of a server that one has to log in to."""

    def authenticate(server: object, session: object, envelope: object, mechanism: str, told: Any) -> AuthResult:
        # Not handled: the server is yet to say no, and whoever asked would wait for it.
        return AuthResult(success=told.login == b"user" and told.password == password.encode(), handled=False)

    return {"authenticator": authenticate, "auth_required": True, "auth_require_tls": False}


class Certificate(msgspec.Struct, frozen=True):
    """A certificate for 127.0.0.1 that nobody else vouches for, as both sides need it."""

    served: ssl.SSLContext
    trusted: ssl.SSLContext


def certificate(folder: Path) -> Certificate:
    """Make a certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "postbox")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "postbox.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(file)
    return Certificate(served, ssl.create_default_context(cafile=str(file)))


def parsed(content: object) -> EmailMessage:
    """Return a message that was taken."""
    assert isinstance(content, bytes)
    return message_from_bytes(content, policy=policy.default)
