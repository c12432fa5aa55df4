"""Answering: what is done with every request, in order, and how every answer is sent."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import msgspec
import structlog

from api.application.balance_runway import BalanceRunway
from api.application.runtime import Runtime
from api.http.pipeline import authentication as auth
from api.http.pipeline import bodies, idempotency, rate_limits
from api.http.pipeline.call import Answer, Arrival, Call, Refusing
from api.http.pipeline.endpoint import Endpoint
from api.http.pipeline.errors import (
    Busy,
    CaptchaDown,
    Ending,
    InternalError,
    PayloadTooLarge,
    PaymentsDown,
    StoreBusy,
    StoreDown,
    TooSlow,
    refused,
)
from domain.accounts.account import Unauthorized
from domain.accounts.ports import CaptchaUnavailable, PasswordsBusy, Quota
from domain.errors import Refusal
from domain.money import floor_to_four_decimals
from domain.payments.ports import PaymentsUnavailable
from domain.ports import StoreUnable, StoreUnavailable, TooLargeToStore
from domain.time import to_rfc3339
from domain.tokens.token import check_need

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

BODY_TIMEOUT_S = 60.0
"""How long a client may take to send a body."""

_log = structlog.get_logger(__name__)
_TRANSLATED: dict[type[Exception], type[Refusal]] = {
    PasswordsBusy: Busy,
    CaptchaUnavailable: CaptchaDown,
    PaymentsUnavailable: PaymentsDown,
    StoreUnavailable: StoreDown,
    StoreUnable: StoreBusy,
    TooLargeToStore: PayloadTooLarge,
}
_COMMON: Headers = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class Reply(msgspec.Struct, eq=False):
    """An answer ready to be sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send it, as an ASGI application does."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"" if scope["litevps.head"] else self.body})


class Answering:
    """Holds every request to the rules that hold everywhere."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._authentication = auth.Authentication(runtime)
        self._runway = BalanceRunway()
        per_minute = runtime.settings.requests_per_minute
        self._quotas = {name: Quota(name, per_minute, 60) for name in ("session", "token")}

    async def reply(self, endpoint: Endpoint, scope: Scope, receive: Receive) -> Reply:
        """Return the reply to a request for an endpoint, whatever happens."""
        arrival: Arrival = scope["litevps.arrival"]
        target = f"{scope['method']} {scope['path']}?{scope['query_string'].decode('latin-1')}"
        call = Call(self._runtime, arrival, target, scope.get("path_params", {}))
        told: list[tuple[bytes, bytes]] = []
        try:
            answer = await self._answer(endpoint, call, scope, receive, told)
        except bodies.ClientGone:
            return Reply(400, told, b"")
        except asyncio.CancelledError:
            # Only the server does that, to what is still under way when it ends; this is the answer's last chance.
            return self._refused(Ending(), call, told)
        except Exception as problem:  # noqa: BLE001 Nothing may escape: whatever it is gets a reply of ours.
            return self._refused(problem, call, told)
        if answer.body:
            told.append((b"content-type", answer.content_type.encode()))
        told.extend((name.encode(), value.encode("latin-1")) for name, value in answer.headers)
        return _reply(arrival, answer.status, [*told, *self._money(call, answer)], answer.body)

    async def refuse_unrouted(self, refusal: Refusal, scope: Scope) -> Reply:
        """Return the reply to a request that no endpoint is there for; to an account it tells the balance."""
        call = Call(self._runtime, scope["litevps.arrival"], "", {})
        told: list[tuple[bytes, bytes]] = []
        try:
            await self._let_in(call, told)
        except Unauthorized:
            told.clear()
        except Exception as problem:  # noqa: BLE001 As above.
            return self._refused(problem, call, told)
        return self._refused(refusal, call, told)

    async def _answer(
        self, endpoint: Endpoint, call: Call, scope: Scope, receive: Receive, told: list[tuple[bytes, bytes]]
    ) -> Answer:
        if endpoint.who == "account":
            await self._let_in(call, told)
            if call.token is not None:
                check_need(call.token, endpoint.scope)
        elif endpoint.quota is not None:
            await self._count(endpoint.quota, call.arrival.client, told)
        if endpoint.method != "GET":
            try:
                async with asyncio.timeout(BODY_TIMEOUT_S):
                    call.raw_body = await bodies.read_body(endpoint, call.arrival, receive)
            except TimeoutError:
                raise TooSlow from None
            call.body = bodies.decode_body(endpoint, call.arrival, call.raw_body)
        call.query = bodies.decode_query(endpoint, scope["query_string"])
        if endpoint.method == "POST" and endpoint.who == "account":
            call.idempotency_key = idempotency.checked_key(call.arrival.headers.get(b"idempotency-key"))
        return await endpoint.handle(call)

    async def _let_in(self, call: Call, told: list[tuple[bytes, bytes]]) -> None:
        try:
            await self._let_in_and_count(call, told)
        except Unauthorized:
            await self._authentication.count_wrong(call.arrival, told)
            raise

    async def _let_in_and_count(self, call: Call, told: list[tuple[bytes, bytes]]) -> None:
        credential = await self._authentication.shown(call.arrival)
        name, subject = credential.counted_as
        quota = self._quotas[name]
        # Side by side, since both wait for the database.
        _, tally = await asyncio.gather(
            self._authentication.let_in(call, credential), rate_limits.count(self._runtime, quota, subject)
        )
        told.extend(rate_limits.headers(quota, tally))
        rate_limits.check(quota, tally)

    async def _count(self, quota: Quota, client: str | None, told: list[tuple[bytes, bytes]]) -> None:
        tally = await rate_limits.count(self._runtime, quota, client)
        told.extend(rate_limits.headers(quota, tally))
        rate_limits.check(quota, tally)

    def _refused(self, problem: Exception, call: Call, told: list[tuple[bytes, bytes]]) -> Reply:
        beside: Mapping[str, Any] = {}
        if isinstance(problem, Refusing):
            beside, problem = problem.beside, problem.refusal
        if not isinstance(problem, Refusal):
            translated = next((made for kind, made in _TRANSLATED.items() if isinstance(problem, kind)), None)
            if translated is None:
                _log.error("request failed", request_id=call.arrival.request_id, exc_info=problem)
            problem = (translated or InternalError)()
        telling = refused(problem, as_problem=call.arrival.as_problem, beside=beside)
        headers = [*told, *telling.headers, *self._money(call)]
        return _reply(call.arrival, telling.status, headers, telling.body)

    def _money(self, call: Call, answer: Answer | None = None) -> Headers:
        """Return what an account is told of its money with every answer, true after the call's own effects."""
        wallet, balance = call.wallet, call.balance
        if wallet is None or balance is None or call.prices is None:
            return ()
        if answer is not None:
            wallet, balance = answer.wallet or wallet, balance if answer.balance is None else answer.balance
        if wallet.balance != balance:
            wallet = msgspec.structs.replace(wallet, balance=balance)
        remaining = (b"x-balance-remaining", floor_to_four_decimals(balance).encode())
        exhausts_at = self._runway.of(wallet, call.prices, self._runtime.clock.now())
        if exhausts_at is None:
            return (remaining,)
        return remaining, (b"x-balance-exhausts-at", to_rfc3339(exhausts_at).encode())


def _reply(arrival: Arrival, status: int, told: list[tuple[bytes, bytes]], body: bytes) -> Reply:
    headers = [*told, *_COMMON, (b"x-request-id", arrival.request_id.encode())]
    if status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    return Reply(status, headers, body)
