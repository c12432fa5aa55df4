"""Secrets of access tokens, from the operating system's randomness, with a mark that shows them to be ours."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from secrets import token_urlsafe

SECRET_BYTES = 32
MARK_BYTES = 8
"""Enough that nobody hits one by chance; whoever could make marks would still have no token."""
_PREFIX = "vtk_"
_SECRET_CHARACTERS = 43
_SCOPE = "token-secret"


class MarkedTokenSecrets:
    """Implements ``domain.tokens.ports.TokenSecrets``."""

    def __init__(self, keyed_hash: Callable[[str, str], bytes]) -> None:
        """``keyed_hash``: of a scope and a text. Under another key, marks show nothing any more, and do no harm."""
        self._keyed_hash = keyed_hash

    def new(self) -> str:
        """Return ``vtk_``, 256 random bits and their mark, in base64 as URLs have it."""
        secret = token_urlsafe(SECRET_BYTES)
        return f"{_PREFIX}{secret}{self._mark(secret)}"

    def is_marked(self, secret: str) -> bool:
        """Tell whether a secret bears its mark."""
        body = secret.removeprefix(_PREFIX)
        mark = self._mark(body[:_SECRET_CHARACTERS]).encode()
        return hmac.compare_digest(mark, body[_SECRET_CHARACTERS:].encode())

    def _mark(self, secret: str) -> str:
        return urlsafe_b64encode(self._keyed_hash(_SCOPE, secret)[:MARK_BYTES]).decode().rstrip("=")
