"""Errors: which HTTP status each refusal has, and how its body is written."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from api.application.payments.checkouts import CheckoutRefused
from api.http.rendering import amount_number, balance_number, encode_json, required_number
from domain.accounts.account import EmailTaken, Unauthorized, WrongPassword
from domain.accounts.erasing import NotErasable
from domain.accounts.logins import CaptchaOrWait, InvalidCredentials, TooManyAttempts
from domain.accounts.public_keys import NotAPublicKey
from domain.accounts.ssh_keys import SshKeyTaken, TooManySshKeys
from domain.alerts.codes import CodeRefused
from domain.compute.capacity import NoCapacity
from domain.compute.vps import VpsIsCreating, VpsIsStopping, VpsNotRunning
from domain.errors import Contended, Fact, Invalid, NotFound, Refusal
from domain.money import MicroUsd
from domain.payments.refunds import NothingToRefund
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
NOTHING_BESIDE: Mapping[str, Any] = MappingProxyType({})
RETRY_AFTER_S = 1
"""What a caller is told to wait when the reason passes by itself."""


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


class CaptchaFailed(Refusal):
    """Nothing proves that a person asks."""

    code = "captcha_failed"
    sentence = "CAPTCHA verification failed"


class CaptchaDown(Refusal):
    """Whoever verifies the captcha gave no answer."""

    code = "captcha_unavailable"
    sentence = "CAPTCHA verification is unavailable"


class RateLimited(Refusal):
    """More requests than the quota allows."""

    code = "rate_limited"
    sentence = "too many requests"


class IdempotencyKeyReused(Refusal):
    """The key was used for another request."""

    code = "idempotency_key_reused"
    sentence = "idempotency key was used for another request"


class CommandTimedOut(Refusal):
    """A command ran past its time limit, and nothing of it runs any more."""

    code = "command_timed_out"
    sentence = "command timed out"


class Busy(Refusal):
    """More work waits than can be done soon."""

    code = "busy"
    sentence = "too busy, try again"


class Ending(Refusal):
    """The service ends; a command that was awaited goes on, and is there under its job when the service is back."""

    code = "ending"
    sentence = "service is ending"


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


class WebhookRefused(Refusal):
    """Nothing proves that Stripe tells it now; nothing of it is kept."""

    code = "bad_signature"
    sentence = "webhook signature is not valid"


class NotReady(Refusal):
    """Some part is not fit to serve; the facts say which."""

    code = "not_ready"
    sentence = "not ready"


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
    WrongPassword: 403,
    NotFound: 404,
    PlanNotFound: 404,
    MethodNotAllowed: 405,
    AccountIsErased: 410,
    NotAcceptable: 406,
    TooSlow: 408,
    EmailTaken: 409,
    SshKeyTaken: 409,
    TooManySshKeys: 409,
    TooManyTokens: 409,
    VpsIsCreating: 409,
    VpsIsStopping: 409,
    VpsNotRunning: 409,
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
    TooManyFailedStarts: 429,
    TooManyRefunds: 429,
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


class Refused(msgspec.Struct, frozen=True):
    """A refusal as it is told: status, headers, body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def refused(refusal: Refusal, *, as_problem: bool, beside: Mapping[str, Any] = NOTHING_BESIDE) -> Refused:
    """Return how a refusal is told, as plain JSON or as RFC 9457 has it; ``beside``: fields besides its facts."""
    status = STATUS[type(refusal)]
    facts = dict(_rendered(name, fact) for name, fact in refusal.facts.items())
    if isinstance(refusal, InsufficientBalance):
        facts["balance_micros"] = refusal.balance
    body: dict[str, Any] = {"error": refusal.sentence, "code": refusal.code, **facts, **beside}
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
