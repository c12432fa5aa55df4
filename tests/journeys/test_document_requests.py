"""Requests made from the document, right ones and wrong ones: none is answered with a mistake of ours."""

import http.client
import itertools
import json
import os
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import anyio
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.http.openapi.document import document
from api.http.pipeline.connections import Limits
from api.http.routes import operations
from tests.api.houses import PASSWORD, ROOMY, house
from tests.api.http.wire import serving
from tests.databases import Databases
from tests.journeys.document_requests import Sent, requests
from tests.ports import free_port

DOCUMENT = document(operations(), "http://litevps.test")
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]
TRIES = 500 if "LITEVPS_LONG" in os.environ else 8
"""Requests for each operation."""
LOGINS_MAX = 60
"""How often a login is tried again."""
HOMES = 50
"""From how many networks the customer logs in by turns: an account lets few strangers in an hour, and all it knows."""
RUNNING = os.environ.get("LITEVPS_HOSTILE_URL")
"""A running service in development mode to try instead of one made for it; it must trust 127.0.0.1 as a proxy."""
BY_CONTRACT = {503: "retry-after", 504: "x-request-id"}
"""Answers beyond 500 that are no mistakes, and what they must tell."""


class Asking:
    """A customer over a socket; each request comes from a client of its own, so that no quota answers for it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self._numbers = itertools.count(1)
        login = {"email": f"hostile-{os.getpid()}@example.com", "password": PASSWORD}
        solved = {"cf-turnstile-response": "XXXX.DUMMY.TOKEN.XXXX"}
        self._login = Sent("POST", "/api/auth/login", {}, json.dumps(login | solved).encode())
        registration = json.dumps(login | solved).encode()
        status, _, told = self.send(Sent("POST", "/api/auth/register", {}, registration), token="")
        assert status == 201, told
        self.token: str = json.loads(told)["token"]
        keys = Sent("POST", "/api/tokens", {}, b'{"name":"one"}')
        self.known_ids: tuple[str, ...] = (json.loads(self.send(keys)[2])["id"],)

    def send(self, sent: Sent, token: str | None = None) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Return status, headers and body of the answer."""
        number = next(self._numbers)
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.token if token is None else token}",
            "X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            **sent.headers,
        }
        try:
            self._connection.request(
                sent.method, sent.target, sent.body, {name: value.encode("latin-1") for name, value in headers.items()}
            )
            response = self._connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # An answer that ended the connection before; the next request makes another.
            self._connection.close()
            self._connection.request(sent.method, sent.target, sent.body, {**headers, "Connection": "close"})
            response = self._connection.getresponse()
        told = response.status, response.headers, response.read()
        if sent.target.startswith("/api/auth/logout") and told[0] == 204:
            self.token = self._logged_in()
        return told

    def _logged_in(self) -> str:
        for _ in range(LOGINS_MAX):
            home = {"X-Forwarded-For": f"172.16.0.{next(self._numbers) % HOMES}"}
            status, _, told = self.send(msgspec.structs.replace(self._login, headers=home), token="")
            if status == 200:
                return str(json.loads(told)["token"])
            time.sleep(0.5)  # Told to wait, or too much else to do.
        raise AssertionError(f"cannot log in again: {status} {told!r}")


@pytest.fixture(scope="module")
def asking(databases: Databases) -> Iterator[Asking]:
    """Somebody who asks the running service, or one made for it."""
    if RUNNING is not None:
        yield Asking(RUNNING)
        return
    port = free_port()
    with anyio.from_thread.start_blocking_portal() as portal:
        behind = msgspec.structs.replace(ROOMY, trusted_proxies="127.0.0.0/8")
        with (
            portal.wrap_async_context_manager(house(databases, behind)) as here,
            portal.wrap_async_context_manager(serving(here, port, Limits())),
        ):
            yield Asking(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one[1]} {one[0]}")
def test_no_answer_is_a_mistake_of_ours(asking: Asking, operation: tuple[str, str]) -> None:
    @settings(max_examples=TRIES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.data())
    def try_one(data: Any) -> None:
        sent = data.draw(requests(DOCUMENT, *operation, asking.known_ids))
        status, headers, told = asking.send(sent)
        if status >= 500:
            assert status in BY_CONTRACT, told
            assert BY_CONTRACT[status] in headers, told
        assert headers["x-request-id"]
        if status >= 400:
            assert json.loads(told)["code"]

    try_one()
