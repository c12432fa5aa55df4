"""Ids as callers write them."""

import re
from uuid import UUID

from domain.errors import NotFound

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def uuid_of(text: str) -> UUID:
    """Read an id as we write them. Raises NotFound for anything else: nothing has such an id."""
    if _UUID.fullmatch(text) is None:
        raise NotFound
    return UUID(text)
