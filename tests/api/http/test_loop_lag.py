"""Loop lag: no request of a client's holds up the loop, whatever it repeats, however long."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from api.http.app import create_app
from api.http.pipeline.edge import Edge
from api.http.pipeline.operation import Operation
from api.http.routes import operations
from tests.api.houses import Customer, House
from tests.api.http.loop_steps import UNDER_WAY, Steps, measured_steps
from tests.api.http.repetitions import REPETITIONS, Repetition

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

LAG_MAX_S = 0.050
"""How long a step of the loop may take."""
HEAD_SIZE = 30 * 1024
"""What the wire lets through of a head."""
AT_ONCE = 16
NOBODYS = "01937b1e-5c00-7000-8000-000000000001"
ENDPOINTS = operations()
TRIED = None if "LITEVPS_LONG" in os.environ else 8
"""How many repetitions an endpoint is tried with; None: all of them."""
HEADERS = (
    "authorization", "content-type", "content-length", "idempotency-key", "accept", "x-request-id", "x-forwarded-for",
    "user-agent", "stripe-signature", "last-event-id", "range", "cookie", "x-reason", "x-nobody-knows",
)  # fmt: skip

Sent = tuple[str, dict[str, Any], bytes]
"""What it is called, the scope, the body."""


@pytest.fixture
async def ticking(here: House) -> AsyncIterator[None]:
    """Minutes are settled all the time."""

    async def tick() -> None:
        while True:
            await here.runtime.settle_due()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(tick())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("number", range(len(ENDPOINTS)), ids=[f"{one.method} {one.path}" for one in ENDPOINTS])
async def test_no_repetition_holds_up_the_loop(
    number: int, here: House, ann: Customer, ticking: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bearer = [(b"authorization", f"Bearer {ann.token}".encode())]
    tried = repetitions_for(number)
    requests = [*hostile(ENDPOINTS[number], tried, []), *hostile(ENDPOINTS[number], tried, bearer)]
    steps = await send_all(here, requests, monkeypatch)
    # What is slow is slow again; what only the machine was slow at, such as a page that had to be found, is not.
    again = [sent for sent in requests if sent[0] in steps.over(LAG_MAX_S)]
    for _ in range(2 if again else 0):
        again_steps = await send_all(here, again, monkeypatch)
        again = [sent for sent in again if sent[0] in again_steps.over(LAG_MAX_S)]

    assert steps.count > 100
    assert {sent[0] for sent in again} == set()


def repetitions_for(number: int) -> dict[str, Repetition]:
    """Return the repetitions that an endpoint is tried with: all of them, or others than the endpoint before."""
    names = list(REPETITIONS)
    begin = 0 if TRIED is None else number * TRIED
    chosen = {names[place % len(names)] for place in range(begin, begin + (TRIED or len(names)))}
    return {name: REPETITIONS[name] for name in names if name in chosen}


async def send_all(here: House, requests: list[Sent], monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Send requests, several at once, and return how long the loop's steps took meanwhile."""
    app, free = create_app(here.runtime), asyncio.Semaphore(AT_ONCE)

    async def send_one(sent: Sent, number: int) -> None:
        async with free:
            UNDER_WAY.set(sent[0])
            # Each from an address of its own, so that no quota keeps it from being read.
            scope = {**sent[1], "client": (f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1)}
            await answered(app, scope, sent[2])

    with measured_steps(monkeypatch) as steps:
        await asyncio.gather(*(send_one(sent, number) for number, sent in enumerate(requests)))
    return steps


async def answered(app: Edge, scope: dict[str, Any], body: bytes) -> int:
    """Return the status that is answered, never 500."""
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    await app(scope, receive, send)
    status: int = told[0]["status"]
    assert status != 500, told
    return status


def hostile(
    endpoint: Operation, tried: Mapping[str, Repetition], authorization: list[tuple[bytes, bytes]]
) -> Iterator[Sent]:
    """Yield requests for an endpoint, every part of them a repetition once."""
    path = endpoint.path
    variables = [part for part in path.split("/") if part.startswith("{")]
    # A session that ends would keep all that follows from being looked at.
    nothing = b"[]" if endpoint.name == "logout" else b"{}"
    plain = path
    for variable in variables:
        plain = plain.replace(variable, NOBODYS)
    known = bool(authorization)

    def sent(part: str, name: str, **more: Any) -> Sent:
        body = more.pop("body", nothing)
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": "",
            "server": ("litevps.test", 80), "method": endpoint.method, "path": plain, "raw_path": b"/",
            "query_string": b"",
        }  # fmt: skip
        headers = [(b"content-type", b"application/json"), *authorization, *more.pop("headers", [])]
        return f"{name} in {part}{' of a customer' if known else ''}", {**scope, "headers": headers, **more}, body

    for name, made in tried.items():
        short = made(HEAD_SIZE)
        for header in HEADERS:
            yield sent(header, name, headers=[(header.encode(), short)])
        for prefix in (b"Bearer ", b"Bearer vtk_", b"Bearer a.", b"Bearer eyJhbGciOiJIUzI1NiIsImtpZCI6IjEifQ."):
            yield sent(prefix.decode(), name, headers=[(b"authorization", prefix + short)])
        for variable in variables:
            text = path.replace(variable, short.decode("latin-1"))
            yield sent(variable, name, path=text.replace("{", "a").replace("}", "a"))
        for query in (short, b"name=" + short, b"limit=" + short, short + b"=1"):
            yield sent("query", name, query_string=query)
        for field in endpoint.query.__struct_fields__ if endpoint.query else ():
            yield sent(f"query {field}", name, query_string=field.encode() + b"=" + short)
        if endpoint.method == "GET":
            continue
        for body_name, body in hostile_bodies(endpoint, made):
            yield sent(body_name, name, body=body)


def hostile_bodies(endpoint: Operation, made: Repetition) -> Iterator[tuple[str, bytes]]:
    """Yield bodies with a repetition as the whole, as a field, as a name, and where no string belongs."""
    size = min(endpoint.body_bytes_max, 1024 * 1024) - 1024
    raw = made(size)
    text = json.dumps(raw.decode("utf-8", "replace"))[: size - 2].rstrip("\\").removesuffix('"') + '"'
    whole = dict(endpoint.docs.body_example or {})
    yield "the body", raw
    yield "an unknown field", b'{"x":' + text.encode() + b"}"
    yield "a field's name", b"{" + text.encode() + b":1}"
    yield "many names", b"{" + raw + b":1}"
    for field in whole:
        rest = {name: value for name, value in whole.items() if name != field}
        rest_text = "".join(f"{json.dumps(name)}:{json.dumps(value)}," for name, value in rest.items())
        start = b"{" + rest_text.encode() + json.dumps(field).encode() + b":"
        yield field, start + text.encode() + b"}"
        yield f"{field}, bare", start + raw + b"}"
        yield f"{field}, in quotes", start + b'"' + raw + b'"}'
        yield f"{field}, as names", start + b"{" + text.encode() + b":" + text.encode()[:100] + b"}}"
