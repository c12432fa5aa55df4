"""Statements over HTTP: exact, numbered once, and the same in every form."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pypdf import PdfReader

from api.application.statements.issuing import issue_due
from domain.money import MicroUsd, exact_usd, parse_usd
from domain.time import MINUTE, Instant
from tests.api.application.statements.months import DECEMBER, NOVEMBER, Months, eventful_november, months
from tests.api.houses import PASSWORD, Customer
from tests.databases import Databases

pytestmark = pytest.mark.anyio
PATH = "/api/billing/statements/2026-11"
NAMES = ("vps_id", "vps_name", "plan_id", "plan")
OVER = Instant(NOVEMBER.ends + 2 * MINUTE)


@pytest.fixture
async def here(databases: Databases) -> AsyncIterator[Months]:
    """The 10th of November."""
    async with months(databases) as made:
        yield made


def micros(number: float | None) -> int:
    """Return an amount of JSON in micro-USD."""
    return parse_usd(f"{number:.6f}")


async def test_opening_and_all_entries_are_closing(here: Months) -> None:
    await eventful_november(here)
    await here.until(OVER)
    told = await here.entries()

    assert (told["opening_micros"], told["closing_micros"]) == (0, 4_786_700)
    assert told["opening_micros"] + sum(micros(entry["amount"]) for entry in told["entries"]) == told["closing_micros"]
    assert (told["closing"], told["closing_owed"]) == (4.7867, 0)
    assert sum(micros(entry["owed"]) for entry in told["entries"]) == 0
    assert told["totals"] == {
        "payment": 16.78666, "credit": 2, "correction": 0.00004, "dispute": -11.98712,
        "debt_paid": -2, "minutes": -0.01288,
    }  # fmt: skip
    header = (await here.ann.ask("GET", PATH)).headers["x-balance-remaining"]
    assert header == "4.7867"


async def test_each_movement_is_told_by_itself_and_minutes_a_line_for_each_vps(here: Months) -> None:
    await eventful_november(here)
    told = (await here.entries())["entries"]

    kinds = ["credit", "payment", "dispute", "payment", "debt_paid", "correction", "minutes", "minutes", "waived"]
    assert [entry["kind"] for entry in told] == kinds
    web, mail, waived = told[6:]
    assert (web["vps_name"], web["plan"], web["minutes"], web["n_from"], web["n_to"]) == ("web-01", "Nano", 181, 1, 184)
    assert (web["amount"], web["price_hourly"], web["price_version"]) == (-0.01267, 0.0042, 1)
    assert web["id"] == f"{web['vps_id']}:1-184"
    assert (mail["vps_name"], mail["amount"]) == ("mail", -0.00021)
    assert (waived["amount"], waived["would_have_cost"], waived["minutes"]) == (0, 0.00021, 3)
    assert "nothing proves that it ran" in waived["description"]
    assert told[0]["description"] == "Credit: a test"
    assert told[5]["description"].startswith("Correction of a charge: für ")
    assert told[2]["owed"] == 2
    assert all(entry["at"] and entry["id"] for entry in told[:6])


async def test_the_next_month_opens_with_what_the_last_one_closed_with(here: Months) -> None:
    await eventful_november(here)
    await here.until(OVER)
    await here.ann.credit(5)
    december = (await here.ann.ask("GET", "/api/billing/statements/2026-12")).json()

    assert december["opening_micros"] == (await here.entries())["closing_micros"] == 4_786_700
    assert [entry["kind"] for entry in december["entries"]] == ["credit"]


async def test_a_month_that_is_not_over_is_provisional(here: Months) -> None:
    await here.ann.credit(5)
    told = await here.entries()
    assert (told["number"], told["issued_at"]) == (None, None)

    await here.until(Instant(NOVEMBER.ends + MINUTE - 1))
    assert (await here.entries())["number"] is None
    await here.until(Instant(NOVEMBER.ends + MINUTE))
    assert (await here.entries())["number"] == "2026-11-000001"


async def test_numbers_of_a_month_have_no_gaps_and_are_given_once(here: Months) -> None:
    await here.ann.credit(5)
    others = [await here.house.register() for _ in range(3)]
    for other in others[:2]:
        await other.credit(7)
    await here.until(OVER)

    asked = await asyncio.gather(*(here.ann.ask("GET", PATH) for _ in range(5)))
    assert {one.json()["number"] for one in asked} == {"2026-11-000001"}
    assert await issue_due(here.house.runtime) == 2
    assert await issue_due(here.house.runtime) == 0
    numbers = {await number_of(here, other) for other in others}
    # The one in whose wallet nothing moved has one as well, now that it asks.
    assert numbers == {"2026-11-000002", "2026-11-000003", "2026-11-000004"}
    assert (await here.entries())["number"] == "2026-11-000001"


async def test_an_issued_statement_keeps_the_names_of_what_is_deleted_since(here: Months) -> None:
    await eventful_november(here)
    await here.until(OVER)
    issued = await here.entries()
    vps_ids = {entry["vps_id"] for entry in issued["entries"]} - {None}
    assert vps_ids
    for vps_id in vps_ids:
        assert (await here.ann.ask("DELETE", f"/api/vps/{vps_id}")).status_code == 204

    assert await here.entries() == issued


async def number_of(here: Months, customer: Customer) -> str:
    """Return the number of November's statement of somebody."""
    computed = await here.house.runtime.statements.compute(customer.id, NOVEMBER)
    assert computed is not None
    if computed.issued is None:
        body = {"email": customer.email, "password": PASSWORD}
        customer.token = (await here.house.client.post("/api/auth/login", json=body)).json()["token"]
        number: str = (await customer.ask("GET", PATH)).json()["number"]
        return number
    return computed.issued.statement.number


async def test_taxes_are_those_that_were_set_when_it_was_issued(here: Months) -> None:
    await eventful_november(here)
    await here.set("tax", "VAT 19, City 2.5")
    await here.set("issuer", "ACME Ltd")
    provisional = await here.entries()
    await here.until(OVER)
    issued = await here.entries()
    await here.set("tax", "")
    await here.set("issuer", "Somebody else")
    again = await here.entries()

    # Charged 0.01288, less 0.00004: of 0.01284 the taxes are 19/121.5 and 2.5/121.5.
    assert issued["charges"] == 0.01284
    assert issued["taxes"] == [
        {"name": "VAT", "percent": 19, "amount": 0.002008},
        {"name": "City", "percent": 2.5, "amount": 0.000264},
    ]
    assert issued["taxes"] == provisional["taxes"] == again["taxes"]
    assert issued["issuer"] == again["issuer"] == "ACME Ltd"
    assert again == issued


async def test_issued_statements_are_listed_newest_first(here: Months) -> None:
    await eventful_november(here)
    await here.until(OVER)
    assert (await here.ann.ask("GET", "/api/billing/statements")).json() == []
    await here.entries()
    await here.ann.credit(5)
    await here.until(Instant(DECEMBER.ends + 2 * MINUTE))
    await here.ann.ask("GET", "/api/billing/statements/2026-12")
    listed = await here.ann.ask("GET", "/api/billing/statements")

    assert [(one["month"], one["number"], one["opening_micros"], one["closing_micros"]) for one in listed.json()] == [
        ("2026-12", "2026-12-000001", 4_786_700, 4_786_705),
        ("2026-11", "2026-11-000001", 0, 4_786_700),
    ]
    assert listed.headers["x-total-count"] == "2"


@pytest.mark.parametrize(
    ("month", "status"),
    [("2026-10", 404), ("2026-12", 404), ("2030-01", 404), ("2026-13", 400), ("november", 400), ("2026-1", 400)],
)
async def test_other_months_are_refused(here: Months, month: str, status: int) -> None:
    refused = await here.ann.ask("GET", f"/api/billing/statements/{month}")

    assert refused.status_code == status
    assert refused.json()["code"] == {404: "not_found", 400: "invalid_request"}[status]


async def test_an_access_token_sees_no_statements(here: Months) -> None:
    made = (await here.ann.ask("POST", "/api/tokens", json={"name": "ci"})).json()
    shown = {"authorization": f"Bearer {made['token']}"}

    for path in (PATH, "/api/billing/statements"):
        assert (await here.house.client.get(path, headers=shown)).status_code == 403


async def test_nobody_sees_the_statements_of_another(here: Months) -> None:
    await eventful_november(here)
    bob = await here.house.register()
    await here.until(OVER)
    body = {"email": bob.email, "password": PASSWORD}
    bob.token = (await here.house.client.post("/api/auth/login", json=body)).json()["token"]

    assert (await bob.ask("GET", PATH)).json()["entries"] == []
    await here.entries()
    assert [one["closing_micros"] for one in (await bob.ask("GET", "/api/billing/statements")).json()] == [0]


async def test_a_form_that_is_not_offered_is_refused(here: Months) -> None:
    refused = await here.ann.ask("GET", PATH, headers={"accept": "text/html"})

    assert refused.status_code == 406
    assert refused.json() == {
        "error": "no accepted type is offered",
        "code": "not_acceptable",
        "offered": "application/json, text/csv, application/pdf",
    }


async def test_all_three_forms_tell_the_same(here: Months) -> None:
    await eventful_november(here)
    await here.set("tax", "VAT 19")
    await here.until(OVER)
    told = await here.entries()
    table = await here.ann.ask("GET", PATH, headers={"accept": "text/csv"})
    pages = await here.ann.ask("GET", PATH, headers={"accept": "application/pdf"})

    assert table.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert table.headers["content-disposition"] == 'attachment; filename="statement-2026-11-000001.csv"'
    assert_csv_tells(table.content.decode(), told)
    assert pages.headers["content-type"] == "application/pdf"
    assert pages.headers["content-disposition"] == 'attachment; filename="statement-2026-11-000001.pdf"'
    assert_pdf_tells(pages.content, told)
    assert (await here.ann.ask("GET", PATH, headers={"accept": "application/pdf"})).content == pages.content


def assert_csv_tells(text: str, told: dict[str, Any]) -> None:
    """Hold a table to what is told as JSON."""
    assert text.endswith("\r\n")
    assert text.count("\n") == text.count("\r\n")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    for name in ("number", "month", "issuer", "issued_at", "account_id", "email", "currency"):
        assert {row[name] for row in rows} == {told[name]}
    for row, entry in zip([row for row in rows if row["amount"]], told["entries"], strict=True):
        for name in (
            "id",
            "kind",
            "description",
            "at",
            "payment_id",
            "corrects",
            "vps_id",
            "vps_name",
            "plan_id",
            "plan",
        ):
            assert row[name] == (entry[name] or "")
        for name in ("minutes", "n_from", "n_to", "price_version"):
            assert row[name] == ("" if entry[name] is None else str(entry[name]))
        for name in ("amount", "owed"):
            assert parse_usd(row[name]) == micros(entry[name])
        assert row["for_information"] == _exact(entry["would_have_cost"])
    sums = {(row["kind"], row["id"]): parse_usd(row["for_information"]) for row in rows if not row["amount"]}
    assert sums == {
        ("opening", ""): told["opening_micros"],
        ("closing", ""): told["closing_micros"],
        ("opening_owed", ""): micros(told["opening_owed"]),
        ("closing_owed", ""): micros(told["closing_owed"]),
        ("charges", ""): micros(told["charges"]),
        **{("total", kind): micros(total) for kind, total in told["totals"].items()},
        **{("tax", tax["name"]): micros(tax["amount"]) for tax in told["taxes"]},
    }


def assert_pdf_tells(content: bytes, told: dict[str, Any]) -> None:
    """Hold pages to what is told as JSON."""
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]
    text = "\n".join(pages)
    words = " ".join(text.split())
    for name in ("number", "issuer", "account_id", "email"):
        assert told[name] in words
    for amount in (told["opening_micros"], told["closing_micros"], micros(told["charges"])):
        assert _six(amount) in text
    for entry in told["entries"]:
        moved = entry["amount"] if entry["would_have_cost"] is None else entry["would_have_cost"]
        assert _six(micros(moved)) in text
        for name in ("payment_id", "corrects", "vps_id", "vps_name", "plan"):
            assert entry[name] is None or entry[name] in words
        if entry["vps_id"] is None:
            assert f"event {entry['id']}" in words
            # What the standard fonts have no letters for is shown as question marks.
            assert entry["description"].encode("cp1252", errors="replace").decode("cp1252") in words
        else:
            assert f"{entry['n_from']} to {entry['n_to']}" in words
            assert entry["would_have_cost"] is None or entry["description"].rpartition(": ")[2] in words
    for total in (*told["totals"].values(), *(tax["amount"] for tax in told["taxes"])):
        assert _six(micros(total)) in text
    for number, page in enumerate(pages, start=1):
        assert f"page {number} of {len(pages)}" in page


def _exact(number: float | None) -> str:
    return "" if number is None else exact_usd(MicroUsd(micros(number)))


def _six(amount: int) -> str:
    return f"{'-' if amount < 0 else ''}{abs(amount) // 1_000_000:,}.{abs(amount) % 1_000_000:06d}"
