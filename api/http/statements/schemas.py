"""What requests about statements tell."""

from uuid import UUID

import msgspec

from api.application.statements.presentation import CURRENCY, Line, StatementPresentation
from api.http.rendering import (
    Amount,
    Balance,
    Micros,
    Time,
    amount_number,
    balance_number,
    optional_amount,
    optional_time,
)
from domain.time import to_rfc3339
from projections.statements import Issued

MONTH_SCHEMA = {"type": "string", "pattern": r"^\d{4}-(0[1-9]|1[0-2])$", "examples": ["2026-11"]}


class StatementLine(msgspec.Struct, frozen=True):
    """An event of the wallet, or minutes of one VPS at one price."""

    id: str
    """The event's id; of minutes ``<vps id>:<first n>-<last n>``."""
    kind: str
    description: str
    amount: Amount
    """By how much it moved the balance."""
    owed: Amount
    """By how much it moved what the account owes."""
    would_have_cost: Amount | None
    at: Time | None
    payment_id: UUID | None
    corrects: UUID | None
    vps_id: UUID | None
    vps_name: str | None
    plan_id: UUID | None
    plan: str | None
    price_version: int | None
    price_hourly: Amount | None
    minutes: int | None
    n_from: int | None
    n_to: int | None


class TaxResponse(msgspec.Struct, frozen=True):
    """How much of what was charged is one tax."""

    name: str
    percent: Amount
    amount: Amount


class StatementResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A statement. ``opening_micros`` and all amounts of entries together are ``closing_micros``."""

    number: str | None
    """Null while the month is not over."""
    month: str
    begins: Time
    ends: Time
    issuer: str
    issued_at: Time | None
    account_id: UUID
    email: str
    currency: str
    opening: Balance
    opening_micros: Micros
    entries: list[StatementLine]
    closing: Balance
    closing_micros: Micros
    opening_owed: Amount
    closing_owed: Amount
    totals: dict[str, Amount]
    charges: Amount
    taxes: list[TaxResponse]


class IssuedStatement(msgspec.Struct, frozen=True):
    """A statement that was issued."""

    month: str
    number: str
    issued_at: Time
    opening: Balance
    opening_micros: Micros
    closing: Balance
    closing_micros: Micros


def statement_response(statement: StatementPresentation) -> StatementResponse:
    return StatementResponse(
        number=statement.number,
        month=str(statement.month),
        begins=to_rfc3339(statement.month.begins),
        ends=to_rfc3339(statement.month.ends),
        issuer=statement.issuer,
        issued_at=optional_time(statement.issued_at),
        account_id=statement.account_id,
        email=statement.email,
        currency=CURRENCY,
        opening=balance_number(statement.opening),
        opening_micros=statement.opening,
        entries=[_line(line) for line in statement.lines],
        closing=balance_number(statement.closing),
        closing_micros=statement.closing,
        opening_owed=amount_number(statement.opening_owed),
        closing_owed=amount_number(statement.closing_owed),
        totals={kind: amount_number(total) for kind, total in statement.totals.items()},
        charges=amount_number(statement.charges),
        taxes=[
            TaxResponse(tax.name, msgspec.Raw(tax.rate.percent.encode()), amount_number(tax.amount))
            for tax in statement.taxes
        ],
    )


def _line(line: Line) -> StatementLine:
    return StatementLine(
        id=line.id,
        kind=line.kind,
        description=line.description,
        amount=amount_number(line.amount),
        owed=amount_number(line.owed),
        would_have_cost=optional_amount(line.would_have_cost),
        at=optional_time(line.at),
        payment_id=line.payment_id,
        corrects=line.corrects,
        vps_id=line.vps_id,
        vps_name=line.vps_name,
        plan_id=line.plan_id,
        plan=line.plan,
        price_version=line.price_version,
        price_hourly=optional_amount(line.price_hourly),
        minutes=line.minutes,
        n_from=line.n_from,
        n_to=line.n_to,
    )


def issued_statement(issued: Issued) -> IssuedStatement:
    statement = issued.statement
    return IssuedStatement(
        month=statement.month,
        number=statement.number,
        issued_at=to_rfc3339(issued.at),
        opening=balance_number(statement.opening),
        opening_micros=statement.opening,
        closing=balance_number(statement.closing),
        closing_micros=statement.closing,
    )


_EXAMPLE_ENTRY = dict.fromkeys(StatementLine.__struct_fields__) | {"owed": 0}
EXAMPLE = {
    "number": "2026-11-000001",
    "month": "2026-11",
    "begins": "2026-11-01T00:00:00Z",
    "ends": "2026-12-01T00:00:00Z",
    "issuer": "LiteVPS",
    "issued_at": "2026-12-01T00:03:20Z",
    "account_id": "01937b1e-5c00-7000-8000-000000000001",
    "email": "agent@example.com",
    "currency": "USD",
    "opening": 0.5,
    "opening_micros": 500_000,
    "entries": [
        _EXAMPLE_ENTRY
        | {
            "id": "01937b1e-5c00-7000-8000-000000000031",
            "kind": "payment",
            "description": "Payment received",
            "amount": 10,
            "at": "2026-11-23T17:00:00Z",
            "payment_id": "01937b1e-5c00-7000-8000-000000000030",
        },
        _EXAMPLE_ENTRY
        | {
            "id": "01937b1e-5c00-7000-8000-000000000003:1-600",
            "kind": "minutes",
            "description": "my-vm: 600 minutes of Nano at 0.0042 USD an hour",
            "amount": -0.042,
            "vps_id": "01937b1e-5c00-7000-8000-000000000003",
            "vps_name": "my-vm",
            "plan_id": "01937b1e-5c00-7000-8000-000000000010",
            "plan": "Nano",
            "price_version": 1,
            "price_hourly": 0.0042,
            "minutes": 600,
            "n_from": 1,
            "n_to": 600,
        },
    ],
    "closing": 10.458,
    "closing_micros": 10_458_000,
    "opening_owed": 0,
    "closing_owed": 0,
    "totals": {"payment": 10, "minutes": -0.042},
    "charges": 0.042,
    "taxes": [{"name": "VAT", "percent": 19, "amount": 0.006706}],
}
LISTED_EXAMPLE = {
    name: EXAMPLE[name] for name in ("month", "number", "issued_at", "opening", "opening_micros", "closing")
} | {"closing_micros": 10_458_000}
