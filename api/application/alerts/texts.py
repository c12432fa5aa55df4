"""The texts of mails: what happened, and what to do about it, with nothing secret but a code that was asked for."""

from collections.abc import Mapping
from textwrap import fill
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from jinja2 import Environment, StrictUndefined, Template

from domain.alerts.alerts import Notice
from domain.alerts.codes import CodeKind
from domain.alerts.events import AlertKind, AlertRaised
from domain.alerts.ports import Mail
from domain.events import ERASED
from domain.ids import AccountId, VpsId
from domain.money import MicroUsd, exact_usd, floor_to_four_decimals
from domain.time import Instant, to_rfc3339

BY_WEIGHT: tuple[AlertKind, ...] = (
    "account-frozen",
    "vps-frozen",
    "vps-unpaid",
    "vps-limit",
    "dispute-opened",
    "low-balance",
)
"""A mail with several alerts is named for the first of these that is among them."""

_VERIFICATION = """\
Somebody, most likely you, wants LiteVPS to send alerts of an account to
this address: when its balance runs low, and when a VPS is stopped.

To agree, show this code before {{ expires_at }}:

    {{ code }}

for example by

    curl -X POST {{ url }}/api/auth/verify-email \\
      -H 'Content-Type: application/json' \\
      -d '{"code":"{{ code }}"}'

It works once. If you know nothing of this, do nothing: without the code
no alerts are sent to you.
"""
_OWN_ADDRESS = """\
Somebody, most likely you, made an account with LiteVPS with this address.
To tell that it is yours, show this code before {{ expires_at }}:

    {{ code }}

for example by

    curl -X POST {{ url }}/api/auth/verify-email \\
      -H 'Content-Type: application/json' \\
      -d '{"code":"{{ code }}"}'

It works once. If you know nothing of this, do nothing: without the code
nobody is taken for the owner of this address.
"""
_RESET = """\
Somebody, maybe you, wants another password for the LiteVPS account of this
address. To give it one, show this code before {{ expires_at }}:

    {{ code }}

for example by

    curl -X POST {{ url }}/api/auth/password-reset \\
      -H 'Content-Type: application/json' \\
      -d '{"code":"{{ code }}",
           "new_password":"..."}'

It works once, and ends every session. If you know nothing of this, do
nothing: without the code your password and your sessions stay as they are.
"""
_ALERTS = """\
Of the account {{ account }}:

{% for alert in alerts -%}
{{ alert.at }}
{{ alert.sentence }}

{% endfor -%}
{% if lasting -%}
{{ lasting }}

{% endif -%}
{% if adds_funds -%}
What to do: add funds, from 5 to 50 USD a time, with

    POST {{ url }}/api/billing/add-funds

{% endif -%}
{% if limited -%}
A token reached its spend limit, which leaves your balance as it is: give
the work to a token with room, or start the VPS yourself.

{% endif -%}
{% if stopped -%}
What was stopped keeps its disk. It is started again with

    POST {{ url }}/api/vps/{id}/start

{% endif -%}
{% if frozen -%}
The account is frozen until what it owes is paid: funds that are added pay
that first.

{% endif -%}
{% if disputed -%}
A bank asked for a payment back. If that was a mistake, ask it to withdraw
the dispute.

{% endif -%}
Every minute, and every movement of the balance:

    {{ url }}/api/billing/transactions

Where these mails go, and at which thresholds:

    {{ url }}/api/billing/alerts
"""
LINE_CHARACTERS_MAX = 76
"""Longer lines would be broken for the way, which is hard to read where a mail is looked at raw."""
# Plain text: nothing in it is markup, and what VPSs are called was checked when they were made.
_ENVIRONMENT = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701
_CODES: dict[CodeKind, tuple[str, Template]] = {
    "verification": (
        "LiteVPS: shall alerts come to this address?",
        _ENVIRONMENT.from_string(_VERIFICATION),
    ),
    "verify-email": ("LiteVPS: is this address yours?", _ENVIRONMENT.from_string(_OWN_ADDRESS)),
    "password-reset": ("LiteVPS: another password?", _ENVIRONMENT.from_string(_RESET)),
}
"""Subject and text of the mails that bring codes."""
_ALERTS_TEXT = _ENVIRONMENT.from_string(_ALERTS)


class _Line(msgspec.Struct, frozen=True):
    at: str
    sentence: str


class MailContext(msgspec.Struct, frozen=True):
    """What alerts are about, as it is when their mail is sent."""

    account: str
    """How whoever reads the mail knows the account."""
    names: Mapping[VpsId, str]
    """Of the VPSs that are told of."""
    now: Instant
    lasts_until: Instant | None
    """When the balance is gone if everything that is on stays on; None where it is not going."""


def account_name(account_id: AccountId, email: str) -> str:
    """Return how an account is named: by the address that it was made with, or once that is erased by its id."""
    return str(account_id) if email == ERASED else email


def code_mail(notice: Notice, to: str, url: str, code: str, expires_at: Instant) -> Mail:
    """Return the mail that brings a code; whose account it is, a stranger at the address does not learn."""
    assert notice.kind != "alert", "an alert brings no code"
    subject, template = _CODES[notice.kind]
    text = template.render(url=url, code=code, expires_at=to_rfc3339(_whole_seconds(expires_at)))
    return Mail(to, subject, text, _message_id(notice.id, url), kind=notice.kind)


def alert_mail(notice: Notice, to: str, url: str, context: MailContext) -> Mail:
    """Return the mail that tells of everything in a notice."""
    names = context.names
    kinds = {alert.kind for alert in notice.alerts}
    heaviest = min(kinds, key=BY_WEIGHT.index)
    text = _ALERTS_TEXT.render(
        url=url,
        alerts=[
            _Line(to_rfc3339(_whole_seconds(alert.happened_at)), _filled(_sentence(alert, names)))
            for alert in notice.alerts
        ],
        account=context.account,
        lasting=_filled(_lasting(context)) if "low-balance" in kinds and context.lasts_until is not None else "",
        adds_funds=bool(kinds & {"low-balance", "vps-unpaid", "account-frozen"}),
        stopped=bool(kinds & {"vps-unpaid", "vps-limit", "vps-frozen"}),
        limited="vps-limit" in kinds,
        frozen=bool(kinds & {"account-frozen", "vps-frozen"}),
        disputed="dispute-opened" in kinds,
    )
    subject = f"LiteVPS: {_subject(heaviest, notice.alerts, names)}"
    return Mail(to, subject, text, _message_id(notice.id, url), kind=heaviest)


def _sentence(alert: AlertRaised, names: Mapping[VpsId, str]) -> str:
    name = "" if alert.vps_id is None else names[alert.vps_id]
    balance = "" if alert.balance is None else floor_to_four_decimals(alert.balance)
    match alert.kind:
        case "low-balance":
            return f"your balance fell to {balance} USD, which is at or below {_usd(alert.threshold)} USD."
        case "vps-unpaid":
            return f"VPS {name} was stopped: the balance of {balance} USD did not cover its next minute."
        case "vps-limit":
            return f"VPS {name} was stopped: its next minute went past the spend limit of its token."
        case "vps-frozen":
            return f"VPS {name} was stopped: the account is frozen."
        case "account-frozen":
            return f"a payment was taken back, which leaves {_usd(alert.amount)} USD to be paid: the account is frozen."
        case "dispute-opened":
            return f"a payment of {_usd(alert.amount)} USD is disputed; your balance is {balance} USD."


def _lasting(context: MailContext) -> str:
    assert context.lasts_until is not None, "what does not go does not end"
    as_of = to_rfc3339(_whole_seconds(context.now))
    if context.lasts_until <= context.now:
        return f"the balance does not cover the next minute of what is on, as of {as_of}."
    until = to_rfc3339(_whole_seconds(context.lasts_until))
    return f"if everything that is on stays on, the balance lasts until {until}, as of {as_of}."


def _subject(kind: AlertKind, alerts: tuple[AlertRaised, ...], names: Mapping[VpsId, str]) -> str:
    if kind == "account-frozen":
        return "your account is frozen"
    if kind == "dispute-opened":
        return "a payment is disputed"
    if kind == "low-balance":
        (*_, last) = (alert.balance for alert in alerts if alert.balance is not None)
        return f"your balance is {floor_to_four_decimals(last)} USD"
    stopped = [names[alert.vps_id] for alert in alerts if alert.vps_id is not None]
    return f"VPS {stopped[0]} was stopped" if len(stopped) == 1 else f"{len(stopped)} VPSs were stopped"


def _filled(sentence: str) -> str:
    return fill(sentence[0].upper() + sentence[1:], LINE_CHARACTERS_MAX, break_long_words=False, break_on_hyphens=False)


def _usd(amount: MicroUsd | None) -> str:
    assert amount is not None, "this kind of alert tells an amount"
    return exact_usd(amount)


def _whole_seconds(instant: Instant) -> Instant:
    return Instant(instant - instant % 1_000_000)


def _message_id(notice_id: UUID, url: str) -> str:
    return f"{notice_id}@{urlsplit(url).hostname}"
