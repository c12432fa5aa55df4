"""A made-up year of one account with ten VPSs: decided minute by minute, written as the appends would have been.

``LITEVPS_BENCH_DAYS`` tells how many days of it there are.

``python -m tests.bench.made_up_year FOLDER`` makes it in a folder, for measuring against it again and again.
"""

import asyncio
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg

from adapters.embedded_postgres.server import SERVICE_ROLE, EmbeddedPostgres
from adapters.ids import TimeOrderedIds
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.migrate import migrate
from adapters.sealing.sealer import AccountSealer
from api.application.aggregate_cache import SNAPSHOT_EVERY_EVENTS, CachedAggregate, stored_state
from domain.codec import encode
from domain.deciding import Decision, recorded_in
from domain.events import Metadata
from domain.ids import AccountId, StreamId, VpsId, wallet_stream
from domain.leaf_hash import leaf_hash
from domain.money import MicroUsd
from domain.ports import Claim
from domain.time import MINUTE, Instant, seconds
from domain.wallet.commands import CreditFunds
from domain.wallet.funds import credit_funds
from domain.wallet.metering import settle
from domain.wallet.minutes import minute_claims
from domain.wallet.proofs import Proof
from domain.wallet.wallet import FOLD, Wallet
from projections.catalogue import READ_MODELS
from projections.generation import install
from tests.bench import sizes
from tests.bench.made_up_fleet import (
    CONTEXT,
    Fleet,
    after,
    arrived,
    book_of,
    founded,
    made_up_id,
    opened_sealer,
    start_id,
)
from tests.bench.made_up_ledger import copy_rows

YEAR = Fleet(accounts=2, vpss_per_account=10, hosts=1)
"""Account 0 is the one that has had a year; account 1 came at its end."""
BEGINS = Instant(1_735_689_600_000_000)
"""2025-01-01T00:00:00Z."""
MINUTES = sizes.days() * 24 * 60
ENDS = Instant(BEGINS + MINUTES * MINUTE)
TICK_AFTER = seconds(20)
"""How long after its beginning a minute is settled."""
CREDITED_EVERY, CREDIT = 30 * 24 * 60, MicroUsd(31_000_000)
ACCOUNT, NEWCOMER = YEAR.account_id(0), YEAR.account_id(1)


class Dated(msgspec.Struct, frozen=True):
    """A decision about one account's streams, and when it was made and recorded."""

    at: Instant
    account_id: AccountId
    decision: Decision


async def made_up_year(service_url: str, owner_url: str) -> None:
    """Put the year into a database that is migrated and empty; takes some minutes."""
    async with opened_sealer(service_url) as sealer, PostgresEventStore(service_url) as store:
        await sealer.load([ACCOUNT, NEWCOMER], create=True)
        folded = await asyncio.to_thread(write_year, owner_url, sealer)
        # A service that had been there all the while would have left one, at worst so many events ago.
        await store.save_snapshots({wallet_stream(ACCOUNT): (folded.version, stored_state(folded))})


def year() -> Iterator[Dated]:
    """Yield all that is decided in the year, in order."""
    book = book_of(YEAR)
    for decision in founded(YEAR):
        yield Dated(BEGINS, ACCOUNT, decision)
    wallet = Wallet()
    for decision in arrived(YEAR, 0, BEGINS):
        yield Dated(BEGINS, ACCOUNT, decision)
        wallet = after(wallet, ACCOUNT, decision)
    for minute in range(MINUTES):
        at = Instant(BEGINS + minute * MINUTE + TICK_AFTER)
        events = settle(wallet, _proofs(at), book, at).events
        if minute % CREDITED_EVERY == 0:
            events = (
                *events,
                *credit_funds(wallet, CreditFunds(made_up_id("credit", YEAR.accounts + minute), CREDIT, "made up")),
            )
        decision = recorded_in(wallet_stream(ACCOUNT), *events)
        yield Dated(at, ACCOUNT, decision)
        wallet = after(wallet, ACCOUNT, decision)
    for decision in arrived(YEAR, 1, ENDS):
        yield Dated(ENDS, NEWCOMER, decision)


def write_year(owner_url: str, sealer: AccountSealer) -> CachedAggregate:
    """Write the year with everything that follows from it, as its appends would have.

    Returns the wallet as it was so many events before the end that a snapshot of it is the oldest there can be.
    """
    heads: defaultdict[StreamId, int] = defaultdict(int)
    minutes: dict[VpsId, int] = {}
    claims: list[Claim] = []
    position, ids = 0, TimeOrderedIds()
    columns = "position, stream, version, type, payload, metadata, happened_at, recorded_at, leaf_hash"
    wallet, snapshot = Wallet(), CachedAggregate(FOLD, 0, Wallet())
    with psycopg.connect(owner_url) as owner:
        with owner.cursor() as cursor, cursor.copy(f"COPY ledger.event ({columns}) FROM STDIN".encode()) as copy:
            for dated in year():
                claims += dated.decision.claims
                for stream, event in dated.decision.events:
                    position += 1
                    heads[stream] += 1
                    metadata = Metadata(id=ids.new(), actor=CONTEXT.actor, account_id=dated.account_id)  # type: ignore[arg-type]
                    new = encode(stream, heads[stream], event, metadata, dated.at, sealer)
                    row = (new.stream, new.version, new.type, new.payload, new.metadata)
                    digest = leaf_hash(
                        position, new.stream, new.version, new.type, dated.at, dated.at, new.metadata, new.payload
                    )
                    copy.write_row((position, *row, dated.at, dated.at, digest))
                    minutes |= {claim.vps_id: claim.n_to for claim in minute_claims(event)}
                if dated.account_id == ACCOUNT:
                    wallet = after(wallet, ACCOUNT, dated.decision)
                    if dated.at < ENDS - SNAPSHOT_EVERY_EVENTS * MINUTE:
                        snapshot = CachedAggregate(FOLD, heads[wallet_stream(ACCOUNT)], wallet)
        copy_rows(owner, "COPY ledger.stream_head (stream, version) FROM STDIN", heads.items())
        copy_rows(owner, "COPY ledger.minute_head (vps, n) FROM STDIN", minutes.items())
        rows = ((claim.scope, claim.key, claim.holder) for claim in claims)
        copy_rows(owner, "COPY ledger.claim (scope, key, holder) FROM STDIN", rows)
        owner.execute("UPDATE ledger.head SET position = %s, recorded_at = %s", [position, ENDS])
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE ledger.event")
    return snapshot


def _proofs(until: Instant) -> dict[VpsId, Proof]:
    vpss = range(YEAR.vpss_per_account)
    return {YEAR.vps_id(vps): Proof(1, start_id(vps), cpu_ns=until, proven_until=until) for vps in vpss}


async def _make_in(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres")
    await asyncio.to_thread(server.start)
    try:
        await asyncio.to_thread(migrate, server.owner_url, server.service_password)
        await asyncio.to_thread(install, server.owner_url, READ_MODELS)
        await made_up_year(server.url(SERVICE_ROLE), server.owner_url)
    finally:
        await asyncio.to_thread(server.stop)


if __name__ == "__main__":
    asyncio.run(_make_in(Path(sys.argv[1])))
