"""The message that a mail becomes (RFC 5322), in which no header can be smuggled."""

import re
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from domain.alerts.ports import Mail, MailRefused
from domain.errors import InvariantBroken
from domain.time import Instant, to_datetime

KIND_HEADER = "X-LiteVPS-Kind"
_KIND = re.compile(r"[a-z]+(?:-[a-z]+)*")


def message_of(mail: Mail, sender: str, now: Instant) -> EmailMessage:
    """Return the message of a mail. Raises MailRefused for what cannot stand in a header."""
    for name, value in (("address", mail.to), ("subject", mail.subject), ("id", mail.message_id)):
        if not value or not value.isprintable():
            raise MailRefused(f"the {name} cannot stand in a header")
    if not _KIND.fullmatch(mail.kind):
        raise InvariantBroken("kinds of mail are ours, and part of names of files")
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("LiteVPS", addr_spec=sender)
    message["To"] = _address(mail.to)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(to_datetime(now))
    message["Message-ID"] = f"<{mail.message_id}>"
    # Nobody's absence is to be answered to a program (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message[KIND_HEADER] = mail.kind
    message.set_content(mail.text, charset="utf-8")
    return message


def _address(text: str) -> Address:
    # The domain's judge has taken it; this is for addresses that an earlier one took.
    try:
        return Address(addr_spec=text)
    except (ValueError, IndexError, HeaderParseError) as error:
        raise MailRefused("the address cannot stand in a header") from error
