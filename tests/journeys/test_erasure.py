"""Erasing an account of a real service: nothing that the person gave is readable afterwards, and the rest stands."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import psycopg
import pytest
from httpx import ASGITransport, AsyncClient

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.evidence import PostgresEvidence
from adapters.turnstile import TEST_TOKEN
from api.application import closing
from api.application.alerts.sending import send_due
from api.application.audit.exporters import EXPORTERS
from api.application.audit.verify import verify
from api.application.erasing import erase_account, finish_erasures
from api.application.jobs import input_texts
from api.application.operators import OPERATOR, credit
from api.application.repository import CommandContext
from api.application.runtime import Runtime
from api.application.seed_data import ensure_plans
from api.http.app import create_app
from domain.accounts.account import account_ref
from domain.accounts.commands import EraseAccount
from domain.alerts.ports import Mail
from domain.blobs import offload, sealed_blob
from domain.compute.events import SnapshotRequested, SnapshotTaken, VpsUserDataEnded
from domain.compute.vps import vps_ref
from domain.deciding import Decision, recorded_in
from domain.events import ERASED, Actor
from domain.exec.events import JobRequested
from domain.exec.job import Job, job_ref
from domain.ids import AccountId, JobId, SnapshotId, VpsId, job_stream
from domain.money import MicroUsd
from projections.catalogue import READ_MODELS
from projections.generation import rebuild
from tests.api.houses import PASSWORD, Customer, House
from tests.api.http.test_ssh_keys import KEY
from tests.journeys.stored_houses import following, stored_house

pytestmark = pytest.mark.anyio

ADDRESS = "198.51.100.77"
MARKERS = {
    name: f"{name}marker7f3e"
    for name in (
        "email",
        "alerts",
        "vps",
        "label",
        "script",
        "key",
        "comment",
        "token",
        "agent",
        "command",
        "env",
        "stdin",
        "out",
        "template",
        "description",
        "boot",
        "renamed",
        "relabelled",
        "snapshot",
        "said",
        "reached",
    )
} | {"address": ADDRESS, "userhome": "/home/markerperson7f3e"}
_OF_VPSS = ("template", "description", "boot", "snapshot", "said", "reached")
_READABLE = ("email", "alerts", "renamed", "relabelled", "key", "token", *_OF_VPSS)


def forms_of(marker: str) -> set[bytes]:
    """Return how a marker may stand somewhere: plain, in hexadecimal, in base64 at each offset, in a URL, in UTF-16."""
    plain = marker.encode()
    # Of base64, what is the same whatever stands before and after.
    base64s = {base64.b64encode(b"x" * n + plain)[4 if n else 0 : -4].lstrip(b"=") for n in range(3)}
    urlsafe = {text.translate(bytes.maketrans(b"+/", b"-_")) for text in base64s}
    return {
        plain,
        plain.hex().encode(),
        plain.hex().upper().encode(),
        quote(marker, safe="").encode(),
        *base64s,
        *urlsafe,
    }


def dumped(owner_url: str) -> dict[str, bytes]:
    """Return every row of every table of ours, as COPY writes it, and large texts in the clear."""
    with psycopg.connect(owner_url) as owner:
        tables = owner.execute(
            """SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class AS c JOIN pg_namespace AS n
               ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
               AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"""
        ).fetchall()
        told = {}
        for (table,) in tables:
            with owner.cursor().copy(f"COPY {table} TO STDOUT".encode()) as copy:
                told[table] = b"".join(bytes(part) for part in copy)
        return told


def found_in(places: dict[str, bytes]) -> set[tuple[str, str]]:
    """Return which marker stands where."""
    return {
        (name, place)
        for name, marker in MARKERS.items()
        for place, content in places.items()
        if any(form in content for form in forms_of(marker))
    }


def home_of(folder: Path) -> dict[str, bytes]:
    """Return every file of the home folder."""
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@asynccontextmanager
async def called_from(here: House, address: str) -> AsyncIterator[House]:
    transport = ASGITransport(app=create_app(here.runtime), client=(address, 4711))
    headers = {"user-agent": MARKERS["agent"]}
    async with AsyncClient(transport=transport, base_url="http://litevps.test", headers=headers) as client:
        yield House(here.runtime, client, None)  # type: ignore[arg-type]


async def register(here: House) -> Customer:
    email = f"{MARKERS['email']}@example.com"
    body = {"email": email, "password": PASSWORD, "cf-turnstile-response": TEST_TOKEN}
    made = (await here.client.post("/api/auth/register", json=body)).json()
    return Customer(here, AccountId(UUID(made["id"])), email, made["token"])


async def live(here: House, ann: Customer) -> list[str]:
    """Do whatever leaves something personal behind; return answers in which it is told."""
    await credit(here.runtime, ann.id, MicroUsd(10_000_000), "welcome")
    public_key = f"{' '.join(KEY.split()[:2])} {MARKERS['comment']}@host"
    key = await post(ann, "/api/ssh-keys", {"name": MARKERS["key"], "public_key": public_key})
    wanted = {"name": MARKERS["vps"], "ssh_key_ids": [key["id"]], "labels": {MARKERS["label"]: "x"}}
    wanted["plan_id"] = await here.nano()
    made = await post(ann, "/api/vps", wanted | {"user_data": "#!/bin/sh\n" + f"echo {MARKERS['script']}\n" * 300})
    vps_id = VpsId(UUID(made["id"]))
    boot = "#!/bin/sh\n" + f"echo {MARKERS['boot']}\n" * 300
    template = {"name": MARKERS["template"], "description": MARKERS["description"], "user_data": boot}
    await post(ann, "/api/templates", template | {"vcpu": 1, "memory_mb": 512, "disk_gb": 10})
    await ann.ask("POST", "/api/vps", json={"name": "b", "template": MARKERS["template"]})
    changed = {"name": MARKERS["renamed"], "labels": {MARKERS["relabelled"]: MARKERS["relabelled"]}, "ttl_minutes": 60}
    changed["egress"] = {"allow": [f"{MARKERS['reached']}.example.org"]}
    assert (await ann.ask("PATCH", f"/api/vps/{made['id']}", json=changed)).status_code == 200
    await be_kept(here, ann, vps_id)
    token = await post(ann, "/api/tokens", {"name": MARKERS["token"]})
    by_token = {"authorization": f"Bearer {token['token']}"}
    assert (await here.client.get("/api/vps", headers=by_token)).status_code == 200
    await ann.ask("PUT", "/api/billing/alerts", json={"email": f"{MARKERS['alerts']}@example.org"})
    await run(here, ann, vps_id)
    paths = (
        *("/api/me", "/api/vps", "/api/ssh-keys", "/api/tokens", "/api/billing/alerts", "/api/billing/transactions"),
        *("/api/templates", f"/api/vps/{made['id']}/snapshots"),
    )
    return [(await ann.ask("GET", path)).text for path in paths]


async def post(ann: Customer, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await ann.ask("POST", path, json=body, headers={"idempotency-key": path})
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def run(here: House, ann: Customer, vps_id: VpsId) -> None:
    """Record a command, and keep what it read and its output, as if it had run in a guest."""
    runtime, job_id = here.runtime, JobId(uuid4())
    stream, stdin = job_stream(job_id), MARKERS["stdin"] * 2_000
    texts = {"command": f"echo {MARKERS['command']}", "env": json.dumps({"SECRET": MARKERS["env"]}), "stdin": stdin}
    offloaded = offload(stream, ann.id, texts, runtime.sealer)
    assert offloaded.keys() == {"stdin"}
    job = JobRequested(
        job_id=job_id,
        account_id=ann.id,
        vps_id=vps_id,
        token_id=None,
        generation=1,
        requested_at=runtime.clock.now(),
        command=texts["command"],
        timeout_seconds=30,
        background=False,
        cwd=MARKERS["userhome"],
        env=texts["env"],
        stdin=offloaded["stdin"].blob,
        user="root",
    )
    decision = Decision(events=((stream, job),), blobs=(offloaded["stdin"].kept,))
    context = CommandContext(Actor("account", ann.id), ann.id, address=ADDRESS, user_agent=MARKERS["agent"])
    await runtime.aggregates.execute((job_ref(job_id),), lambda _loaded, _now: decision, context)
    assert await input_texts(runtime.worker, await job_of(runtime, job_id)) == texts
    text = base64.b64encode(MARKERS["out"].encode()).decode()
    output = [sealed_blob(stream, ann.id, field, text, runtime.sealer) for field in ("stdout", "stderr")]
    await runtime.worker.blobs.keep(output)


async def be_kept(here: House, ann: Customer, vps_id: VpsId) -> None:
    """Record a snapshot of a VPS's disk, and what its guest said of its user data, as if it had run."""
    now, ref = here.runtime.clock.now(), vps_ref(vps_id)
    snapshot_id = SnapshotId(uuid4())
    events = (
        VpsUserDataEnded(outcome="failed", output=MARKERS["said"], at=now),
        SnapshotRequested(snapshot_id, MARKERS["snapshot"], 10, now),
        SnapshotTaken(snapshot_id, now),
    )
    context = CommandContext(Actor("account", ann.id), ann.id, address=ADDRESS, user_agent=MARKERS["agent"])
    await here.runtime.aggregates.execute((ref,), lambda *_: recorded_in(ref.stream, *events), context)


async def job_of(runtime: Runtime, job_id: JobId) -> Job:
    ref = job_ref(job_id)
    job = (await runtime.aggregates.load(ref)).of(ref)
    assert job is not None
    return job


async def mail_to(here: House, ann: Customer) -> None:
    """Have a mail in the folder to each of her addresses."""
    mailer = here.runtime.mailer
    assert mailer is not None
    assert await send_due(here.runtime) == 2, "its own code, and the one for its alerts"
    await mailer.send(Mail(ann.email, "hello", "text", "id@example.com", "low-balance"))


async def soon_reads(here: House, account_id: AccountId) -> str:
    """Return what another process reads as her address, once it was told of the erasure."""
    ref = account_ref(account_id)
    for _ in range(200):
        email = (await here.runtime.aggregates.load(ref)).of(ref).email
        if email == ERASED:
            break
        await asyncio.sleep(0.01)
    return email


def rows_of(owner_url: str, account_id: AccountId) -> dict[str, int]:
    """Return which tables beside the events have rows of an account, but for the row that says its key was erased."""
    with psycopg.connect(owner_url) as owner:
        tables = owner.execute(
            """SELECT format('%I.%I', table_schema, table_name) FROM information_schema.columns
               WHERE column_name = 'account_id' AND table_schema NOT IN ('read_models', 'sealing')"""
        ).fetchall()
        counts = {
            table: owner.execute(
                f"SELECT count(*) FROM {table} WHERE account_id = %s".encode(), [account_id]
            ).fetchone()
            for (table,) in tables
        }
        counts["answers"] = owner.execute(
            "SELECT count(*) FROM ledger.claim WHERE scope = 'idempotency' AND holder = %s", [account_id]
        ).fetchone()
        counts["last uses"] = owner.execute("SELECT count(*) FROM tokens.last_use").fetchone()
        return {table: row[0] for table, row in counts.items() if row is not None and row[0]}


async def test_of_an_erased_account_nothing_personal_is_readable_anywhere(
    database_url: str, owner_url: str, tmp_path: Path
) -> None:
    async with (
        stored_house(database_url, tmp_path) as first,
        stored_house(database_url, tmp_path) as second,
        following(first.runtime, database_url),
        called_from(first, ADDRESS) as here,
    ):
        await ensure_plans(first.runtime)
        ann = await register(here)
        told = await live(here, ann)
        await mail_to(here, ann)
        assert {name for name in _READABLE if any(MARKERS[name] in text for text in told)} == set(_READABLE)
        assert found_in(dumped(owner_url)) == set(), "what is personal is sealed from the first event on"
        assert {name for name, _ in found_in(home_of(tmp_path))} == {"email", "alerts"}, "mails, in development"
        # Another process knows of her too.
        ref = account_ref(ann.id)
        assert (await second.runtime.aggregates.load(ref)).of(ref).email == ann.email

        assert set(rows_of(owner_url, ann.id)) == {"work.blob", "answers", "last uses"}
        await ann.ask("DELETE", "/api/me", json={"password": PASSWORD})
        await closing.finish_closings(here.runtime)
        operates = CommandContext(actor=OPERATOR)
        assert await erase_account(here.runtime, ann.id, EraseAccount("requested"), operates)

        assert await soon_reads(second, ann.id) == ERASED
        assert found_in(dumped(owner_url) | home_of(tmp_path)) == set()
        assert rows_of(owner_url, ann.id) == {}
        assert (await ann.ask("GET", "/api/me")).status_code == 401
        again = await register(here)
        assert again.id != ann.id
        assert await finish_erasures(second.runtime) == 0

        await stands(database_url, owner_url)


async def stands(database_url: str, owner_url: str) -> None:
    """Check that the ledger is sound, read models come out as they are, and exports tell nothing of her."""
    async with PostgresEventStore(database_url) as store:
        report = await verify(store, PostgresEvidence(database_url), database_url, READ_MODELS)
        assert report.ok, [check for check in report.checks if check.faults]
        before = rows_in(owner_url)
        await rebuild(owner_url, store, READ_MODELS)
        assert rows_in(owner_url) == before
        batches = [batch async for batch in store.replay()]
    for exporter in (kind() for kind in EXPORTERS.values()):
        exported = "".join(exporter.exported(event) for batch in batches for event in batch)
        assert found_in({"export": exported.encode()}) == set()


def rows_in(owner_url: str) -> dict[str, list[bytes]]:
    return {table: sorted(rows.split(b"\n")) for table, rows in dumped(owner_url).items() if "read_models" in table}
