"""Erasing an account: whatever crashes on the way, in the end nobody can tell whose it was, and all else stands."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from adapters.mail.folder import FolderMailer
from adapters.postgres.event_store import PostgresEventStore
from adapters.sealing.sealer import AccountSealer
from adapters.simulated.clock import ManualClock
from adapters.simulated.faults import SimulatedCrash
from api.application import fail_points as failpoints
from api.application.erasing import LEASE_S, close_if_open, erase_account, find_closed, finish_erasures
from api.application.operators import OPERATOR
from api.application.repository import AggregateRepository, CommandContext
from api.application.runtime import Runtime
from domain.accounts.account import account_ref
from domain.accounts.commands import EraseAccount
from domain.accounts.erasing import NotErasable
from domain.accounts.events import AccountErased, ErasureFinished
from domain.alerts.ports import Mail
from domain.codec import decode, decode_metadata
from domain.errors import Invalid, NotFound
from domain.events import ERASED
from domain.ids import AccountId, StreamId, account_stream
from domain.ports import EventStore, Recorded
from tests.api.houses import House, house
from tests.api.http.test_closing import leave
from tests.databases import Databases

pytestmark = pytest.mark.anyio

ASKED = EraseAccount("requested")
OPERATES = CommandContext(actor=OPERATOR)


def another_process(here: House) -> Runtime:
    """Return what a process over the same store has that has just started."""
    runtime = here.runtime
    assert isinstance(runtime.sealer, AccountSealer)
    sealer = AccountSealer(runtime.sealer._master_key, runtime.sealer._keys)
    aggregates = AggregateRepository(runtime.store, sealer, runtime.clock, runtime.ids)
    return msgspec.structs.replace(runtime, sealer=sealer, aggregates=aggregates)


async def email_of(runtime: Runtime, account_id: AccountId) -> str:
    ref = account_ref(account_id)
    return (await runtime.aggregates.load(ref)).of(ref).email


async def kinds(here: House, account_id: AccountId) -> list[str]:
    events = await here.runtime.store.read_feed(0, 10_000)
    return [
        type(event).__name__
        for one in events
        if isinstance(event := decode(one), AccountErased | ErasureFinished)
        and decode_metadata(one).account_id == account_id
    ]


def mails_in(folder: Path) -> list[bool]:
    """Return of each mail whether it is to Bob."""
    return [b"bob@" in mail.read_bytes() for mail in folder.iterdir()]


@pytest.mark.parametrize("name", failpoints.ALL_OF_ERASURE)
async def test_after_a_crash_here_the_account_is_erased_once(databases: Databases, name: str, tmp_path: Path) -> None:
    def crash() -> None:
        raise SimulatedCrash

    clock = ManualClock()
    async with house(databases, clock=clock) as here:
        mails = FolderMailer(tmp_path, here.runtime.clock)
        here.runtime = msgspec.structs.replace(here.runtime, leftovers=(mails,))
        ann, bob = await here.register("Ann@example.com"), await here.register("bob@example.com")
        for to in ("ann@example.com", "bob@example.com"):
            await mails.send(Mail(to, "hello", "text", f"{to}", "low-balance"))
        await leave(ann)
        with failpoints.armed(name, crash), suppress(SimulatedCrash):
            await erase_account(another_process(here), ann.id, ASKED, OPERATES)
            pytest.fail("never came to this fail point")

        clock.advance(LEASE_S + 1)
        later = another_process(here)
        if name == "erase:before-append":
            assert await email_of(later, ann.id) == "Ann@example.com"
            await erase_account(later, ann.id, ASKED, OPERATES)
        else:
            assert await finish_erasures(later) == (0 if name == "erased:after-append" else 1)

        assert await email_of(another_process(here), ann.id) == ERASED
        assert await email_of(another_process(here), bob.id) == "bob@example.com"
        assert await kinds(here, ann.id) == ["AccountErased", "ErasureFinished"]
        assert mails_in(tmp_path) == [True]
        assert await finish_erasures(later) == 0


async def test_the_process_that_erases_forgets_what_it_had_read(databases: Databases) -> None:
    async with house(databases) as here:
        ann = await here.register("ann@example.com")
        await leave(ann)
        assert await email_of(here.runtime, ann.id) == "ann@example.com"
        await erase_account(here.runtime, ann.id, ASKED, OPERATES)
        assert await email_of(here.runtime, ann.id) == ERASED


async def test_what_was_forgotten_takes_no_room_any_more(databases: Databases) -> None:
    async with house(databases) as here:
        await here.register("ann@example.com")
        streams = here.runtime.aggregates._streams
        assert streams._size_bytes > 0
        here.runtime.aggregates.forget()
        assert (streams._size_bytes, streams._measured) == (0, {})


async def test_what_is_being_read_while_an_account_is_erased_is_not_kept(databases: Databases) -> None:
    async with house(databases) as here:
        ann = await here.register("ann@example.com")
        await leave(ann)
        runtime, ref = another_process(here), account_ref(ann.id)
        aggregates = AggregateRepository(ErasesMeanwhile(runtime.store), runtime.sealer, runtime.clock, runtime.ids)  # type: ignore[arg-type]
        ErasesMeanwhile.aggregates = aggregates
        await aggregates.load(ref)
        assert ref.stream not in aggregates._streams._kept


class ErasesMeanwhile:
    """A store that is read from while something is erased."""

    aggregates: AggregateRepository

    def __init__(self, store: EventStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def read_streams(self, after: Sequence[tuple[StreamId, int]]) -> list[Recorded]:
        recorded = await self._store.read_streams(after)
        self.aggregates.forget()
        return recorded


async def test_an_open_account_is_refused_and_closed_first_where_that_is_asked_for(databases: Databases) -> None:
    async with house(databases) as here:
        ann = await here.register("ann@example.com")
        with pytest.raises(NotErasable):
            await erase_account(here.runtime, ann.id, ASKED, OPERATES)
        assert await email_of(here.runtime, ann.id) == "ann@example.com"

        await close_if_open(here.runtime, ann.id)
        await close_if_open(here.runtime, ann.id)
        assert await erase_account(here.runtime, ann.id, ASKED, OPERATES)
        assert await erase_account(here.runtime, ann.id, ASKED, OPERATES)
        assert await kinds(here, ann.id) == ["AccountErased", "ErasureFinished"]


async def test_a_closed_account_is_found_by_the_address_that_it_had_until_it_is_erased(databases: Databases) -> None:
    async with house(databases) as here:
        ann = await here.register("ann@example.com")
        with pytest.raises(NotFound):
            await find_closed(here.runtime, "ann@example.com")
        await leave(ann)
        assert await find_closed(here.runtime, "ANN@example.com") == ann.id

        again = await here.register("ann@example.com")
        await leave(again)
        with pytest.raises(Invalid, match="invalid"):
            await find_closed(here.runtime, "ann@example.com")
        await erase_account(here.runtime, ann.id, ASKED, OPERATES)
        assert await find_closed(here.runtime, "ann@example.com") == again.id


async def test_an_erased_account_is_nobody_and_its_address_is_free(databases: Databases) -> None:
    async with house(databases) as here:
        ann = await here.register("ann@example.com")
        await leave(ann)
        await erase_account(here.runtime, ann.id, ASKED, OPERATES)

        assert (await ann.ask("GET", "/api/me")).status_code == 401
        await here.register("ann@example.com")


async def test_an_account_that_cannot_be_read_keeps_no_other_from_being_found_by_its_address(
    databases: Databases,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with house(databases) as here:
        bob, ann = await here.register("bob@example.com"), await here.register("ann@example.com")
        for account in (bob, ann):
            await leave(account)
        was = PostgresEventStore.read_streams

        async def poisoned(store: PostgresEventStore, after: Sequence[tuple[StreamId, int]]) -> list[Recorded]:
            if account_stream(bob.id) in dict(after):
                raise RuntimeError("an event that nobody can read")
            return await was(store, after)

        monkeypatch.setattr(PostgresEventStore, "read_streams", poisoned)
        with capture_logs():
            assert await find_closed(here.runtime, "ann@example.com") == ann.id
            with pytest.raises(NotFound):
                await find_closed(here.runtime, "bob@example.com")
