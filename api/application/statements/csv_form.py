"""A statement as CSV: a line for each line of it, and some for its sums; every line says whose it is."""

import csv
import io
from collections.abc import Iterator

from api.application.labels import KINDS
from api.application.statements.presentation import CURRENCY, Line, StatementPresentation
from domain.money import MicroUsd, exact_usd
from domain.time import to_rfc3339

COLUMNS = (
    *("number", "month", "issuer", "issued_at", "account_id", "email", "currency"),
    *("kind", "id", "at", "description", "payment_id", "corrects", "vps_id", "vps_name", "plan_id", "plan"),
    *("price_version", "price_hourly", "minutes", "n_from", "n_to"),
    *("amount", "owed", "for_information"),
)
"""``amount`` and ``owed`` move balances, and sum to closing less opening; ``for_information`` moves nothing."""
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_of(statement: StatementPresentation) -> bytes:
    """Return a statement as CSV in UTF-8, by RFC 4180, with a line of names first."""
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    whose = {
        "number": statement.number or "",
        "month": str(statement.month),
        "issuer": _text(statement.issuer),
        "issued_at": "" if statement.issued_at is None else to_rfc3339(statement.issued_at),
        "account_id": str(statement.account_id),
        "email": _text(statement.email),
        "currency": CURRENCY,
    }
    for row in _rows(statement):
        writer.writerow(whose | row)
    return written.getvalue().encode()


def _rows(statement: StatementPresentation) -> Iterator[dict[str, str]]:
    yield _sum("opening", "Balance at the beginning", statement.opening)
    yield from map(_row, statement.lines)
    yield _sum("closing", "Balance at the end", statement.closing)
    yield _sum("opening_owed", "Owed at the beginning", statement.opening_owed)
    yield _sum("closing_owed", "Owed at the end", statement.closing_owed)
    for kind, total in statement.totals.items():
        yield _sum("total", f"Total: {KINDS[kind]}", total, kind)
    yield _sum("charges", "Charged, taxes included", statement.charges)
    for tax in statement.taxes:
        yield _sum("tax", f"Of which {tax.name} {tax.rate.percent} %", tax.amount, tax.name)


def _sum(kind: str, words: str, amount: MicroUsd, which: str = "") -> dict[str, str]:
    return {"kind": kind, "id": which, "description": words, "for_information": exact_usd(amount)}


def _row(line: Line) -> dict[str, str]:
    return {
        "kind": line.kind,
        "id": line.id,
        "at": "" if line.at is None else to_rfc3339(line.at),
        "description": _text(line.description),
        "payment_id": _shown(line.payment_id),
        "corrects": _shown(line.corrects),
        "vps_id": _shown(line.vps_id),
        "vps_name": _text(line.vps_name or ""),
        "plan_id": _shown(line.plan_id),
        "plan": _text(line.plan or ""),
        "price_version": _shown(line.price_version),
        "price_hourly": _usd(line.price_hourly),
        "minutes": _shown(line.minutes),
        "n_from": _shown(line.n_from),
        "n_to": _shown(line.n_to),
        "amount": exact_usd(line.amount),
        "owed": exact_usd(line.owed),
        "for_information": _usd(line.would_have_cost),
    }


def _text(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_BEGINS) else text


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def _usd(amount: MicroUsd | None) -> str:
    return "" if amount is None else exact_usd(amount)
