"""Failures on demand: the next requests to a path are answered wrongly, late, or not at all."""

import fnmatch
import sqlite3
from http import HTTPStatus
from typing import Literal

import msgspec

from adapters.stripe_stand_in.errors import ApiError

# `waiting`: Stripe's balance does not cover it yet, so no balance transaction is made. `refused`: no refund is made.
RefundOutcome = Literal["succeeded", "pending", "waiting", "refused"]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What befalls a request, before or after the change that it asks for is made.

    `error` answers `status`; `close` cuts the connection; `hang` does so after `seconds`; `delay` answers rightly
    after `seconds`. `kept`: an idempotency key remembers the error, as it does at Stripe once a request has begun.
    """

    action: Literal["error", "close", "hang", "delay"]
    method: str = "*"
    path: str = "/v1/*"
    when: Literal["before", "after"] = "before"
    status: int = 500
    seconds: float = 0
    kept: bool = False

    def befalls(self, method: str, path: str) -> bool:
        """Tell whether a request meets this."""
        return self.method in ("*", method) and fnmatch.fnmatchcase(path, self.path)

    def error(self) -> ApiError:
        """Return what is answered in place of the right answer."""
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            return ApiError("Request rate limit exceeded.", code="rate_limit", status=self.status)
        return ApiError("An unknown error occurred.", kind="api_error", status=self.status, kept=self.kept)


class NextRefund(msgspec.Struct, frozen=True, kw_only=True, tag="refund"):
    """What becomes of a refund that the API is asked for next."""

    outcome: RefundOutcome


class _Planned(Fault, frozen=True, tag="fault"):
    """A fault as it is stored beside the outcomes of refunds."""


_STORED = msgspec.json.Decoder(_Planned | NextRefund)


def plan(connection: sqlite3.Connection, planned: Fault | NextRefund, count: int) -> None:
    """Let the next so many requests meet it, after those that are planned already."""
    if isinstance(planned, Fault):
        planned = msgspec.convert(msgspec.to_builtins(planned) | {"type": "fault"}, _Planned)
    text = msgspec.json.encode(planned).decode()
    connection.execute("INSERT INTO faults (remaining, body) VALUES (?, ?)", (count, text))


def meet(connection: sqlite3.Connection, method: str, path: str) -> Fault | None:
    """Return what befalls this request, and count it."""
    for number, planned in _planned(connection):
        if isinstance(planned, Fault) and planned.befalls(method, path):
            _count(connection, number)
            return planned
    return None


def refund_outcome(connection: sqlite3.Connection) -> RefundOutcome:
    """Return what becomes of the refund that is asked for now, and count it."""
    for number, planned in _planned(connection):
        if isinstance(planned, NextRefund):
            _count(connection, number)
            return planned.outcome
    return "succeeded"


def clear(connection: sqlite3.Connection) -> None:
    """Forget everything planned."""
    connection.execute("DELETE FROM faults")


def _planned(connection: sqlite3.Connection) -> list[tuple[int, Fault | NextRefund]]:
    rows = connection.execute("SELECT number, body FROM faults WHERE remaining > 0 ORDER BY number").fetchall()
    return [(number, _STORED.decode(body)) for number, body in rows]


def _count(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("UPDATE faults SET remaining = remaining - 1 WHERE number = ?", (number,))
