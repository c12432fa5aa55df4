"""The page of postings: each of its worked examples is what the code posts, and none is missing."""

import re
from pathlib import Path
from typing import get_args
from uuid import UUID

import pytest

from domain.books import chart
from domain.books.postings import MoneyEvent, postings
from domain.codec import decode_payload
from domain.events import stored_name
from domain.payments.events import TransactionKind
from domain.wallet.events import WaiveCause

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "postings.md").read_text()
EXAMPLE = re.compile(
    r"```json\n(?P<event>\{.*\})\n```\n\n\| account \| amount \|\n\| --- \| ---: \|\n(?P<rows>(?:\|.*\n)+)"
)
ROW = re.compile(r"\| `(?P<account>[^`]+)` \| (?P<amount>[\d,−]+) \|")
ID = "01937b1e-5c00-7000-8000-00000000"
SECTIONS = dict(re.findall(r"^### `([^`]+)`\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))
EXAMPLES = [
    pytest.param(name, found["event"], found["rows"], id=f"{name}-{number}")
    for name, text in SECTIONS.items()
    for number, found in enumerate(EXAMPLE.finditer(text), start=1)
]


@pytest.mark.parametrize(("name", "event", "rows"), EXAMPLES)
def test_an_example_is_what_the_code_posts(name: str, event: str, rows: str) -> None:
    told = {
        row["account"].replace("…", ID): int(row["amount"].replace(",", "").replace("−", "-"))
        for row in ROW.finditer(rows)
    }
    posted: dict[str, int] = {}
    for posting in postings(decode_payload(name, event)):
        posted[posting.account] = posted.get(posting.account, 0) + posting.amount

    assert told == posted
    assert len(told) == rows.count("\n")
    assert sum(told.values()) == 0


@pytest.mark.parametrize("kind", get_args(MoneyEvent), ids=lambda kind: kind.__name__)
def test_every_event_that_posts_has_an_example(kind: type) -> None:
    assert EXAMPLE.search(SECTIONS.get(stored_name(kind), ""))


def test_every_account_of_the_chart_is_listed() -> None:
    fixed = [value for name, value in vars(chart).items() if name.isupper() and isinstance(value, str)]
    of = UUID(int=0)
    named = [chart.prepaid(of), chart.receivable(of), chart.revenue(of), chart.tax(str(of))]
    named += [chart.waived(cause, of) for cause in get_args(WaiveCause)]
    of_each = [account.removesuffix(str(of)) + "<" for account in named]
    listed = PAGE[PAGE.index("## Accounts") : PAGE.index("Memo accounts")]

    assert [account for account in (*fixed, *of_each) if f"| `{account}" not in listed] == []


def test_every_kind_of_balance_transaction_has_an_example() -> None:
    section = SECTIONS["payments.stripe-balance-moved.v1"]

    assert [kind for kind in get_args(TransactionKind) if f'"kind":"{kind}"' not in section] == []
