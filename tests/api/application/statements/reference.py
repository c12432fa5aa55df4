"""Statements as the events of a wallet come to, all of them each time: what the read models are compared with."""

from collections.abc import Iterable, Iterator

from api.application.runtime import Runtime
from domain import codec
from domain.events import Event
from domain.ids import AccountId, EventId, wallet_stream
from domain.money import MicroUsd
from domain.ports import Recorded
from domain.statements.month import Month
from domain.statements.statement import Entry, Single, Statement, entry_of, folded_minutes
from domain.wallet.movements import Moving, movement

Told = tuple[Recorded, Event]


async def folded_statement(runtime: Runtime, account_id: AccountId, month: Month) -> Statement:
    """Return the statement of a month out of what is recorded of a wallet."""
    await runtime.sealer.load([account_id])
    recorded = await runtime.store.read_stream(wallet_stream(account_id), 0, 1_000_000)
    told = [(one, codec.decode(one, runtime.sealer)) for one in recorded if one.recorded_at < month.ends]
    return statement_of(account_id, month, told)


def statement_of(account_id: AccountId, month: Month, told: Iterable[Told]) -> Statement:
    """Return the statement of a month out of the events of a wallet up to its end."""
    told = list(told)
    before = [(recorded, event) for recorded, event in told if recorded.recorded_at < month.begins]
    within = told[len(before) :]
    minutes = folded_minutes(event for _, event in within)
    return Statement(
        account_id=account_id,
        month=month,
        opening=MicroUsd(sum(movement(event) for _, event in before if isinstance(event, Moving))),
        opening_owed=MicroUsd(sum(entry.owed for entry in _entries(before))),
        entries=tuple(_entries(within)),
        charged=tuple(line for line in minutes if line.cause is None),
        waived=tuple(line for line in minutes if line.cause is not None),
    )


def _entries(told: Iterable[Told]) -> Iterator[Entry]:
    for recorded, event in told:
        if isinstance(event, Single):
            yield entry_of(event, EventId(codec.decode_metadata(recorded).id), recorded.recorded_at)
