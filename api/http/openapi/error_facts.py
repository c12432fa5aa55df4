"""What refusals tell beside their sentence and code, for the OpenAPI document."""

from typing import Any

from api.application.refusals import CommandTimedOut, Ending, NotReady, RateLimited, WebhookRefused
from api.http.pipeline.errors import HeadersTooLarge, NotAcceptable, NotJson, PayloadTooLarge
from domain.accounts.logins import CaptchaOrWait, TooManyAttempts
from domain.accounts.public_keys import NotAPublicKey
from domain.accounts.ssh_keys import SshKeyTaken, TooManySshKeys
from domain.compute.capacity import NoCapacity
from domain.compute.change_limit import TooManyChanges
from domain.compute.changing import DiskCannotShrink
from domain.compute.snapshots import SnapshotLimitReached
from domain.errors import Invalid, Refusal
from domain.images.templates import TemplateNameTaken, TooManyTemplates, TooManyTemplatesToday
from domain.tokens.token import InsufficientScope, TooManyTokens
from domain.wallet.asked_refunds import TooManyRefunds
from domain.wallet.boots import TooManyFailedStarts
from domain.wallet.funds import AccountFrozen, InsufficientBalance, TokenSpendLimitReached
from domain.wallet.paid_in import MoreThanRefundable
from domain.wallet.vps_limits import VpsDiskLimitReached, VpsLimitReached
from projections.reading import ProjectionBehind

_OVER_HTTP: dict[type[Refusal], str] = {
    InsufficientBalance: (
        "The balance does not cover an hour of everything that would be on; `balance` and `required` in USD,"
        " `balance_micros` exact. Once `top_up` is paid in, the same request succeeds."
    ),
    AccountFrozen: (
        "The account owes something, so nothing of it may be switched on; `owed` in USD. Once `top_up` is paid in, the"
        " same request succeeds."
    ),
    TokenSpendLimitReached: (
        "What is left of a token's limit does not cover an hour of all its VPSs that would be on; `left` and"
        " `required` in USD."
    ),
    MoreThanRefundable: "More is asked back than was paid for and not used; `refundable` and `requested` in USD.",
}
"""Where the domain tells a refusal in other units."""
RETRY_STATUSES = frozenset({429, 503})
"""Answers that tell how long to wait."""


def meaning_of(kind: type[Refusal]) -> str:
    """Return when a refusal is answered, for people who call the API."""
    return _OVER_HTTP.get(kind) or " ".join((kind.__doc__ or "").split())


_FIELDS = {"type": "object", "additionalProperties": {"type": "string"}, "description": "What is wrong, by field."}
_WAIT = {"type": "integer", "description": "Seconds to wait.", "example": 12}
_CURE = {
    "shortfall": {"type": "number", "description": "USD, exact: what is lacking.", "example": 0.1247},
    "top_up": {
        "type": "number",
        "description": "USD: the least that can be paid in and covers it; above 50 it takes several payments.",
        "example": 5.0,
    },
}

FACTS: dict[type[Refusal], dict[str, dict[str, Any]]] = {
    Invalid: {"fields": {**_FIELDS, "example": {"name": "required"}}},
    NotAPublicKey: {"fields": {**_FIELDS, "example": {"public_key": "must be one line: type, base64, comment"}}},
    NotJson: {"reason": {"type": "string", "example": "Input data was truncated"}},
    NotAcceptable: {"offered": {"type": "string", "example": "application/json, text/csv, application/pdf"}},
    WebhookRefused: {"reason": {"type": "string", "example": "signed too long ago"}},
    PayloadTooLarge: {"bytes_max": {"type": "integer", "example": 65536}},
    HeadersTooLarge: {"bytes_max": {"type": "integer", "example": 32768}},
    RateLimited: {"retry_after_seconds": _WAIT},
    CaptchaOrWait: {"retry_after_seconds": _WAIT},
    NoCapacity: {"retry_after_seconds": {**_WAIT, "example": 30}},
    TooManyAttempts: {"retry_after_seconds": _WAIT},
    TooManyRefunds: {
        "refunds_max": {"type": "integer", "example": 2},
        "retry_after_seconds": {**_WAIT, "example": 1_209_600},
    },
    TooManyChanges: {"retry_after_seconds": {**_WAIT, "example": 1800}},
    TooManyTemplatesToday: {"retry_after_seconds": {**_WAIT, "example": 43_200}},
    TooManyFailedStarts: {"retry_after_seconds": {**_WAIT, "example": 1260}},
    SshKeyTaken: {
        "id": {"type": "string", "format": "uuid", "example": "01937b1e-5c00-7000-8000-000000000002"},
    },
    TemplateNameTaken: {"name": {"type": "string", "example": "worker"}},
    TooManyTemplates: {"templates_max": {"type": "integer", "example": 50}},
    TooManySshKeys: {"ssh_keys_max": {"type": "integer", "example": 100}},
    ProjectionBehind: {"position": {"type": "integer", "example": 4711}},
    NotReady: {
        "store": {"type": "string", "example": "ok"},
        "projections": {"type": "string", "example": "vps is behind"},
        "hosts": {"type": "string", "example": "ok"},
        "mail": {"type": "string", "example": "ok"},
    },
    InsufficientBalance: {
        "balance": {"type": "number", "description": "USD, 4 decimals, rounded down.", "example": 0.042},
        "required": {"type": "number", "description": "USD, 4 decimals, rounded up.", "example": 0.1667},
        **_CURE,
        "balance_micros": {"type": "integer", "description": "Micro-USD, exact.", "example": 42_000},
    },
    AccountFrozen: {
        "owed": {"type": "number", "description": "USD, 4 decimals, rounded up.", "example": 2.5},
        **_CURE,
    },
    TokenSpendLimitReached: {
        "left": {"type": "number", "description": "USD, 4 decimals, rounded down.", "example": 0.0125},
        "required": {"type": "number", "description": "USD, 4 decimals, rounded up.", "example": 0.0168},
    },
    MoreThanRefundable: {
        "refundable": {"type": "number", "description": "USD, whole cents.", "example": 5.0},
        "requested": {"type": "number", "description": "USD, whole cents.", "example": 5.01},
    },
    VpsLimitReached: {
        "vps_count": {"type": "integer", "description": "How many VPSs it has.", "example": 20},
        "vps_max": {"type": "integer", "example": 20},
    },
    DiskCannotShrink: {
        "disk_gb": {"type": "integer", "description": "GiB, of the VPS.", "example": 20},
        "plan_disk_gb": {"type": "integer", "description": "GiB, of the plan asked for.", "example": 10},
    },
    VpsDiskLimitReached: {
        "vps_disk_gb": {
            "type": "integer",
            "description": "GiB, of its VPSs and snapshots.",
            "example": 480,
        },
        "disk_gb": {"type": "integer", "description": "GiB, of the one asked for.", "example": 40},
        "vps_disk_gb_max": {"type": "integer", "example": 500},
    },
    SnapshotLimitReached: {
        "snapshots_count": {"type": "integer", "description": "How many the VPS has.", "example": 16},
        "snapshots_max": {"type": "integer", "example": 16},
    },
    InsufficientScope: {"scope": {"type": "string", "example": "vps:write"}},
    TooManyTokens: {"tokens_max": {"type": "integer", "example": 100}},
    Ending: {
        "job_id": {"type": "string", "format": "uuid", "example": "01937b1e-5c00-7000-8000-000000000004"},
    },
    CommandTimedOut: {
        "stdout": {"type": "string", "description": "The output so far.", "example": "begun\n"},
        "stderr": {"type": "string", "example": ""},
        "exit_code": {"type": ["integer", "null"], "example": 137},
        "duration_ms": {"type": "integer", "example": 30_004},
        "job_id": {"type": "string", "format": "uuid", "example": "01937b1e-5c00-7000-8000-000000000004"},
        "truncated": {"type": "boolean", "example": False},
    },
}
