"""The stand-in as a process of its own, and several processes on one state."""

import asyncio
import concurrent.futures
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import stripe

from adapters.stripe_stand_in.application import StripeStandIn
from tests.stripe_stand_ins import WAIT_S, Listener, client_of, served, session_of

pytestmark = pytest.mark.anyio

KEY: stripe.RequestOptions = {"idempotency_key": "one-key"}


@contextlib.contextmanager
def process(port: int, state: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """Run the program until the block ends, and have it killed then."""
    command = [sys.executable, "-m", "adapters.stripe_stand_in", "--port", str(port), "--state", str(state), *more]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert running.stderr is not None
        assert "webhook secret whsec_" in running.stderr.readline()
        yield running
    finally:
        running.kill()
        running.communicate()


async def reached(port: int) -> stripe.StripeClient:
    """Wait until a process answers, and return a client of it."""
    async with asyncio.timeout(WAIT_S), httpx.AsyncClient() as other:
        while True:
            with contextlib.suppress(httpx.ConnectError):
                await other.get(f"http://127.0.0.1:{port}/checkout/none")
                return client_of(f"http://127.0.0.1:{port}")
            await asyncio.sleep(0.05)


async def test_a_process_that_is_killed_goes_on_where_it_was(free_port: int, tmp_path: Path) -> None:
    state = tmp_path / "state"
    listener = Listener()
    with process(free_port, state) as running:
        client = await reached(free_port)
        made = await client.v1.checkout.sessions.create_async(session_of(), KEY)
        async with httpx.AsyncClient() as dashboard:
            await dashboard.post(f"http://127.0.0.1:{free_port}/stand-in/pay", json={"session": made.id})
        running.send_signal(signal.SIGKILL)

    async with served(listener) as webhook:
        with process(free_port, state, "--webhook", webhook, "--webhook-secret", "whsec_known"):
            client = await reached(free_port)
            again = await client.v1.checkout.sessions.create_async(session_of(), KEY)
            delivered = await listener.until(5)

    assert again.id == made.id
    types = {stripe.Webhook.construct_event(one.raw, one.signature, "whsec_known").type for one in delivered}
    assert "checkout.session.completed" in types


async def test_a_key_whose_process_was_killed_is_free_again(free_port: int, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with process(free_port, state) as running:
        client = await reached(free_port)
        async with httpx.AsyncClient() as dashboard:
            fault = {"action": "delay", "seconds": 60}
            await dashboard.post(f"http://127.0.0.1:{free_port}/stand-in/fault", json=fault)
        both = [asyncio.create_task(client.v1.checkout.sessions.create_async(session_of(), KEY)) for _ in range(2)]
        done, hanging = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        running.send_signal(signal.SIGKILL)
        await asyncio.wait(hanging)

    assert [getattr(task.exception(), "http_status", None) for task in done] == [409]
    assert [type(task.exception()) for task in hanging] == [stripe.APIConnectionError]
    with process(free_port, state):
        client = await reached(free_port)
        assert (await client.v1.checkout.sessions.create_async(session_of(), KEY)).status == "open"


async def test_two_processes_on_one_state_see_the_same(free_port: int, tmp_path: Path) -> None:
    state = tmp_path / "state"
    here = StripeStandIn(state, public_url="")
    with process(free_port, state):
        there = await reached(free_port)
        async with served(here) as url:
            here.public_url = url
            ours = client_of(url)
            made = await asyncio.gather(
                *(
                    client.v1.checkout.sessions.create_async(session_of(), {"idempotency_key": f"key-{number}"})
                    for number in range(20)
                    for client in (ours, there)
                ),
                return_exceptions=True,
            )
            here.dashboard.pay(next(one.id for one in made if isinstance(one, stripe.checkout.Session)))
            both = [await client.v1.checkout.sessions.list_async({"limit": 100}) for client in (ours, there)]
            paid = [[one.id for one in listed.data if one.payment_status == "paid"] for listed in both]
    here.close()

    refused = [one for one in made if not isinstance(one, stripe.checkout.Session)]
    assert all(isinstance(one, stripe.APIError) and one.http_status == 409 for one in refused)
    assert [len(listed.data) for listed in both] == [20, 20]
    assert paid[0] == paid[1] != []


async def test_no_more_is_refunded_than_was_paid_by_all_processes_together(tmp_path: Path) -> None:
    stand_ins = [StripeStandIn(tmp_path / "state", public_url="http://127.0.0.1:1") for _ in range(2)]
    async with served(stand_ins[0]) as url:
        made = await client_of(url).v1.checkout.sessions.create_async(session_of(1000))
    stand_ins[0].dashboard.pay(made.id)

    def refund(number: int) -> int:
        try:
            return int(stand_ins[number % 2].dashboard.refund(made.id, 100)["amount"])
        except Exception:  # noqa: BLE001 - whatever the no is, nothing was refunded
            return 0

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        refunded = sum(threads.map(refund, range(24)))
    for stand_in in stand_ins:
        stand_in.close()

    assert refunded == 1000


def test_a_new_state_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    def secret_of(_: int) -> str:
        stand_in = StripeStandIn(tmp_path / "state", public_url="http://127.0.0.1:1")
        stand_in.close()
        return stand_in.webhook_secret

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        secrets = set(threads.map(secret_of, range(32)))

    assert len(secrets) == 1
