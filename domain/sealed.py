"""Sealed text: what it tells of itself in the clear, and the one place that it may be opened in.

Sealed text is ``s1.<account>.<event>.<field>.<nonce and ciphertext>``: ids as 32 hexadecimal digits, the last part
in base64url without padding. All before the last dot is authenticated with the text, and is never believed: whoever
reads says which account, event and field the text is of, and anything else is refused.
"""

from domain.errors import Refusal
from domain.events import ERASED
from domain.ids import AccountId, EventId

FORMAT = "s1"


class AccountIsErased(Refusal):
    """Nothing that tells of a person is recorded any more for an account that was erased."""

    code = "account_erased"
    sentence = "account was erased"


class SealBroken(Exception):
    """Sealed text is not what was sealed, or not where it was sealed: the ledger is to be audited."""


def header_of(account_id: AccountId, event_id: EventId, field: str) -> str:
    """Return what sealed text of this account, event and field begins with, up to its last dot."""
    return f"{FORMAT}.{account_id.hex}.{event_id.hex}.{field}"


def body_of(sealed: str, account_id: AccountId, event_id: EventId, field: str) -> str:
    """Return the part that is encrypted. Raises SealBroken where the text was sealed for any other place."""
    header, _, body = sealed.rpartition(".")
    expected = header_of(account_id, event_id, field)
    if header != expected:
        raise SealBroken(f"not sealed as {expected}: run `litevps audit verify`")
    return body


def is_in_place(sealed: str, account_id: AccountId, event_id: EventId, field: str) -> bool:
    """Return whether text says that it was sealed for this place, or was erased before it was sealed; needs no key."""
    return sealed == ERASED or sealed.rpartition(".")[0] == header_of(account_id, event_id, field)
