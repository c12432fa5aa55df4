"""Errors: which HTTP status each refusal has, how its body is written, and what Litestar answers exceptions with."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, ExceptionHandlersMap, Receive, Scope, Send

from api.application.payments.checkouts import CheckoutRefused
from api.application.refusals import (
    CaptchaFailed,
    CommandTimedOut,
    Ending,
    NotReady,
    RateLimited,
    WebhookRefused,
)
from api.http.pipeline.context import RequestContext, context_of
from api.http.pipeline.responses import ReadyMade
from api.http.rendering import amount_number, balance_number, encode_json, required_number
from domain.accounts.account import EmailTaken, Unauthorized, WrongPassword
from domain.accounts.erasing import NotErasable
from domain.accounts.logins import CaptchaOrWait, InvalidCredentials, TooManyAttempts
from domain.accounts.ports import CaptchaUnavailable, PasswordsBusy
from domain.accounts.public_keys import NotAPublicKey
from domain.accounts.ssh_keys import SshKeyTaken, TooManySshKeys
from domain.alerts.codes import CodeRefused
from domain.compute.capacity import NoCapacity, PlanNotOfHost
from domain.compute.change_limit import TooManyChanges
from domain.compute.changing import DiskCannotShrink
from domain.compute.snapshots import SnapshotLimitReached, SnapshotNameTaken, SnapshotNotReady, VpsIsStarting
from domain.compute.vps import VpsIsCreating, VpsIsRestoring, VpsIsStopping, VpsNotRunning, VpsNotStopped
from domain.errors import Contended, Fact, Invalid, NotFound, Refusal
from domain.images.images import ImageInUse
from domain.images.templates import TemplateIsShared, TemplateNameTaken, TooManyTemplates, TooManyTemplatesToday
from domain.money import MicroUsd
from domain.payments.ports import PaymentsUnavailable
from domain.payments.refunds import NothingToRefund
from domain.ports import StoreUnable, StoreUnavailable, TooLargeToStore
from domain.pricing.price_book import PlanNameTaken, PlanNotFound, RepricingTooSoon
from domain.sealed import AccountIsErased
from domain.statements.issuing import MonthNotOver
from domain.tokens.token import ForbiddenForTokens, InsufficientScope, TooManyTokens
from domain.wallet.asked_refunds import TooManyRefunds
from domain.wallet.boots import TooManyFailedStarts
from domain.wallet.funds import AccountFrozen, InsufficientBalance, TokenSpendLimitReached, VpsOfAnother
from domain.wallet.paid_in import MoreThanRefundable, NothingOwed
from domain.wallet.vps_limits import VpsDiskLimitReached, VpsLimitReached
from projections.reading import ProjectionBehind

PROBLEM_JSON = b"application/problem+json"
JSON = b"application/json"
RETRY_AFTER_S = 1
"""What a caller is told to wait when the reason passes by itself."""

_log = structlog.get_logger(__name__)


class ClientGone(Exception):
    """The client went away in the middle of its request: there is nobody to answer."""


class MethodNotAllowed(Refusal):
    """The path is there, for other methods."""

    code = "method_not_allowed"
    sentence = "method not allowed"


class PayloadTooLarge(Refusal):
    """The body is over the limit of its path."""

    code = "payload_too_large"
    sentence = "body too large"


class HeadersTooLarge(Refusal):
    """Request line and headers are over the limit."""

    code = "headers_too_large"
    sentence = "headers too large"


class TooSlow(Refusal):
    """The body did not come in time."""

    code = "request_timeout"
    sentence = "request took too long"


class UnsupportedMediaType(Refusal):
    """The body is of a type that this path does not take."""

    code = "unsupported_media_type"
    sentence = "content type must be application/json"


class NotAcceptable(Refusal):
    """What is there to be told is offered in none of the types that the client accepts."""

    code = "not_acceptable"
    sentence = "no accepted type is offered"


class NotJson(Refusal):
    """The body cannot be read at all."""

    code = "invalid_json"
    sentence = "body is not valid JSON"


class CaptchaDown(Refusal):
    """Whoever verifies the captcha gave no answer."""

    code = "captcha_unavailable"
    sentence = "CAPTCHA verification is unavailable"


class IdempotencyKeyReused(Refusal):
    """The key was used for another request."""

    code = "idempotency_key_reused"
    sentence = "idempotency key was used for another request"


class Busy(Refusal):
    """More work waits than can be done soon."""

    code = "busy"
    sentence = "too busy, try again"


class StoreDown(Refusal):
    """The event store does not answer, so nothing can be read or promised."""

    code = "store_unavailable"
    sentence = "store is unavailable"


class StoreBusy(Refusal):
    """The event store answers that it cannot do this now: no room, no memory, or it took too long."""

    code = "store_busy"
    sentence = "store cannot do this now"


class PaymentsDown(Refusal):
    """Stripe does not answer. What was asked for is recorded; asked again under the same key, it goes on."""

    code = "payments_unavailable"
    sentence = "payments are unavailable"


class InternalError(Refusal):
    """A mistake of ours; it was logged under the request id."""

    code = "internal_error"
    sentence = "internal error"


STATUS: dict[type[Refusal], int] = {
    Invalid: 400,
    NotJson: 400,
    NotAPublicKey: 400,
    CodeRefused: 400,
    CaptchaFailed: 400,
    WebhookRefused: 400,
    Unauthorized: 401,
    InvalidCredentials: 401,
    InsufficientBalance: 402,
    AccountFrozen: 402,
    ForbiddenForTokens: 403,
    InsufficientScope: 403,
    TokenSpendLimitReached: 403,
    VpsOfAnother: 403,
    VpsLimitReached: 403,
    VpsDiskLimitReached: 403,
    SnapshotLimitReached: 403,
    WrongPassword: 403,
    NotFound: 404,
    PlanNotFound: 404,
    MethodNotAllowed: 405,
    AccountIsErased: 410,
    NotAcceptable: 406,
    TooSlow: 408,
    EmailTaken: 409,
    SshKeyTaken: 409,
    TemplateNameTaken: 409,
    TooManyTemplates: 409,
    TemplateIsShared: 403,
    ImageInUse: 409,
    TooManySshKeys: 409,
    TooManyTokens: 409,
    VpsIsCreating: 409,
    VpsIsStopping: 409,
    VpsNotRunning: 409,
    VpsNotStopped: 409,
    DiskCannotShrink: 409,
    PlanNotOfHost: 409,
    VpsIsRestoring: 409,
    VpsIsStarting: 409,
    SnapshotNameTaken: 409,
    SnapshotNotReady: 409,
    PlanNameTaken: 409,
    RepricingTooSoon: 409,
    NothingOwed: 409,
    NotErasable: 409,
    NothingToRefund: 409,
    MoreThanRefundable: 409,
    MonthNotOver: 409,
    PayloadTooLarge: 413,
    UnsupportedMediaType: 415,
    IdempotencyKeyReused: 422,
    CaptchaOrWait: 429,
    TooManyAttempts: 429,
    TooManyChanges: 429,
    TooManyFailedStarts: 429,
    TooManyRefunds: 429,
    TooManyTemplatesToday: 429,
    RateLimited: 429,
    HeadersTooLarge: 431,
    InternalError: 500,
    CheckoutRefused: 502,
    Busy: 503,
    CaptchaDown: 503,
    Contended: 503,
    Ending: 503,
    NoCapacity: 503,
    NotReady: 503,
    PaymentsDown: 503,
    ProjectionBehind: 503,
    StoreBusy: 503,
    StoreDown: 503,
    CommandTimedOut: 504,
}
"""The one place where a refusal gets its status."""

_TRANSLATED: dict[type[Exception], type[Refusal]] = {
    PasswordsBusy: Busy,
    CaptchaUnavailable: CaptchaDown,
    PaymentsUnavailable: PaymentsDown,
    StoreUnavailable: StoreDown,
    StoreUnable: StoreBusy,
    TooLargeToStore: PayloadTooLarge,
}
"""Exceptions of the domain's ports that are told as refusals."""
_MONEY_FACTS: dict[str, Callable[[MicroUsd], msgspec.Raw]] = {
    "balance": balance_number,
    "required": required_number,
    "owed": required_number,
    "left": balance_number,
    "shortfall": amount_number,
    "top_up": amount_number,
    "refundable": balance_number,
    "requested": balance_number,
}


def status_of(kind: type[Refusal]) -> int:
    """Return the status of a refusal. Raises LookupError, which tells where to put it, for one that has none."""
    if kind not in STATUS:
        raise LookupError(f"{kind.__name__} has no HTTP status yet: give it one in STATUS of {__name__}")
    return STATUS[kind]


class Refused(msgspec.Struct, frozen=True):
    """A refusal as it is told: status, headers, body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def refused(refusal: Refusal, *, as_problem: bool) -> Refused:
    """Return how a refusal is told, as plain JSON or as RFC 9457 has it."""
    status = status_of(type(refusal))
    facts = dict(_rendered(name, fact) for name, fact in refusal.facts.items())
    if isinstance(refusal, InsufficientBalance):
        facts["balance_micros"] = refusal.balance
    body: dict[str, Any] = {"error": refusal.sentence, "code": refusal.code, **facts}
    if as_problem:
        title = refusal.sentence
        body = {"type": f"urn:litevps:error:{refusal.code}", "title": title, "status": status, "detail": title} | body
    headers = [(b"content-type", PROBLEM_JSON if as_problem else JSON)]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    retry_after_s = refusal.facts.get("retry_after_seconds", RETRY_AFTER_S if status == 503 else None)
    if retry_after_s is not None:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    if isinstance(refusal, MethodNotAllowed):
        headers.append((b"allow", str(refusal.facts["allowed"]).encode()))
    return Refused(status, tuple(headers), encode_json(body))


def _rendered(name: str, fact: Fact) -> tuple[str, Any]:
    if name in _MONEY_FACTS and isinstance(fact, int):
        return name, _MONEY_FACTS[name](MicroUsd(fact))
    return name, fact


def refusal_of(problem: Exception, context: RequestContext) -> Refusal:
    """Return the refusal that an exception is told as; what nobody foresaw is logged."""
    if isinstance(problem, Refusal):
        return problem
    translated = next((made for kind, made in _TRANSLATED.items() if isinstance(problem, kind)), None)
    if translated is None:
        _log.error("request failed", request_id=context.client.request_id, exc_info=problem)
    return (translated or InternalError)()


def refusal_response(refusal: Refusal, context: RequestContext) -> ReadyMade:
    """Return the response that a refusal is told in."""
    made = refused(refusal, as_problem=context.is_problem_wanted)
    return ReadyMade(made.status, made.headers, made.body)


def exception_handlers(let_in: Callable[[RequestContext], Awaitable[None]]) -> ExceptionHandlersMap:
    """Return what Litestar answers exceptions with; ``let_in`` makes a context know its caller, or raises."""

    def answer(request: Request[Any, Any, Any], problem: Exception) -> Response[Any]:
        context = context_of(request.scope)
        return refusal_response(refusal_of(problem, context), context)

    def answer_http(request: Request[Any, Any, Any], problem: HTTPException) -> Response[Any]:
        context = context_of(request.scope)
        refusal = _refusal_of_http(problem, context)
        if "route_handler" in request.scope:
            return refusal_response(refusal, context)
        return Unrouted(refusal, context, let_in)

    def answer_nothing(_request: Request[Any, Any, Any], _problem: ClientGone) -> Response[Any]:
        return ReadyMade(400, (), b"")

    return {HTTPException: answer_http, ClientGone: answer_nothing, Exception: answer}


class Unrouted(Response[bytes]):
    """What is told of a request that there is no operation for: to an account, with its balance.

    Litestar runs no middleware for what it cannot route, so who asks is looked up when the response is sent.
    """

    def __init__(
        self, refusal: Refusal, context: RequestContext, let_in: Callable[[RequestContext], Awaitable[None]]
    ) -> None:
        super().__init__(b"")
        self._refusal, self._context, self._let_in = refusal, context, let_in

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:  # type: ignore[override]
        """Return what looks up who asks, and answers."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            refusal, context = self._refusal, self._context
            try:
                await self._let_in(context)
            except Unauthorized:
                context.quota_headers.clear()
            except Exception as problem:  # noqa: BLE001 Nothing may escape: whatever it is gets a response of ours.
                refusal = refusal_of(problem, context)
            await refusal_response(refusal, context).to_asgi_response()(scope, receive, send)

        return answer


def _refusal_of_http(problem: HTTPException, context: RequestContext) -> Refusal:
    match problem.status_code:
        case 404:
            return NotFound()
        case 405:
            allowed = {name.strip() for name in (problem.headers or {}).get("allow", "").split(",")} - {"OPTIONS"}
            return MethodNotAllowed(allowed=", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set()))))
        case 400:
            return Invalid(fields={"request": "cannot be read"})
        case _:
            _log.error("request failed", request_id=context.client.request_id, exc_info=problem)
            return InternalError()
