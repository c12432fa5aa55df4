"""Passwords as text: in which form one is hashed, and which are good enough to be somebody's.

The form is that of RFC 8265, 4.2 (OpaqueString): other spaces become U+0020, then NFC. So a password is the same
whichever keyboard it was typed on. Its rules of what else may stand in a password are not kept: they change with
versions of Unicode, and would one day keep somebody out.
"""

import unicodedata

from domain.errors import Invalid

PASSWORD_CHARACTERS_MIN = 8
PASSWORD_BYTES_MAX = 1024
SPELLED_BYTES_MAX = 3 * PASSWORD_BYTES_MAX
"""Of a password as it was typed: NFC makes nothing shorter than a third, and takes seconds for a longer text."""


def spellings(password: str) -> tuple[str, ...]:
    """Return what a hash may have been made of, if this is the password: its form, then what was typed itself.

    The latter is for hashes from before passwords were brought into a form.
    """
    if len(password.encode()) > SPELLED_BYTES_MAX:
        return (password,)
    form = normalized(password)
    return (form,) if form == password else (form, password)


def normalized(password: str) -> str:
    """Return the form of a password of at most ``SPELLED_BYTES_MAX``."""
    if password.isascii():
        return password
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in password)
    return unicodedata.normalize("NFC", spaced)


def checked_password(password: str, field: str = "password") -> str:
    """Return the form of a new password. Raises Invalid for one that is too short to be safe or cannot be typed.

    Characters and bytes are counted in that form.
    """
    try:
        spelled_bytes = len(password.encode())
    except UnicodeEncodeError:
        raise Invalid(fields={field: "must be text in UTF-8"}) from None
    form = normalized(password) if spelled_bytes <= SPELLED_BYTES_MAX else password
    if len(form.encode()) > PASSWORD_BYTES_MAX:
        raise Invalid(fields={field: f"must have at most {PASSWORD_BYTES_MAX} bytes"})
    if len(form) < PASSWORD_CHARACTERS_MIN:
        raise Invalid(fields={field: f"must have at least {PASSWORD_CHARACTERS_MIN} characters"})
    if any(unicodedata.category(character) == "Cc" for character in form):
        raise Invalid(fields={field: "must have no control characters"})
    return form
