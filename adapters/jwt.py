"""Session tokens as JWTs (RFC 7519), signed with HS256 under a key derived from the master key."""

import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import jwt

from domain.accounts.account import SESSION_LIFE
from domain.accounts.ports import Session, SigningKey
from domain.errors import InvariantBroken
from domain.ids import AccountId
from domain.time import MICROSECONDS_PER_SECOND, Instant

ALGORITHM = "HS256"
ISSUER = "litevps"
AUDIENCE = "litevps-api"
TOKEN_CHARACTERS_MAX = 2048
TOKENS_REMEMBERED_MAX = 10_000
"""How many tokens' words are remembered: the same token says the same, and whether it has ended is asked anew."""
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REQUIRED = ["iss", "aud", "sub", "exp", "iat", "jti"]
_EVER = Instant(0)
_PASSWORD_NUMBER = "pwn"  # noqa: S105


class JwtSessions:
    """Issues JWTs under the current key, and reads those under every key that is known by its ``kid``."""

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        """``keys``: at least 32 bytes each, by key id; ``current``: the one that new tokens get."""
        if any(len(key) < 32 for key in keys.values()):
            raise InvariantBroken("HS256 needs keys of 32 bytes (RFC 7518 §3.2)")
        self._keys: dict[str, SigningKey] = {}
        self.use([SigningKey(current, keys[current], _EVER, None)])
        self._keys |= {kid: SigningKey(kid, key, _EVER, None) for kid, key in keys.items() if kid != current}
        self._read: OrderedDict[str, tuple[str, Session]] = OrderedDict()

    def use(self, keys: Sequence[SigningKey]) -> None:
        """Take these in place of all before; of those that sign already, the one that began last signs."""
        assert keys, "without a key nobody could log in"
        self._keys = {key.kid: key for key in sorted(keys, key=lambda key: key.signs_from, reverse=True)}

    def issue(self, account_id: AccountId, password_number: int, now: Instant) -> tuple[str, Session]:
        """Return a new token and what it says."""
        issued_at_s = now // MICROSECONDS_PER_SECOND
        expires_at_s = issued_at_s + SESSION_LIFE // MICROSECONDS_PER_SECOND
        jti = secrets.token_urlsafe(16)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(account_id),
            "iat": issued_at_s,
            "exp": expires_at_s,
            "jti": jti,
            _PASSWORD_NUMBER: password_number,
        }
        signing = self._signing(now)
        token = jwt.encode(claims, signing.key, ALGORITHM, headers={"kid": signing.kid})
        return token, Session(account_id, jti, password_number, _instant(expires_at_s))

    def read(self, token: str, now: Instant) -> Session | None:
        """Return what a token says; None if it is not ours, not for us, damaged or expired."""
        read = self._read.get(token)
        if read is None:
            read = self._verified(token)
            if read is None:
                return None
            self._read[token] = read
            if len(self._read) > TOKENS_REMEMBERED_MAX:
                self._read.popitem(last=False)
        kid, session = read
        return session if now < session.expires_at and self._is_believed(kid, now) else None

    def _signing(self, now: Instant) -> SigningKey:
        # Before any has begun to sign, the clock was put back: the first of them does.
        keys = list(self._keys.values())
        return next((key for key in keys if key.signs_from <= now), keys[-1])

    def _is_believed(self, kid: str, now: Instant) -> bool:
        key = self._keys.get(kid)
        return key is not None and (key.ends_at is None or now < key.ends_at)

    def _verified(self, token: str) -> tuple[str, Session] | None:
        if len(token) > TOKEN_CHARACTERS_MAX or _COMPACT.fullmatch(token) is None:
            return None
        try:
            kid = jwt.get_unverified_header(token)["kid"]
            key = self._keys[kid].key
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                # Expiry is checked at each read, by the clock that everything else goes by.
                options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
            return kid, _session(claims)
        except (jwt.InvalidTokenError, ValueError, KeyError, TypeError, RecursionError):
            # Whatever a stranger's token makes the parser stumble over, it is not one of ours.
            return None


def _session(claims: dict[str, Any]) -> Session:
    return Session(
        account_id=AccountId(UUID(claims["sub"])),
        jti=claims["jti"],
        password_number=int(claims[_PASSWORD_NUMBER]),
        expires_at=_instant(int(claims["exp"])),
    )


def _instant(at_s: int) -> Instant:
    return Instant(at_s * MICROSECONDS_PER_SECOND)
