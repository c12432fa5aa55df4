"""Journals are read by the programs that they are for, and come to the same books there."""

import csv
import io
import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from beancount import loader
from beancount.core.data import Open, Transaction

from api.application.audit.exporters import EXPORTERS, Format, beancount_account
from api.application.audit.trial_balance import Books
from domain.events import Event
from domain.ids import AccountId
from domain.money import parse_usd
from domain.payments.events import StripeBalanceMoved
from domain.statements.tax import TaxLine
from domain.time import Instant
from domain.wallet.events import MinutesWaived
from tests.api.application.audit.ledgers import FIRST, NOVEMBER, OTHER, issued, micros, minute, recorded
from tests.api.application.audit.test_money import SOUND
from tests.domain.wallet.wallets import ACCOUNT

CITY = (TaxLine("City tax", 2_500, micros(7)), TaxLine("VAT", 19_000, micros(-1)))
EVENTS: tuple[Event | tuple[Instant, Event], ...] = (
    *SOUND,
    StripeBalanceMoved("txn_1", "charge", "ch_1", micros(9_000), micros(300), FIRST, FIRST, is_available=False),
    MinutesWaived(AccountId(ACCOUNT), "unproven", minute(3).lines),
    issued("2027-01-000001", 0, 0, 0),
)
JANUARY = NOVEMBER.following.following


def everything() -> list[Event | tuple[Instant, Event]]:
    """Return events with postings to accounts of every kind."""
    *others, last = EVENTS
    assert isinstance(last, Event)
    return [*others, (JANUARY.ends, msgspec.structs.replace(last, account_id=OTHER, taxes=CITY))]


def written(form: Format) -> str:
    """Return the journal of everything."""
    exporter = EXPORTERS[form]()
    return exporter.header + "".join(exporter.exported(one) for one in recorded(everything()))


def books() -> dict[str, int]:
    """Return what every account of the books comes to, those that come to nothing left out."""
    adding = Books()
    for one in recorded(everything()):
        adding.add(one)
    return {account: total for account, total in adding.balance().accounts.items() if total}


def summed(lines: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the sums by account, those that come to nothing left out."""
    sums: defaultdict[str, int] = defaultdict(int)
    for account, amount in lines:
        sums[account] += amount
    return {account: total for account, total in sums.items() if total}


def test_the_books_have_accounts_of_every_kind() -> None:
    assert {account.split(":")[0] for account in books()} == {"assets", "liabilities", "revenue", "expenses", "memo"}
    assert "liabilities:tax:City tax" in books()


def test_hledger_reads_the_journal_and_comes_to_the_same(tmp_path: Path) -> None:
    file = tmp_path / "ledger.journal"
    file.write_text(written("hledger"))
    hledger = ("hledger", "-f", str(file))
    subprocess.run([*hledger, "check", "ordereddates", "commodities", "balancednoautoconversion"], check=True)
    told = subprocess.run(
        [*hledger, "balance", "--flat", "-O", "csv", "-N"], check=True, capture_output=True, text=True
    )

    rows = list(csv.reader(io.StringIO(told.stdout)))[1:]
    assert summed((account, parse_usd(amount.removesuffix(" USD"))) for account, amount in rows) == books()


def test_beancount_reads_the_journal_and_comes_to_the_same() -> None:
    entries, errors, _ = loader.load_string(written("beancount"))
    assert errors == []

    postings = [posting for entry in entries if isinstance(entry, Transaction) for posting in entry.postings]
    found = summed((posting.account, parse_usd(str(posting.units).removesuffix(" USD"))) for posting in postings)
    assert found == {beancount_account(account): total for account, total in books().items()}
    accounts = [entry.account for entry in entries if isinstance(entry, Open)]
    assert len(accounts) == len(set(accounts))


def test_no_two_accounts_are_one_in_beancount() -> None:
    names = [beancount_account(account) for account in books()]

    assert len(set(names)) == len(names)
    assert beancount_account("liabilities:tax:City tax") == "Liabilities:Tax:City-tax"
    assert beancount_account("assets:stripe:clearing") == "Assets:Stripe:Clearing"
    lower = beancount_account("liabilities:prepaid:a1937b1e-5c00-7000-8000-00000000000a")
    assert lower == "Liabilities:Prepaid:A1937B1E-5C00-7000-8000-00000000000A"


def test_the_table_of_postings_sums_to_zero_at_each_event() -> None:
    rows = list(csv.DictReader(io.StringIO(written("csv"), newline="")))

    assert summed((row["account"], int(row["micros"])) for row in rows) == books()
    assert summed((row["position"], int(row["micros"])) for row in rows) == {}
    assert all(parse_usd(row["usd"]) == int(row["micros"]) for row in rows)


def test_lines_of_events_have_their_postings() -> None:
    lines = [json.loads(line) for line in written("jsonl").splitlines()]

    assert len(lines) == len(everything())
    assert summed((account, amount) for line in lines for account, amount in line["postings"]) == books()


@pytest.mark.parametrize("form", ["hledger", "beancount"])
def test_amounts_are_told_to_the_micro_dollar_two_spaces_after_their_account(form: Format) -> None:
    postings = [line for line in written(form).splitlines() if line.endswith(" USD") and "  " in line.strip()]

    assert postings
    for line in postings:
        account, _, amount = line.strip().rpartition("  ")
        assert account
        assert re.fullmatch(r"-?\d+\.\d{6} USD", amount)
