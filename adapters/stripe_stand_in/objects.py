"""The objects at Stripe within one transaction, at one instant: found, kept, listed, told of as events."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from adapters.stripe_stand_in import faults
from adapters.stripe_stand_in.errors import ApiError, missing
from adapters.stripe_stand_in.parameters import Parameters
from adapters.stripe_stand_in.storage import Body, fresh_id, from_text, to_text

API_VERSION = "2026-10-28.endive"
CURRENCY = "usd"
LIST_ITEMS = 10
LIST_ITEMS_MAX = 100

_COLUMNS = {"status", "payment_intent", "charge"}
_BOUNDS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_NOUNS = {
    "checkout.session": "checkout.session", "payment_intent": "payment_intent", "charge": "charge", "refund": "refund",
    "dispute": "dispute", "balance_transaction": "balance transaction", "payout": "payout", "event": "event",
}  # fmt: skip


class Requester(NamedTuple):
    """Whose request a change is: an API request's id and idempotency key, or neither from the dashboard."""

    request: str | None = None
    key: str | None = None


DASHBOARD = Requester()


class StripeObjects:
    """Bodies as they are kept: names that begin with `_` are the stand-in's own, and never shown."""

    def __init__(
        self, connection: sqlite3.Connection, now: int, public_url: str, requester: Requester = DASHBOARD
    ) -> None:
        self._connection = connection
        self._requester = requester
        self.now = now
        self.public_url = public_url

    def find(self, id_: str) -> Body | None:
        """Return the body of any kind that has this id."""
        row = self._connection.execute("SELECT body FROM objects WHERE id = ?", (id_,)).fetchone()
        return None if row is None else from_text(row[0])

    def get(self, kind: str, id_: str, param: str = "id") -> Body:
        """Return the body of one kind. Raises ApiError."""
        body = self.find(id_)
        if body is None or body["object"] != kind:
            raise missing(_NOUNS[kind], id_, param)
        return body

    def keep(self, body: Body) -> Body:
        """Keep a body as it is now, and return it."""
        places = {name: value if isinstance(value := body.get(name), str) else None for name in sorted(_COLUMNS)}
        self._connection.execute(
            "INSERT INTO objects (id, kind, created, charge, payment_intent, status, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET charge = excluded.charge, payment_intent = excluded.payment_intent,"
            " status = excluded.status, body = excluded.body",
            (body["id"], body["object"], body["created"], *places.values(), to_text(body)),
        )
        return body

    def every(self, kind: str, **columns: str) -> list[Body]:
        """Return all of a kind whose columns have these values, oldest first."""
        assert set(columns) <= _COLUMNS
        wanted = "".join(f" AND {name} = ?" for name in columns)
        rows = self._connection.execute(
            f"SELECT body FROM objects WHERE kind = ?{wanted} ORDER BY number",  # noqa: S608 - names of ours
            (kind, *columns.values()),
        )
        return [from_text(row[0]) for row in rows]

    def listed(
        self, kind: str, url: str, parameters: Parameters, filters: Mapping[str, Sequence[str] | str | None]
    ) -> Body:
        """Return one page of a kind, newest first, as Stripe's lists are."""
        conditions, values = ["kind = ?"], [kind]
        for name, wanted in filters.items():
            if wanted:
                several = [wanted] if isinstance(wanted, str) else list(wanted)
                column = name if name in _COLUMNS else f"json_extract(body, '$.{name}')"
                conditions.append(f"{column} IN ({', '.join('?' * len(several))})")
                values += several
        rows, more = self._page(kind, parameters, conditions, values)
        return {
            "object": "list",
            "url": url,
            "has_more": more,
            "data": [self.shown(from_text(row[0])) for row in rows],
        }

    def _page(
        self, kind: str, parameters: Parameters, conditions: list[str], values: list[str]
    ) -> tuple[list[tuple[str]], bool]:
        bounds = created_bounds(parameters)
        conditions = conditions + [f"created {sign} ?" for sign, _ in bounds]
        bound: list[str | int] = [*values, *(second for _, second in bounds)]
        forwards = parameters.text("ending_before")
        for name, sign in (("starting_after", "<"), ("ending_before", ">")):
            if (cursor := parameters.text(name)) is not None:
                self.get(kind, cursor, name)
                conditions.append(f"number {sign} (SELECT number FROM objects WHERE id = ?)")  # noqa: S608
                bound.append(cursor)
        limit = parameters.whole("limit", 1) or LIST_ITEMS
        if limit > LIST_ITEMS_MAX:
            raise ApiError(f"Limit must be between 1 and {LIST_ITEMS_MAX}.", param="limit")
        order = "ASC" if forwards else "DESC"
        statement = f"SELECT body FROM objects WHERE {' AND '.join(conditions)} ORDER BY number {order} LIMIT ?"  # noqa: S608 - conditions of ours
        rows = self._connection.execute(statement, (*bound, limit + 1)).fetchall()
        page = rows[:limit]
        return (page[::-1] if forwards else page), len(rows) > limit

    def shown(self, body: Body) -> Body:
        """Return a body as the API shows it now."""
        shown = {name: value for name, value in body.items() if not name.startswith("_")}
        if body["object"] == "balance_transaction":
            shown["status"] = "available" if body["available_on"] <= self.now else "pending"
        if body["object"] == "dispute":
            shown["balance_transactions"] = [
                self.shown(self.get("balance_transaction", id_)) for id_ in body["balance_transactions"]
            ]
        tampered: Body = body.get("_tampered", {})
        return shown | tampered

    def refund_outcome(self) -> faults.RefundOutcome:
        """Return what becomes of the refund that is asked for now."""
        return faults.refund_outcome(self._connection)

    def tell(self, type_: str, body: Body, previously: Body | None = None) -> Body:
        """Make the event that tells of a change, with the body as it is shown now."""
        changed: Body = {"object": self.shown(body)}
        if previously is not None:
            changed["previous_attributes"] = previously
        event = self.keep({
            "id": fresh_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": changed,
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": self._requester.request, "idempotency_key": self._requester.key},
            "type": type_,
        })  # fmt: skip
        return self.deliver(event)

    def deliver(self, event: Body) -> Body:
        """Have an event delivered to the webhook, be it for the first time or again."""
        self._connection.execute(
            "INSERT OR REPLACE INTO deliveries (event, turn, tries) VALUES (?, ?, 0)", (event["id"], fresh_id("turn"))
        )
        return event


def created_bounds(parameters: Parameters) -> list[tuple[str, int]]:
    """Return what `created` asks for: an instant, or bounds in seconds."""
    if isinstance(parameters.values.get("created"), str):
        return [("=", parameters.whole("created") or 0)]
    inside = parameters.inside("created")
    inside.only(_BOUNDS)
    return [(_BOUNDS[name], inside.whole(name) or 0) for name in inside.values]
