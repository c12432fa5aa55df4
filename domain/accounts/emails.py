"""E-mail addresses: the one judge of which are taken, whatever for, and the form by which two are compared."""

import re
from email.headerregistry import Address

from domain.errors import Invalid

EMAIL_CHARACTERS_MAX = 254
"""RFC 5321, 4.5.3.1.3, less the angle brackets (RFC 3696, erratum 1690)."""
LOCAL_PART_CHARACTERS_MAX = 64
"""RFC 5321, 4.5.3.1.1."""

# A Dot-string (RFC 5321, 4.1.2) at a domain of at least two labels (RFC 1035, 2.3.1, with RFC 1123, 2.1), in ASCII.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@{_LABEL}(?:\.{_LABEL})+")


def checked_email(email: str, field: str = "email") -> str:
    """Return an address that mail can be sent to, in the form by which two are compared. Raises Invalid.

    Quoted local parts and domains in brackets are refused, and so is what is not ASCII: not every mail server takes
    it. An internationalised domain is written in its ASCII form (``xn--…``).
    """
    if not email.isascii() and email.rpartition("@")[0].isascii():
        raise Invalid(fields={field: "must have its domain in ASCII: an internationalised one as xn--…"})
    parts = None if len(email) > EMAIL_CHARACTERS_MAX else _EMAIL.fullmatch(email)
    if parts is None or len(parts[1]) > LOCAL_PART_CHARACTERS_MAX or not _stands_in_a_header(email):
        raise Invalid(fields={field: "must be an e-mail address"})
    return email_form(email)


def email_form(email: str) -> str:
    """Return the form by which addresses are compared and found, also one that was taken by an earlier judge."""
    return email.lower()


def _stands_in_a_header(email: str) -> bool:
    # Not another rule but a promise: what is taken here becomes the header of a mail by this very parser.
    try:
        return Address(addr_spec=email).addr_spec == email
    except Exception:  # noqa: BLE001 It raises whatever it meets, an IndexError among them.
        return False
