"""A charge explained over HTTP: what it follows from, event by event, with the sum done in full."""

import re

from api.application.billing.charge_breakdown import explain_entry, explain_minutes
from api.http.billing_explained import CHARGE_SCHEMA, EXPLAINED_EXAMPLE, ExplainedTold, event_told, minutes_told
from api.http.bridge import Answer, Call, Endpoint, Told, told
from api.http.rendering import amount_number, uuid_of
from domain import codec
from domain.errors import Invalid, NotFound
from domain.ids import EventId, VpsId
from domain.money import ZERO
from domain.pricing.price_book import PRICES
from domain.wallet.movements import Moving, movement
from projections.reading import ProjectionBehind

MINUTES_MAX = 120
"""Minutes explained at once; a folded line has sixty at most."""
_MINUTES = re.compile(r"([0-9a-fA-F-]{36}):([1-9][0-9]{0,8})(?:-([1-9][0-9]{0,8}))?")


async def explain_charge(call: Call) -> Answer:
    """Tell what is behind a transaction, by its id."""
    asked = call.path["charge_id"]
    if (found := _MINUTES.fullmatch(asked)) is not None:
        vps_id, n_from = VpsId(uuid_of(found[1])), int(found[2])
        n_to = n_from if found[3] is None else int(found[3])
        if n_to < n_from:
            raise NotFound
        if n_to - n_from >= MINUTES_MAX:
            raise Invalid(fields={"charge_id": f"must be of at most {MINUTES_MAX} minutes"})
        book = (await call.runtime.aggregates.load(PRICES)).of(PRICES)
        explained = await explain_minutes(call.runtime, call.account_id, vps_id, n_from, n_to)
        return told(200, minutes_told(asked.lower(), vps_id, explained, book))
    recorded = await explain_entry(call.runtime, call.account_id, EventId(uuid_of(asked)))
    event = codec.decode(recorded, call.runtime.sealer)
    body = ExplainedTold(
        id=asked.lower(),
        amount=amount_number(movement(event) if isinstance(event, Moving) else ZERO),
        vps_id=None,
        token_id=None,
        parts=[],
        event=event_told(recorded, event),
    )
    return told(200, body)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/billing/charges/{charge_id}/explain",
        path_schemas={"charge_id": CHARGE_SCHEMA},
        name="explain_charge",
        tag="billing",
        summary="Why was I charged this",
        description=(
            "By the id of a transaction. Of minutes: the events that started and stopped the VPS, the price in force,"
            " the formula with its numbers, and what proves that it ran; minutes that were waived as well, at most 120"
            " at once. Of funds: the event that moved them."
        ),
        who="account",
        scope="billing:read",
        handle=explain_charge,
        told=(Told(200, "What is behind it.", ExplainedTold, EXPLAINED_EXAMPLE),),
        refusals=(ProjectionBehind, Invalid),
    ),
)
