"""Idempotency keys as Stripe honours them: the first answer again, for a day, whatever became of the process."""

import hashlib
import os
import sqlite3
from http import HTTPStatus
from typing import NamedTuple

from adapters.stripe_stand_in.errors import ApiError
from adapters.stripe_stand_in.storage import Body, from_text, to_text

# https://docs.stripe.com/api/idempotent_requests: a key may be forgotten once it is a day old.
KEPT_S = 86_400
KEY_CHARACTERS_MAX = 255

_KIND = "idempotency_error"


class StoredResponse(NamedTuple):
    """An answer that was given before, and to which request."""

    request: str
    status: int
    body: Body


def asked_of(method: str, path: str, form: bytes) -> str:
    """Return what tells one request's parameters from another's."""
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), form))).hexdigest()


def begin(connection: sqlite3.Connection, key: str, asked: str, request: str, now: int) -> StoredResponse | None:
    """Return the answer that is kept for the key, or take the key. Raises ApiError."""
    if len(key) > KEY_CHARACTERS_MAX:
        raise ApiError("Idempotency keys can be at most 255 characters long.", kind=_KIND)
    row = connection.execute(
        "SELECT asked, since, owner, request, status, body FROM answers WHERE key = ?", (key,)
    ).fetchone()
    if row is not None:
        asked_before, since, owner, request_before, status, body = row
        if status is None and _lives(owner):
            raise ApiError(
                f"There is currently another in-progress request using this Stripe idempotent key ({key}).",
                code="idempotency_key_in_use",
                status=HTTPStatus.CONFLICT,
                kind=_KIND,
            )
        if status is not None and now - since < KEPT_S:
            if asked_before != asked:
                message = (
                    "Keys for idempotent requests can only be used with the same parameters they were first used with."
                    f" Try using a key other than '{key}' if you meant to execute a different request."
                )
                raise ApiError(message, kind=_KIND)
            return StoredResponse(request_before, status, from_text(body))
    connection.execute(
        "INSERT OR REPLACE INTO answers (key, asked, since, owner, request) VALUES (?, ?, ?, ?, ?)",
        (key, asked, now, str(os.getpid()), request),
    )
    return None


def keep(connection: sqlite3.Connection, key: str, status: int, body: Body) -> None:
    """Keep the answer to the request that has taken the key."""
    connection.execute("UPDATE answers SET status = ?, body = ? WHERE key = ?", (status, to_text(body), key))


def release(connection: sqlite3.Connection, key: str) -> None:
    """Leave the key free again if no answer is kept for it."""
    connection.execute("DELETE FROM answers WHERE key = ? AND status IS NULL", (key,))


def _lives(owner: str) -> bool:
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
