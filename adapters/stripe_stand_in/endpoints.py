"""Which requests of Stripe's API the stand-in answers, and by what."""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeAlias

from adapters.stripe_stand_in import balance, refunds, sessions
from adapters.stripe_stand_in.errors import ApiError
from adapters.stripe_stand_in.expansion import expand, whole_list
from adapters.stripe_stand_in.objects import StripeObjects
from adapters.stripe_stand_in.parameters import Parameters
from adapters.stripe_stand_in.storage import Body

Answer: TypeAlias = Callable[[StripeObjects, Parameters, str], Body]

_PAGING = {"limit", "starting_after", "ending_before", "created", "expand"}


def answer(objects: StripeObjects, method: str, path: str, parameters: Parameters) -> Body:
    """Answer a request, having expanded what it asks for. Raises ApiError."""
    for asked_method, pattern, of in _ENDPOINTS:
        if asked_method == method and (matched := pattern.fullmatch(path)):
            body = of(objects, parameters, matched[1] if pattern.groups else "")
            return expand(objects, body, parameters)
    message = f"Unrecognized request URL ({method}: {path}). The stand-in knows a part of Stripe's API only."
    raise ApiError(message, status=HTTPStatus.NOT_FOUND)


def _one(kind: str, param: str) -> Answer:
    def retrieve(objects: StripeObjects, parameters: Parameters, id_: str) -> Body:
        parameters.only({"expand"})
        return objects.shown(objects.get(kind, id_, param))

    return retrieve


def _many(kind: str, url: str, *filters: str) -> Answer:
    def list_(objects: StripeObjects, parameters: Parameters, _: str) -> Body:
        parameters.only(_PAGING | set(filters))
        return objects.listed(kind, url, parameters, {name: parameters.text(name) for name in filters})

    return list_


def _create_session(objects: StripeObjects, parameters: Parameters, _: str) -> Body:
    return objects.shown(sessions.create(objects, parameters))


def _expire_session(objects: StripeObjects, parameters: Parameters, id_: str) -> Body:
    parameters.only({"expand"})
    return objects.shown(sessions.expire(objects, id_))


def _line_items(objects: StripeObjects, parameters: Parameters, id_: str) -> Body:
    parameters.only(_PAGING)
    items = objects.get("checkout.session", id_, "session")["_line_items"]
    return whole_list(f"/v1/checkout/sessions/{id_}/line_items", items)


def _create_refund(objects: StripeObjects, parameters: Parameters, _: str) -> Body:
    return objects.shown(refunds.create(objects, parameters, objects.refund_outcome()))


def _transactions(objects: StripeObjects, parameters: Parameters, _: str) -> Body:
    parameters.only(_PAGING | {"type", "source", "payout", "currency"})
    filters = {name: parameters.text(name) for name in ("type", "source", "currency")}
    filters["_payout"] = parameters.text("payout")
    return objects.listed("balance_transaction", "/v1/balance_transactions", parameters, filters)


def _events(objects: StripeObjects, parameters: Parameters, _: str) -> Body:
    parameters.only(_PAGING | {"type", "types"})
    wanted = parameters.texts("types") or parameters.text("type")
    return objects.listed("event", "/v1/events", parameters, {"type": wanted})


def _balance(objects: StripeObjects, parameters: Parameters, _: str) -> Body:
    parameters.only({"expand"})
    return balance.balance(objects)


_ID = "([A-Za-z0-9_]+)"
_ENDPOINTS: tuple[tuple[str, re.Pattern[str], Answer], ...] = tuple(
    (method, re.compile(f"/v1/{path.replace('ID', _ID)}"), of)
    for method, path, of in (
        ("POST", "checkout/sessions", _create_session),
        ("GET", "checkout/sessions", _many("checkout.session", "/v1/checkout/sessions", "payment_intent", "status")),
        ("GET", "checkout/sessions/ID", _one("checkout.session", "session")),
        ("GET", "checkout/sessions/ID/line_items", _line_items),
        ("POST", "checkout/sessions/ID/expire", _expire_session),
        ("GET", "payment_intents", _many("payment_intent", "/v1/payment_intents")),
        ("GET", "payment_intents/ID", _one("payment_intent", "intent")),
        ("GET", "charges", _many("charge", "/v1/charges", "payment_intent")),
        ("GET", "charges/ID", _one("charge", "charge")),
        ("POST", "refunds", _create_refund),
        ("GET", "refunds", _many("refund", "/v1/refunds", "payment_intent", "charge")),
        ("GET", "refunds/ID", _one("refund", "refund")),
        ("GET", "disputes", _many("dispute", "/v1/disputes", "payment_intent", "charge")),
        ("GET", "disputes/ID", _one("dispute", "dispute")),
        ("GET", "balance", _balance),
        ("GET", "balance_transactions", _transactions),
        ("GET", "balance_transactions/ID", _one("balance_transaction", "id")),
        ("GET", "payouts", _many("payout", "/v1/payouts", "status")),
        ("GET", "payouts/ID", _one("payout", "payout")),
        ("GET", "events", _events),
        ("GET", "events/ID", _one("event", "event")),
    )
)
