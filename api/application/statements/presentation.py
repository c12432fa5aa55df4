"""A statement as it is told: the same facts for JSON, CSV and PDF, with names and words for people."""

from collections.abc import Mapping

import msgspec

from api.application.labels import KINDS, not_charged, with_reason
from api.application.statements.source import ComputedStatement
from domain.errors import InvariantBroken
from domain.ids import AccountId, EventId, PaymentId, PlanId, VpsId
from domain.money import ZERO, MicroUsd, exact_usd
from domain.statements.month import Month
from domain.statements.statement import Entry, Minutes
from domain.statements.tax import TaxLine
from domain.time import Instant

CURRENCY = "USD"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line: an event, or minutes of one VPS at one price."""

    id: str
    """The event's id, or ``<vps id>:<first n>-<last n>``."""
    kind: str
    description: str
    amount: MicroUsd
    """By how much it moved the balance."""
    owed: MicroUsd = ZERO
    """By how much it moved what the account owes."""
    would_have_cost: MicroUsd | None = None
    """Of minutes that nobody paid."""
    at: Instant | None = None
    """When an event was recorded."""
    payment_id: PaymentId | None = None
    corrects: EventId | None = None
    vps_id: VpsId | None = None
    vps_name: str | None = None
    plan_id: PlanId | None = None
    plan: str | None = None
    price_version: int | None = None
    price_hourly: MicroUsd | None = None
    minutes: int | None = None
    n_from: int | None = None
    n_to: int | None = None


class StatementPresentation(msgspec.Struct, frozen=True, kw_only=True):
    """A statement, whole."""

    number: str | None
    """None while the month is not over: then all of it is provisional."""
    month: Month
    issuer: str
    issued_at: Instant | None
    account_id: AccountId
    email: str
    opening: MicroUsd
    closing: MicroUsd
    opening_owed: MicroUsd
    closing_owed: MicroUsd
    lines: tuple[Line, ...]
    totals: dict[str, MicroUsd]
    """By kind, in the order of ``KINDS``."""
    charges: MicroUsd
    taxes: tuple[TaxLine, ...]

    @property
    def file_name(self) -> str:
        """What a file of it is called, without its ending."""
        return f"statement-{self.number or f'{self.month}-provisional'}"


def present_statement(
    computed: ComputedStatement,
    *,
    email: str,
    issuer: str,
    taxes: tuple[TaxLine, ...],
    vps_names: Mapping[VpsId, str],
    plan_names: Mapping[PlanId, str],
) -> StatementPresentation:
    """Return a statement in words; where it was issued, its issuer and its taxes are as they were then."""
    statement, issued = computed.statement, computed.issued
    if issued is not None:
        was = issued.statement
        found = (statement.opening, statement.closing, statement.charges)
        if found != (was.opening, was.closing, was.charges):
            raise InvariantBroken(f"{was.number} is another now than when it was issued")
        issuer, taxes = was.issuer, was.taxes
    totals = statement.totals
    minutes = (_minutes_line(line, vps_names, plan_names) for line in (*statement.charged, *statement.waived))
    return StatementPresentation(
        number=None if issued is None else issued.statement.number,
        month=statement.month,
        issuer=issuer,
        issued_at=None if issued is None else issued.at,
        account_id=statement.account_id,
        email=email,
        opening=statement.opening,
        closing=statement.closing,
        opening_owed=statement.opening_owed,
        closing_owed=statement.closing_owed,
        lines=(*map(_entry_line, statement.entries), *minutes),
        totals={kind: totals[kind] for kind in KINDS if kind in totals},
        charges=statement.charges,
        taxes=taxes,
    )


def _entry_line(entry: Entry) -> Line:
    words = KINDS[entry.kind]
    if entry.corrects is not None:
        words += " of a charge" if entry.of_charge else " of a credit"
    return Line(
        id=str(entry.event_id),
        kind=entry.kind,
        description=with_reason(words, entry.reason),
        amount=entry.amount,
        owed=entry.owed,
        at=entry.at,
        payment_id=entry.payment_id,
        corrects=entry.corrects,
    )


def _minutes_line(line: Minutes, vps_names: Mapping[VpsId, str], plan_names: Mapping[PlanId, str]) -> Line:
    name, plan = vps_names.get(line.vps_id, str(line.vps_id)), plan_names.get(line.plan_id, str(line.plan_id))
    count = f"{line.minutes:,} minute" + ("" if line.minutes == 1 else "s")
    words = f"{name}: {count} of {plan} at {exact_usd(line.price_hourly)} {CURRENCY} an hour"
    return Line(
        id=f"{line.vps_id}:{line.n_from}-{line.n_to}",
        kind="minutes" if line.cause is None else "waived",
        description=not_charged(words, line.cause, line.minutes),
        amount=ZERO if line.cause is not None else MicroUsd(-line.amount),
        would_have_cost=None if line.cause is None else line.amount,
        vps_id=line.vps_id,
        vps_name=name,
        plan_id=line.plan_id,
        plan=plan,
        price_version=line.price_version,
        price_hourly=line.price_hourly,
        minutes=line.minutes,
        n_from=line.n_from,
        n_to=line.n_to,
    )
