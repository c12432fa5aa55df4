"""Failures on demand: before and after the change, answered wrongly, late or not at all."""

import time

import httpx
import pytest
import stripe

from adapters.stripe_stand_in.application import StripeStandIn
from tests.stripe_stand_ins import paid_session, session_of

pytestmark = pytest.mark.anyio

KEY: stripe.RequestOptions = {"idempotency_key": "one-key"}


async def sessions(client: stripe.StripeClient) -> int:
    """Return how many sessions there are."""
    return len((await client.v1.checkout.sessions.list_async()).data)


@pytest.mark.parametrize(
    ("status", "error"), [(500, stripe.APIError), (503, stripe.APIError), (429, stripe.RateLimitError)]
)
async def test_a_request_fails_before_anything_was_done(
    stand_in: StripeStandIn, client: stripe.StripeClient, status: int, error: type[stripe.StripeError]
) -> None:
    stand_in.dashboard.fault("error", status=status, method="POST", path="/v1/checkout/*")

    with pytest.raises(error) as failure:
        await client.v1.checkout.sessions.create_async(session_of(), KEY)

    assert failure.value.http_status == status
    assert await sessions(client) == 0
    assert (await client.v1.checkout.sessions.create_async(session_of(2000), KEY)).amount_total == 2000


@pytest.mark.parametrize("action", ["error", "close", "hang"])
async def test_a_request_fails_after_all_was_done_and_a_repeat_finds_it(
    stand_in: StripeStandIn, client: stripe.StripeClient, action: str
) -> None:
    stand_in.dashboard.fault(action, when="after", seconds=0.01)  # type: ignore[arg-type]

    with pytest.raises(stripe.APIError if action == "error" else stripe.APIConnectionError):
        await client.v1.checkout.sessions.create_async(session_of(), KEY)

    assert await sessions(client) == 1
    again = await client.v1.checkout.sessions.create_async(session_of(), KEY)
    assert again.last_response is not None
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert await sessions(client) == 1


async def test_a_failure_may_be_kept_under_the_key_as_stripe_says(
    stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    stand_in.dashboard.fault("error", when="after", kept=True)

    for _ in range(2):
        with pytest.raises(stripe.APIError) as failure:
            await client.v1.checkout.sessions.create_async(session_of(), KEY)
        assert failure.value.http_status == 500
    assert await sessions(client) == 1


@pytest.mark.parametrize("action", ["close", "hang"])
async def test_a_connection_is_cut_before_anything_was_done(
    stand_in: StripeStandIn, client: stripe.StripeClient, action: str
) -> None:
    stand_in.dashboard.fault(action, seconds=0.01)  # type: ignore[arg-type]

    with pytest.raises(stripe.APIConnectionError):
        await client.v1.checkout.sessions.create_async(session_of(), KEY)

    assert await sessions(client) == 0


async def test_an_answer_may_be_late_and_right(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    stand_in.dashboard.fault("delay", seconds=0.2)
    begun = time.monotonic()

    made = await client.v1.checkout.sessions.create_async(session_of())

    assert made.status == "open"
    assert time.monotonic() - begun >= 0.2


async def test_only_so_many_requests_to_that_path_fail(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    session = await paid_session(stand_in, client)
    stand_in.dashboard.fault("error", count=2, method="GET", path="/v1/checkout/sessions/*")

    assert (await client.v1.events.list_async()).data
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            await client.v1.checkout.sessions.retrieve_async(session.id)
    assert (await client.v1.checkout.sessions.retrieve_async(session.id)).id == session.id


async def test_faults_can_be_called_off(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    stand_in.dashboard.fault("error", count=100)
    stand_in.dashboard.next_refunds("refused", count=100)
    stand_in.dashboard.clear_faults()

    session = await paid_session(stand_in, client)
    assert (await client.v1.refunds.create_async({"payment_intent": session.payment_intent.id})).status == "succeeded"


async def test_the_client_tries_again_by_itself_with_one_key(stand_in: StripeStandIn) -> None:
    stand_in.dashboard.fault("close", when="after")
    patient = stripe.StripeClient(
        "sk_test_x",
        base_addresses={"api": stand_in.public_url},
        http_client=stripe.HTTPXClient(),
        max_network_retries=2,
    )

    made = await patient.v1.checkout.sessions.create_async(session_of())

    assert made.last_response is not None
    assert made.last_response.headers["idempotent-replayed"] == "true"
    assert await sessions(patient) == 1


async def test_the_page_and_the_dashboard_are_not_befallen(stand_in: StripeStandIn) -> None:
    stand_in.dashboard.fault("error", path="*")

    async with httpx.AsyncClient() as browser:
        assert (await browser.get(f"{stand_in.public_url}/checkout/none")).status_code == 404
