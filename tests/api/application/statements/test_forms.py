"""Statements as CSV and PDF stay whole whatever texts and however many lines are in them."""

import csv
import io
from uuid import UUID

import pytest
from pypdf import PdfReader

from api.application.statements.csv_form import csv_of
from api.application.statements.pdf_form import pdf_of
from api.application.statements.presentation import Line, StatementPresentation
from domain.ids import AccountId, PlanId, VpsId
from domain.money import ZERO, MicroUsd
from domain.statements.tax import TaxLine
from domain.time import Instant
from tests.api.application.statements.months import NOVEMBER

AT = Instant(NOVEMBER.begins + 5)


def event(description: str = "Payment received", amount: int = 5_000_000) -> Line:
    return Line(id=str(UUID(int=9)), kind="payment", description=description, amount=MicroUsd(amount), at=AT)


def minutes(number: int, name: str = "web") -> Line:
    vps_id = VpsId(UUID(int=number))
    return Line(
        id=f"{vps_id}:1-44640",
        kind="minutes",
        description=f"{name}: 44,640 minutes of Nano at 0.0042 USD an hour",
        amount=MicroUsd(-3_124_800 - number),
        vps_id=vps_id,
        vps_name=name,
        plan_id=PlanId(UUID(int=7)),
        plan="Nano",
        price_version=1,
        price_hourly=MicroUsd(4_200),
        minutes=44_640,
        n_from=1,
        n_to=44_640,
    )


def statement(*lines: Line, number: str | None = "2026-11-000001", issuer: str = "LiteVPS") -> StatementPresentation:
    return StatementPresentation(
        number=number,
        month=NOVEMBER,
        issuer=issuer,
        issued_at=None if number is None else NOVEMBER.ends,
        account_id=AccountId(UUID(int=1)),
        email="ann@example.com",
        opening=ZERO,
        closing=MicroUsd(sum(line.amount for line in lines)),
        opening_owed=ZERO,
        closing_owed=ZERO,
        lines=lines,
        totals={},
        charges=ZERO,
        taxes=(TaxLine("VAT", 19_000, ZERO),),
    )


def rows(told: StatementPresentation) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_of(told).decode(), newline="")))


def pages(told: StatementPresentation) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf_of(told))).pages]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_text_is_a_formula_in_a_spreadsheet(text: str) -> None:
    told = rows(statement(event(text), minutes(1, name=text), issuer=text))

    assert told[1]["description"] == f"'{text}"
    assert told[2]["vps_name"] == f"'{text}"
    assert {row["issuer"] for row in told} == {f"'{text}"}


def test_amounts_stay_numbers() -> None:
    assert [row["amount"] for row in rows(statement(event(amount=-5), minutes(1))) if row["amount"]] == [
        "-0.000005",
        "-3.124801",
    ]


def test_any_text_comes_back_out_of_the_table() -> None:
    text = 'a "gift", for you,\r\nand "привет" 🎁'

    assert rows(statement(event(text)))[1]["description"] == text


def test_letters_that_the_fonts_have_not_are_question_marks() -> None:
    [page] = pages(statement(event("Credit: für привет 日本 <b>&amp;</b>"), issuer="Ünïcode ООО"))

    assert "Credit: für ?????? ?? <b>&amp;</b>" in page
    assert "Ünïcode ???" in page


def test_a_long_table_has_its_head_on_each_page_and_each_page_its_number() -> None:
    told = pages(statement(event(), *(minutes(number) for number in range(200))))

    assert len(told) > 5
    for number, page in enumerate(told, start=1):
        assert f"page {number} of {len(told)}" in page
        assert "Statement 2026-11-000001" in page
        if "44,640" in page:
            assert "First to last" in page
    assert sum(page.count("44,640") for page in told) == 200 * 2


def test_text_longer_than_a_page_does_not_keep_a_statement_from_being_made() -> None:
    assert len(pages(statement(event("x" * 1_000), event("word " * 200)))) == 1


def test_a_provisional_statement_says_so() -> None:
    told = statement(number=None)

    assert told.file_name == "statement-2026-11-provisional"
    assert "Statement 2026-11 (provisional)" in pages(told)[0]
    assert "provisional: the month is not over" in pages(told)[0]
    assert {row["number"] for row in rows(told)} == {""}


def test_a_month_in_which_nothing_moved_is_a_page() -> None:
    [page] = pages(statement())

    assert "Nothing moved in this month." in page


def test_the_same_statement_is_the_same_file() -> None:
    told = statement(event(), minutes(1))

    assert pdf_of(told) == pdf_of(told)
    assert b"/FontFile" not in pdf_of(told)
