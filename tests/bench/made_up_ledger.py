"""A made-up ledger for benchmarks: what a busy service would have recorded, put into a database by COPY."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TypeVar
from uuid import UUID

import msgspec
import psycopg

from domain import ids
from domain.accounts.account import EMAIL_CLAIM
from domain.accounts.events import AccountRegistered, SshKeyAdded
from domain.compute import events as compute
from domain.events import Actor, Event, Metadata, personal_fields, stored_name
from domain.exec.events import JobFinished, JobRequested
from domain.ids import AccountId, EventId, HostId, JobId, PlanId, SshKeyId, StreamId, VpsId
from domain.leaf_hash import leaf_hash
from domain.money import MicroUsd, charge_for_minutes
from domain.sealed import header_of
from domain.time import MINUTE, Instant
from domain.wallet.events import FundsCredited, MeterStarted, MinuteLine, MinutesMetered, VpsAdmitted, WalletOpened
from domain.wallet.minutes import minute_claims

PLAN = PlanId(UUID(int=1))
HOST = HostId(UUID(int=2))
HOURLY = MicroUsd(4_200)
SEALED = "A" * 60
"""As long as what is encrypted of a text; what it says is not asked for. For whom and where it is sealed is put before
it once its event has an id."""
BEGAN = Instant(1_700_000_000_000_000)
VPSS_PER_ACCOUNT = 2
JOBS_PER_VPS = 100
KEYS_PER_ACCOUNT = 5
_to_json = msgspec.json.Encoder()

T = TypeVar("T", bound=msgspec.Struct)
Line = tuple[StreamId, Event]


def made_up_events(accounts: int, minutes: int) -> Iterator[Line]:
    """Yield the lives of so many accounts side by side: each has two VPSs, some jobs, and its minutes."""
    numbers = range(1, accounts + 1)
    for number in numbers:
        yield from _arrival(number)
    for minute in range(1, minutes + 1):
        for number in numbers:
            yield _minute(number, minute)
            if minute % max(1, minutes // JOBS_PER_VPS) == 0:
                yield from _job(number, minute)


def put_into(owner_url: str, lines: Iterable[Line]) -> int:
    """Write events with everything that follows from them, as an append would have; return how many."""
    versions: defaultdict[StreamId, int] = defaultdict(int)
    minute_heads: dict[VpsId, int] = {}
    holders: list[AccountId] = []
    position, at = 0, BEGAN
    with psycopg.connect(owner_url) as owner:
        copied = "position, stream, version, type, payload, metadata, happened_at, recorded_at, leaf_hash"
        with owner.cursor() as cursor, cursor.copy(f"COPY ledger.event ({copied}) FROM STDIN".encode()) as copy:
            for stream, event in lines:
                position += 1
                at = Instant(at + 10)
                versions[stream] += 1
                event_id, account_id = EventId(UUID(int=position)), getattr(event, "account_id", None)
                name = stored_name(type(event))
                payload = _to_json.encode(_sealed_in_place(event, account_id, event_id)).decode()
                metadata = _metadata(account_id, event_id)
                digest = leaf_hash(position, stream, versions[stream], name, at, at, metadata, payload)
                copy.write_row((position, stream, versions[stream], name, payload, metadata, at, at, digest))
                minute_heads |= {claim.vps_id: claim.n_to for claim in minute_claims(event)}
                if isinstance(event, AccountRegistered):
                    holders.append(event.account_id)
        copy_rows(owner, "COPY ledger.stream_head (stream, version) FROM STDIN", versions.items())
        copy_rows(owner, "COPY ledger.minute_head (vps, n) FROM STDIN", minute_heads.items())
        claims = ((EMAIL_CLAIM, holder.bytes, holder) for holder in holders)
        copy_rows(owner, "COPY ledger.claim (scope, key, holder) FROM STDIN", claims)
        owner.execute("UPDATE ledger.head SET position = %s, recorded_at = %s", [position, at])
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE ledger.event")
    return position


def copy_rows(owner: psycopg.Connection, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
    """Write rows by a COPY statement."""
    with owner.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for row in rows:
            copy.write_row(row)


def _metadata(account_id: AccountId | None, event_id: EventId) -> str:
    address = None if account_id is None else SEALED
    metadata = Metadata(event_id, Actor(kind="service", part="bench"), account_id, address=address)
    return _to_json.encode(_sealed_in_place(metadata, account_id, event_id)).decode()


def _sealed_in_place(struct: T, account_id: AccountId | None, event_id: EventId) -> T:
    """Return an event or metadata whose personal text says that it was sealed there."""
    told = {name: text for name in _personal_fields(type(struct)) if isinstance(text := getattr(struct, name), str)}
    if not told or account_id is None:
        return struct
    return msgspec.structs.replace(
        struct, **{name: f"{header_of(account_id, event_id, name)}.{text}" for name, text in told.items()}
    )


_personal_fields = cache(personal_fields)


def _account(number: int) -> AccountId:
    return AccountId(UUID(int=(number << 32) + 1))


def _vps(number: int, which: int) -> VpsId:
    return VpsId(UUID(int=(number << 32) + 2 + which))


def _arrival(number: int) -> Iterator[Line]:
    account_id = _account(number)
    wallet = ids.wallet_stream(account_id)
    yield StreamId(account_id), AccountRegistered(account_id, SEALED, SEALED)
    yield wallet, WalletOpened(account_id)
    yield wallet, FundsCredited(account_id, UUID(int=number), MicroUsd(50_000_000), SEALED)
    for key_number in range(KEYS_PER_ACCOUNT):
        key_id = SshKeyId(UUID(int=(number << 32) + 50 + key_number))
        key = SshKeyAdded(account_id, key_id, SEALED, SEALED, "SHA256:" + "A" * 43, BEGAN)
        yield ids.ssh_keys_stream(account_id), key
    for which in range(VPSS_PER_ACCOUNT):
        yield from _vps_that_runs(account_id, _vps(number, which), wallet)


def _vps_that_runs(account_id: AccountId, vps_id: VpsId, wallet: StreamId) -> Iterator[Line]:
    stream = StreamId(vps_id)
    yield wallet, VpsAdmitted(account_id, vps_id, 1, PLAN, None, BEGAN)
    yield (
        stream,
        compute.VpsRequested(
            vps_id=vps_id,
            account_id=account_id,
            name=SEALED,
            plan_id=PLAN,
            vcpu=1,
            memory_mb=512,
            disk_gb=10,
            image="lite",
            ssh_key_ids=(),
            authorized_keys=SEALED,
            user_data=None,
            labels=None,
            token_id=None,
            created_at=BEGAN,
        ),
    )
    yield stream, compute.VpsPlaced(host_id=HOST, ssh_host="127.0.0.1", ssh_port=22_000, at=BEGAN)
    yield stream, compute.VpsPrepared(host_key_public="ssh-ed25519 " + "A" * 68, at=BEGAN)
    yield stream, compute.VpsLaunched(generation=1, start_id=str(vps_id), at=BEGAN)
    yield stream, compute.VpsRunning(generation=1, start_id=str(vps_id), cpu_ns=1, at=BEGAN)
    yield wallet, MeterStarted(vps_id, 1, BEGAN)


def _minute(number: int, minute: int) -> Line:
    account_id = _account(number)
    at, amount = Instant(BEGAN + (minute - 1) * MINUTE), charge_for_minutes(HOURLY, minute, minute)
    lines = tuple(
        MinuteLine(_vps(number, which), minute, minute, at, PLAN, 1, HOURLY, amount)
        for which in range(VPSS_PER_ACCOUNT)
    )
    return ids.wallet_stream(account_id), MinutesMetered(account_id, lines)


def _job(number: int, minute: int) -> Iterator[Line]:
    account_id = _account(number)
    for which in range(VPSS_PER_ACCOUNT):
        vps_id = _vps(number, which)
        job_id = JobId(UUID(int=(number << 32) + (minute << 8) + (which << 4) + 5))
        requested = JobRequested(
            job_id=job_id,
            account_id=account_id,
            vps_id=vps_id,
            token_id=None,
            generation=1,
            requested_at=BEGAN,
            command=SEALED,
            timeout_seconds=30,
            background=False,
        )
        finished = JobFinished(
            job_id=job_id,
            account_id=account_id,
            vps_id=vps_id,
            end="done",
            exit_code=0,
            duration_ms=142,
            stdout_bytes=100,
            stdout_sha256="0" * 64,
            stderr_bytes=0,
            stderr_sha256="0" * 64,
            truncated=False,
            at=BEGAN,
        )
        yield StreamId(job_id), requested
        yield StreamId(job_id), finished
