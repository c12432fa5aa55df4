"""Transactions as customers are told of them: one for each event about funds, and minutes by the hour or singly."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from api.application.billing.minutes import Minute, comes_in_stretches, lines_in, minutes_between
from api.application.billing.vps_names import decrypted_vpss
from api.application.labels import KINDS, not_charged, with_reason
from api.application.reading import caught_up_connection
from api.application.runtime import Runtime
from api.application.streams import events_between
from domain.compute.vps import Vps
from domain.errors import Invalid
from domain.ids import AccountId, TokenId, VpsId, wallet_stream
from domain.money import MicroUsd, exact_usd
from domain.time import Instant
from domain.wallet.events import MinuteLine
from projections.entries import ENTRIES, Kind
from projections.read_model import Connection
from projections.transactions import (
    EntryOfLines,
    Transaction,
    TransactionFilter,
    entries_of_lines,
    first_since,
    lines_of,
    tokens_of,
    transactions_of,
)
from projections.vps import VPS, vpss_by_ids


class TransactionDetails(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction as it is told."""

    id: str
    at: Instant
    kind: Kind
    amount: MicroUsd
    balance_after: MicroUsd
    description: str
    owed: MicroUsd
    payment_id: UUID | None = None
    reason: str | None = None
    corrects: UUID | None = None
    vps_id: VpsId | None = None
    token_id: TokenId | None = None
    cause: str | None = None
    begins_at: Instant | None = None
    n_from: int | None = None
    n_to: int | None = None
    minutes: int | None = None
    price_hourly: MicroUsd | None = None
    cost: MicroUsd | None = None


class TransactionListQuery(msgspec.Struct, frozen=True):
    """Which transactions a customer asks for."""

    account_id: AccountId
    since: Instant | None
    until: Instant | None
    limit: int
    offset: int
    before: tuple[int, int] | None = None
    """The place that they are older than, as ``TransactionPage`` tells it."""
    after: tuple[int, int] | None = None
    """The place that they are newer than; then those next to it are wanted."""
    kind: Kind | None = None
    vps_id: VpsId | None = None


class TransactionPage(msgspec.Struct, frozen=True):
    """A page of them."""

    shown: list[TransactionDetails]
    total: int
    older: tuple[int, int] | None = None
    """The place of the last one, if there are older ones; else None."""
    newer: tuple[int, int] | None = None
    """The place of the first one, if there are newer ones; else None."""


async def list_transactions(
    runtime: Runtime, query: TransactionListQuery, *, by_minute: bool = False
) -> TransactionPage:
    """Return transactions of an account, newest first; ``by_minute``: minutes alone, each by itself.

    Raises Invalid or ProjectionBehind.
    """
    if not by_minute:
        return await folded_transactions(runtime, query)
    if query.kind is not None or query.vps_id is not None:
        raise Invalid(fields={"kind" if query.kind is not None else "vps_id": "not with detail=minute"})
    return await single_minutes(runtime, query)


async def folded_transactions(runtime: Runtime, query: TransactionListQuery) -> TransactionPage:
    """Return transactions, newest first, the minutes of a VPS that begin within an hour as one."""
    async with caught_up_connection(runtime, ENTRIES, VPS) as connection:
        filter_ = TransactionFilter(query.account_id, kind=query.kind, vps_id=query.vps_id)
        if query.since is not None:
            position, _ = await first_since(connection, query.account_id, query.since)
            filter_ = msgspec.structs.replace(filter_, since=position)
        if query.until is not None:
            position, _ = await first_since(connection, query.account_id, query.until)
            filter_ = msgspec.structs.replace(filter_, until=position)
        if query.before is not None:
            filter_ = msgspec.structs.replace(filter_, before=query.before)
        if query.after is not None:
            filter_ = msgspec.structs.replace(filter_, after=query.after)
        # One more than asked for tells whether there is a page beyond.
        found, total = await transactions_of(connection, filter_, query.limit + 1, query.offset)
        beyond = len(found) > query.limit
        page = found[-query.limit :] if query.after is not None else found[: query.limit]
        vps_ids = {one.vps_id for one in page if one.vps_id is not None}
        vpss = await decrypted_vpss(runtime, connection, query.account_id, vps_ids)
    await runtime.sealer.load([query.account_id])
    older = newer = None
    if page and (beyond or query.after is not None):
        older = page[-1].position, page[-1].place
    if page and (query.offset or query.before is not None or (beyond and query.after is not None)):
        newer = page[0].position, page[0].place
    return TransactionPage([_shown(runtime, query.account_id, one, vpss) for one in page], total, older, newer)


async def single_minutes(runtime: Runtime, query: TransactionListQuery) -> TransactionPage:
    """Return transactions, newest first, each minute by itself."""
    async with caught_up_connection(runtime, ENTRIES, VPS) as connection:
        above, total = 0, await lines_of(connection, query.account_id)
        last = total
        if query.until is not None:
            _, last = await first_since(connection, query.account_id, query.until)
        if query.since is not None:
            _, above = await first_since(connection, query.account_id, query.since)
        total = max(0, last - above)
        newest = last
        if query.before is not None:
            last = min(last, query.before[0] - 1)
        if query.after is not None:
            last = min(last, max(above, query.after[0]) + query.limit)
        last -= query.offset
        oldest = above + 1 if query.after is None else max(above, query.after[0]) + 1
        first = max(oldest, last - query.limit + 1)
        if last < first:
            return TransactionPage([], total)
        entries = await entries_of_lines(connection, query.account_id, first, last)
        shown = await _opened(runtime, connection, query.account_id, entries, first, last)
        vps_ids = {one.vps_id for one in shown if one.vps_id is not None}
        tokens = await tokens_of(connection, list(vps_ids))
        vpss = await decrypted_vpss(runtime, connection, query.account_id, vps_ids)
    told = [
        one
        if one.vps_id is None
        else msgspec.structs.replace(
            one,
            token_id=tokens.get(one.vps_id),
            description=not_charged(f"Minute {one.n_from} of {_name(vpss, one.vps_id)}", one.cause, 1),
        )
        for one in shown
    ]
    return TransactionPage(
        told,
        total,
        older=(first, 0) if first > above + 1 else None,
        newer=(last, 0) if last < newest else None,
    )


async def _opened(
    runtime: Runtime,
    connection: Connection,
    account_id: AccountId,
    entries: Sequence[EntryOfLines],
    first: int,
    last: int,
) -> list[TransactionDetails]:
    """Return each line from ``first`` to ``last``, newest first, minutes of one event as they were paid."""
    await runtime.sealer.load([account_id])
    versions = [entry.version for entry in entries if entry.minutes]
    lines: dict[int, tuple[str, tuple[MinuteLine, ...]]] = {}
    if versions:
        stream = wallet_stream(account_id)
        read = events_between(runtime.store, stream, min(versions) - 1, max(versions))
        lines = {event.version: lines_in(event) async for event in read}
    created = await _creation_of(connection, account_id, [of_event for _, of_event in lines.values()])
    shown: list[TransactionDetails] = []
    for entry in entries:
        if not entry.minutes:
            shown.append(_of_funds(runtime, account_id, entry))
            continue
        begins = entry.lines_upto - entry.minutes
        first_place, last_place = max(1, first - begins), min(entry.minutes, last - begins)
        cause, of_event = lines[entry.version]
        order = created if comes_in_stretches(of_event) else {}
        before, minutes = minutes_between(cause, of_event, order, first_place, last_place)
        balance = entry.balance_after - entry.amount + before
        singly = []
        for minute in minutes:
            balance += minute.amount
            singly.append(_single(minute, entry, MicroUsd(balance)))
        shown += reversed(singly)
    return shown


async def _creation_of(
    connection: Connection, account_id: AccountId, events: Sequence[Sequence[MinuteLine]]
) -> dict[VpsId, Instant]:
    """Return when the VPSs were created of which minutes may begin at one instant and not be told in that order."""
    vps_ids = {line.vps_id for lines in events if comes_in_stretches(lines) for line in lines}
    found = await vpss_by_ids(connection, account_id, vps_ids) if vps_ids else {}
    return {vps_id: row.vps.created_at for vps_id, row in found.items()}


def _single(minute: Minute, entry: EntryOfLines, balance: MicroUsd) -> TransactionDetails:
    return TransactionDetails(
        id=f"{minute.vps_id}:{minute.n}",
        at=entry.recorded_at,
        kind=entry.kind,
        amount=minute.amount,
        balance_after=balance,
        description="",
        owed=MicroUsd(0),
        vps_id=minute.vps_id,
        cause=minute.cause,
        begins_at=minute.at,
        n_from=minute.n,
        n_to=minute.n,
        minutes=1,
        price_hourly=minute.line.price_hourly,
        cost=minute.cost,
    )


def _shown(runtime: Runtime, account_id: AccountId, one: Transaction, vpss: Mapping[VpsId, Vps]) -> TransactionDetails:
    if one.vps_id is None:
        return _of_funds(runtime, account_id, one)
    assert one.price_hourly is not None
    count = "1 minute" if one.minutes == 1 else f"{one.minutes} minutes"
    about = f"{count} of {_name(vpss, one.vps_id)} at {exact_usd(one.price_hourly)} USD an hour"
    return TransactionDetails(
        id=f"{one.vps_id}:{one.n_from}" if one.n_from == one.n_to else f"{one.vps_id}:{one.n_from}-{one.n_to}",
        at=one.recorded_at,
        kind=one.kind,
        amount=one.amount,
        balance_after=one.balance_after,
        description=not_charged(about, one.cause, one.minutes or 0),
        owed=one.owed,
        vps_id=one.vps_id,
        token_id=one.token_id,
        cause=one.cause,
        begins_at=one.at,
        n_from=one.n_from,
        n_to=one.n_to,
        minutes=one.minutes,
        price_hourly=one.price_hourly,
        cost=one.cost,
    )


def _of_funds(runtime: Runtime, account_id: AccountId, one: Transaction | EntryOfLines) -> TransactionDetails:
    reason = None
    if one.reason is not None:
        assert one.event_id is not None, "only minutes are told without an event of their own"
        reason = runtime.sealer.unseal(account_id, one.event_id, "reason", one.reason)
    return TransactionDetails(
        id=str(one.event_id),
        at=one.recorded_at,
        kind=one.kind,
        amount=one.amount,
        balance_after=one.balance_after,
        description=with_reason(KINDS[one.kind], reason),
        owed=one.owed,
        payment_id=one.payment_id,
        reason=reason,
        corrects=one.corrects,
    )


def _name(vpss: Mapping[VpsId, Vps], vps_id: VpsId) -> str:
    return vpss[vps_id].name if vps_id in vpss else str(vps_id)
