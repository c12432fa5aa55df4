"""Exporters: the ledger in forms that others read, each made from the events alone."""

import csv
import io
from collections.abc import Iterator
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from api.application.audit.trial_balance import MONEY_NAMES
from domain import codec
from domain.books.posting import Posting
from domain.books.postings import postings
from domain.money import MICROS_PER_USD, MicroUsd
from domain.ports import Recorded
from domain.time import to_datetime, to_rfc3339

Format = Literal["jsonl", "csv", "hledger", "beancount"]

_ROOTS = {
    "assets": "Assets",
    "liabilities": "Liabilities",
    "revenue": "Income",
    "expenses": "Expenses",
    "memo": "Equity:Memo",
}
"""Beancount knows five kinds of accounts, by these names."""
_HLEDGER_HEADER = """\
; Positive is debit. Made from the events; memo accounts are no part of the result, and sum to zero by themselves.
commodity 1000.000000 USD
account assets       ; type: Asset
account liabilities  ; type: Liability
account revenue      ; type: Revenue
account expenses     ; type: Expense
account memo         ; type: Equity
"""
_BEANCOUNT_HEADER = """\
option "title" "LiteVPS"
option "operating_currency" "USD"
"""


class Exporter(Protocol):
    """Writes events in one form."""

    header: str
    """What comes before all events."""

    def exported(self, recorded: Recorded) -> str:
        """Return what is written of the next event; nothing for one that this form has no place for."""
        ...


class JsonLines:
    """One event a line, with everything that its hash is made of; personal fields stay sealed."""

    header = ""

    def exported(self, recorded: Recorded) -> str:
        """Return the event, payload and metadata as the text they are, and its postings."""
        facts: dict[str, Any] = {
            "position": recorded.position,
            "stream": recorded.stream,
            "version": recorded.version,
            "type": recorded.type,
            "happened_at_us": recorded.happened_at,
            "recorded_at_us": recorded.recorded_at,
            "recorded_at": to_rfc3339(recorded.recorded_at),
            "metadata": recorded.metadata,
            "payload": recorded.payload,
            "leaf_hash": recorded.leaf_hash.hex(),
            "postings": [(posting.account, posting.amount) for posting in _posted(recorded)],
        }
        return msgspec.json.encode(facts).decode() + "\n"


class CsvPostings:
    """One posting a line."""

    header = "position,recorded_at,type,event_id,account,micros,usd\r\n"

    def exported(self, recorded: Recorded) -> str:
        """Return the event's postings, whose sum is zero."""
        posted = _posted(recorded)
        if not posted:
            return ""
        written = io.StringIO(newline="")
        writer = csv.writer(written, lineterminator="\r\n")
        event_id, at = codec.decode_metadata(recorded).id, to_rfc3339(recorded.recorded_at)
        for posting in posted:
            row = (recorded.position, at, recorded.type, event_id, posting.account, posting.amount)
            writer.writerow((*row, _usd(posting.amount)))
        return written.getvalue()


class Hledger:
    """One transaction an event (https://hledger.org/hledger.html#journal)."""

    header = _HLEDGER_HEADER

    def exported(self, recorded: Recorded) -> str:
        """Return the event's transaction: the account, two spaces, the amount to the micro-dollar."""
        posted = _posted(recorded)
        if not posted:
            return ""
        at = to_rfc3339(recorded.recorded_at)
        lines = [f"\n{at[:10]} * ({recorded.position}) {recorded.type}  ; recorded {at}"]
        lines += [f"    {posting.account}  {_usd(posting.amount)} USD" for posting in posted]
        return "\n".join(lines) + "\n"


class Beancount:
    """One transaction an event (https://beancount.github.io/docs/beancount_language_syntax.html)."""

    header = _BEANCOUNT_HEADER

    def __init__(self) -> None:
        self._open: set[str] = set()

    def exported(self, recorded: Recorded) -> str:
        """Return the event's transaction; before it, accounts are opened that are posted to for the first time."""
        posted = _posted(recorded)
        if not posted:
            return ""
        day = to_datetime(recorded.recorded_at).date().isoformat()
        lines = [f'\n{day} * "{recorded.type}"', f"  position: {recorded.position}"]
        lines += [f"  {beancount_account(posting.account)}  {_usd(posting.amount)} USD" for posting in posted]
        return "".join(self._opened_accounts(day, posted)) + "\n".join(lines) + "\n"

    def _opened_accounts(self, day: str, posted: tuple[Posting, ...]) -> Iterator[str]:
        for account in dict.fromkeys(beancount_account(posting.account) for posting in posted):
            if account not in self._open:
                self._open.add(account)
                yield f"\n{day} open {account} USD"
        yield "\n"


EXPORTERS: dict[Format, type[Exporter]] = {
    "jsonl": JsonLines,
    "csv": CsvPostings,
    "hledger": Hledger,
    "beancount": Beancount,
}


def beancount_account(account: str) -> str:
    """Return an account's name as Beancount allows it: each part begins with a capital or a digit, without spaces."""
    root, *parts = account.split(":")
    return ":".join([_ROOTS[root], *map(_beancount_part, parts)])


def _beancount_part(part: str) -> str:
    try:
        return str(UUID(part)).upper()
    except ValueError:
        return part[:1].upper() + part[1:].replace(" ", "-")


def _posted(recorded: Recorded) -> tuple[Posting, ...]:
    return postings(codec.decode(recorded)) if recorded.type in MONEY_NAMES else ()


def _usd(amount: MicroUsd) -> str:
    dollars, micros = divmod(abs(amount), MICROS_PER_USD)
    return f"{'-' if amount < 0 else ''}{dollars}.{micros:06d}"
