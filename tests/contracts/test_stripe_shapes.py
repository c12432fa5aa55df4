"""The stand-in's objects have the fields that the official client declares, of the kinds that it declares."""

from typing import Any, get_args

import pytest
import stripe

from adapters.stripe_stand_in.application import IN_MEMORY, StripeStandIn
from adapters.stripe_stand_in.objects import API_VERSION
from tests.stripe_stand_ins import client_of, served, session_of

pytestmark = pytest.mark.anyio


async def everything(stand_in: StripeStandIn) -> list[tuple[type, Any]]:
    """Return one of each kind of object, after a life that fills its fields."""
    async with served(stand_in) as url:
        stand_in.public_url = url
        client = client_of(url)
        sessions = [await client.v1.checkout.sessions.create_async(session_of(5000)) for _ in range(2)]
        stand_in.dashboard.pay(sessions[0].id)
        stand_in.dashboard.pay_later(sessions[1].id)
        refund = stand_in.dashboard.refund(sessions[0].id, 100)
        failed = stand_in.dashboard.refund(sessions[0].id, 100)
        stand_in.dashboard.fail_refund(failed["id"])
        dispute = stand_in.dashboard.open_dispute(sessions[0].id, 200)
        stand_in.dashboard.make_available()
        payout = stand_in.dashboard.pay_out()
        stand_in.dashboard.payout_failed(payout["id"])
        session = await client.v1.checkout.sessions.retrieve_async(
            sessions[0].id, {"expand": ["payment_intent.latest_charge.balance_transaction"]}
        )
        whole: Any = session
        return [
            (stripe.checkout.Session, session),
            (stripe.checkout.Session, await client.v1.checkout.sessions.retrieve_async(sessions[1].id)),
            (stripe.PaymentIntent, whole.payment_intent),
            (stripe.Charge, whole.payment_intent.latest_charge),
            (stripe.BalanceTransaction, whole.payment_intent.latest_charge.balance_transaction),
            (stripe.Refund, await client.v1.refunds.retrieve_async(refund["id"])),
            (stripe.Refund, await client.v1.refunds.retrieve_async(failed["id"])),
            (stripe.Dispute, await client.v1.disputes.retrieve_async(dispute["id"])),
            (stripe.Payout, await client.v1.payouts.retrieve_async(payout["id"])),
            (stripe.Balance, await client.v1.balance.retrieve_async()),
            (stripe.Event, (await client.v1.events.list_async({"limit": 1})).data[0]),
        ]


async def test_objects_have_what_the_official_client_declares() -> None:
    stand_in = StripeStandIn(IN_MEMORY, public_url="")
    wrong = []
    for declared, shown in await everything(stand_in):
        names = declared.__annotations__
        present = set(shown.to_dict())
        required = {name for name, kind in names.items() if not _is_optional(kind)}
        wrong += [f"{declared.__name__}.{name} is not there" for name in required - present if name.islower()]
        wrong += [f"{declared.__name__}.{name} is unknown" for name in present - set(names)]
        wrong += [f"{declared.__name__}.{name} is null" for name in required & present if shown[name] is None]
    stand_in.close()

    assert wrong == []


def test_the_stand_in_speaks_the_version_of_the_official_client() -> None:
    assert stripe.api_version == API_VERSION


def _is_optional(kind: Any) -> bool:
    return type(None) in get_args(kind) or "Optional[" in str(kind)
