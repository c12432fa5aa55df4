"""Statements of a month are numbered from one on, without gaps, once the month is over."""

from uuid import UUID

import pytest

from domain.books.chart import TAX_INCLUDED, tax
from domain.books.posting import Posting
from domain.books.postings import postings
from domain.ids import AccountId, statements_stream
from domain.money import MicroUsd
from domain.ports import Claim
from domain.statements.events import StatementIssued
from domain.statements.issuing import FOLD, MonthNotOver, Numbered, evolve, is_over, issue, statements_ref
from domain.statements.month import Month
from domain.statements.statement import Minutes, Statement
from domain.statements.tax import TaxLine, TaxRate
from domain.time import MINUTE, Instant
from domain.wallet.events import WalletOpened
from tests.domain.wallet.wallets import ACCOUNT, SMALL, WEB

MONTH = Month(2026, 11)
OVER = Instant(MONTH.ends + MINUTE)
STATEMENT = Statement(
    account_id=AccountId(ACCOUNT),
    month=MONTH,
    opening=MicroUsd(1_000),
    opening_owed=MicroUsd(0),
    entries=(),
    charged=(Minutes(WEB, SMALL, 1, MicroUsd(4_200), None, 1, 1, 1, MicroUsd(119)),),
    waived=(),
)
ISSUED = StatementIssued(
    account_id=AccountId(ACCOUNT),
    month="2026-11",
    number="2026-11-000008",
    issuer="ACME",
    opening=MicroUsd(1_000),
    closing=MicroUsd(881),
    charges=MicroUsd(119),
    taxes=(TaxLine("VAT", 19_000, MicroUsd(19)),),
    until=77,
)


def test_a_statement_gets_the_next_number_of_its_month_and_its_taxes() -> None:
    decision = issue(Numbered(7), STATEMENT, (TaxRate("VAT", 19_000),), "ACME", 77, OVER)

    assert decision.events == ((statements_stream("2026-11"), ISSUED),)
    assert decision.claims == (Claim("statement", ACCOUNT.bytes + b"2026-11", AccountId(ACCOUNT)),)


def test_each_number_follows_the_one_before() -> None:
    assert evolve(evolve(FOLD.initial, ISSUED), ISSUED) == Numbered(2)
    assert evolve(Numbered(2), WalletOpened(AccountId(UUID(int=1)))) == Numbered(2)
    assert statements_ref(MONTH).stream == statements_stream("2026-11")


def test_a_month_that_may_still_get_an_event_is_not_over() -> None:
    assert not is_over(MONTH, Instant(OVER - 1))
    with pytest.raises(MonthNotOver):
        issue(Numbered(), STATEMENT, (), "ACME", 77, Instant(OVER - 1))


def test_a_tax_that_was_included_is_owed_and_no_revenue() -> None:
    assert postings(ISSUED) == (Posting(TAX_INCLUDED, MicroUsd(19)), Posting(tax("VAT"), MicroUsd(-19)))
