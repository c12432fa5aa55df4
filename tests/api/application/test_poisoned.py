"""One customer of whom something cannot be read costs nobody else a mail, a statement, an end or an erasure."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from uuid import uuid4

import msgspec
import psycopg
import pytest
from structlog.testing import capture_logs

from adapters.mail.folder import FolderMailer
from adapters.sealing.sealer import AccountSealer
from adapters.simulated.clock import ManualClock
from adapters.simulated.host import SimulatedHost
from api.application.alerts.evaluation import raise_due
from api.application.alerts.sending import send_due
from api.application.closing import finish_closings
from api.application.erasing import finish_erasures
from api.application.runtime import Runtime
from api.application.statements.issuing import issue_due
from domain.accounts.events import AccountClosed, AccountErased
from domain.alerts.events import AddressGiven, AddressVerified, AlertRaised, ThresholdsSet
from domain.codec import decode
from domain.ids import (
    AccountId,
    HostId,
    PaymentId,
    StreamId,
    account_stream,
    alerts_stream,
    vps_stream,
    wallet_stream,
)
from domain.money import ZERO, MicroUsd
from domain.statements.month import month_of
from domain.time import Instant
from domain.wallet.events import FundsTaken
from tests.api.houses import ROOMY, running_runtime
from tests.api.poisoned import PoisonedStore
from tests.projections.history import History
from tests.storage import OpenStorage

pytestmark = pytest.mark.anyio

POISONED = 3
TRIES = 6
"""In 70 seconds: after 1, 2, 4 … 32 seconds."""


class Customers:
    """Three customers of whom some streams cannot be read, and after them one like everybody else."""

    def __init__(self, runtime: Runtime, clock: ManualClock, folder: Path) -> None:
        assert isinstance(runtime.store, PoisonedStore)
        assert isinstance(runtime.sealer, AccountSealer)
        self.clock, self.store, self.folder = clock, runtime.store, folder
        self.history = History(runtime.store, runtime.sealer)
        self.history.clock = clock
        self.runtime = msgspec.structs.replace(
            runtime,
            worker=msgspec.structs.replace(runtime.worker, settle=nothing),
            mailer=FolderMailer(folder, clock),
        )
        self.ids: Sequence[AccountId] = ()

    async def registered(self, poisoned: Callable[[AccountId], StreamId]) -> AccountId:
        """Register them; return the last, whose streams can all be read."""
        self.ids = sorted([await self.history.registered(micros=100) for _ in range(POISONED + 1)])
        self.store.poisoned = {poisoned(account_id) for account_id in self.ids[:POISONED]}
        return self.ids[POISONED]


async def nothing(_account_id: AccountId) -> bool:
    return False


@pytest.fixture
async def here(open_storage: OpenStorage, tmp_path: Path) -> AsyncIterator[Customers]:
    clock = ManualClock()
    storage, host = await open_storage(clock, PoisonedStore), SimulatedHost(HostId(uuid4()), clock)
    with capture_logs():
        async with running_runtime(storage, ROOMY, clock, host) as runtime:
            yield Customers(runtime, clock, tmp_path)


async def recorded(here: Customers, kind: type) -> list[AccountId]:
    events = [decode(one) for one in await here.store.read_feed(0, 10_000)]
    return [event.account_id for event in events if isinstance(event, kind)]  # type: ignore[attr-defined]


async def let_pauses_grow(here: Customers, go: Callable[[Runtime], object]) -> tuple[int, int]:
    """Go rounds for 70 seconds, one a second; return how often what is poisoned was tried, and how often told."""
    here.store.tried = 0
    with capture_logs() as logs:
        for _ in range(70):
            await go(here.runtime)  # type: ignore[misc]
            here.clock.advance(1)
    return here.store.tried, len(logs)


async def test_alerts_are_raised_for_everybody_else(here: Customers) -> None:
    healthy = await here.registered(alerts_stream)
    for account_id in here.ids:
        await to_be_told(here, account_id)

    assert await raise_due(here.runtime) == 1
    assert set(await recorded(here, AlertRaised)) == {healthy}
    tried, told = await let_pauses_grow(here, raise_due)
    assert tried == told == TRIES * POISONED


async def test_mail_is_sent_to_everybody_else(here: Customers) -> None:
    await here.registered(account_stream)
    for account_id in here.ids:
        await to_be_told(here, account_id)
    assert await raise_due(here.runtime) == POISONED + 1

    assert await send_due(here.runtime) == 1
    assert len(list(here.folder.iterdir())) == 1
    tried, told = await let_pauses_grow(here, send_due)
    assert tried == told == TRIES * POISONED


async def test_statements_are_issued_to_everybody_else(here: Customers) -> None:
    healthy = await here.registered(wallet_stream)
    here.clock.advance(40 * 86_400)
    assert len(await here.runtime.statements.due(month_of(here.clock.now()), None, 10)) == POISONED + 1
    poisoned = [account_id for account_id in here.ids if account_id != healthy]
    async with await psycopg.AsyncConnection.connect(here.runtime.database_url, autocommit=True) as connection:
        # Numbers that contradict each other: a statement of them is never issued.
        await connection.execute(
            "UPDATE read_models.entry SET balance_after = 1 WHERE account_id = ANY(%s)", [poisoned]
        )

    assert await issue_due(here.runtime) == 1
    assert [one.statement.account_id for one in await here.runtime.statements.issued(healthy)] == [healthy]
    _, told = await let_pauses_grow(here, issue_due)
    assert told == TRIES * POISONED


async def test_closings_are_finished_of_everybody_else(here: Customers) -> None:
    await here.registered(wallet_stream)
    for account_id in here.ids:
        await here.history.record(account_id, (account_stream(account_id), AccountClosed(account_id, Instant(1))))

    assert await finish_closings(here.runtime) == 1
    tried, told = await let_pauses_grow(here, finish_closings)
    assert tried == told == TRIES * POISONED


async def test_one_vps_that_cannot_be_deleted_keeps_no_other_of_a_closed_account_on(here: Customers) -> None:
    account_id = await here.history.registered(micros=100)
    vps_ids = [await here.history.vps_requested(account_id) for _ in range(3)]
    await here.history.record(account_id, (account_stream(account_id), AccountClosed(account_id, Instant(1))))
    here.store.poisoned = {vps_stream(vps_ids[0])}

    assert await finish_closings(here.runtime) == 0

    deleted = [one.stream for one in await here.store.read_feed(0, 10_000) if "vps-delete" in one.type]
    assert set(deleted) == {vps_stream(vps_id) for vps_id in vps_ids[1:]}


async def test_everybody_else_who_is_to_be_forgotten_is(here: Customers) -> None:
    await here.registered(wallet_stream)
    for account_id in here.ids:
        stream = account_stream(account_id)
        await here.history.record(
            account_id,
            (stream, AccountClosed(account_id, Instant(1))),
            (stream, AccountErased(account_id, "requested", Instant(2))),
        )

    assert await finish_erasures(here.runtime) == 1
    tried, told = await let_pauses_grow(here, finish_erasures)
    assert tried == told == TRIES * POISONED


async def to_be_told(here: Customers, account_id: AccountId) -> None:
    """Have a bank take back what they paid, of which they want to be told."""
    stream = alerts_stream(account_id)
    told = AddressGiven(account_id, "ops@example.com"), ThresholdsSet(account_id, (MicroUsd(1),))
    verified = AddressVerified(account_id, uuid4())
    await here.history.record(account_id, *((stream, event) for event in (*told, verified)))
    taken = FundsTaken(account_id, PaymentId(uuid4()), "dispute", "du_1", MicroUsd(100), ZERO, ZERO)
    await here.history.record(account_id, (wallet_stream(account_id), taken))
