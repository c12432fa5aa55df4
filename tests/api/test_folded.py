"""States are kept in memory by their size, as long as something may follow."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from adapters.memory.event_store import MemoryEventStore
from adapters.simulated.clock import ManualClock
from api.ledger import Context, Ledger
from domain.deciding import Fold, View, recorded_in
from domain.events import Actor, Event
from domain.ids import AccountId, StreamId
from domain.money import MicroUsd
from domain.ports import Recorded
from domain.wallet.events import FundsCredited
from tests.api.test_ledger import COUNT, IDS, Room, count, counted, open_one

pytestmark = pytest.mark.anyio


class Watched(MemoryEventStore):
    """Takes note of what is read from the beginning: what was not in memory."""

    def __init__(self) -> None:
        super().__init__(ManualClock())
        self.read_anew: list[UUID] = []

    async def read_streams(self, after: Sequence[tuple[UUID, int]]) -> list[Recorded]:
        self.read_anew += [stream for stream, version in after if not version]
        return await super().read_streams(after)


TEXT: Fold[str] = Fold(
    initial="", evolve=lambda text, event: text + event.reason if isinstance(event, FundsCredited) else text
)


async def test_states_are_kept_by_their_size_and_not_by_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.folded.STATES_BYTES_MAX", 10_000)
    room, store = Room(), Watched()
    ledger = room.ledger(store)
    large = [View(StreamId(IDS.new()), TEXT) for _ in range(5)]
    for view in large:
        credited = FundsCredited(AccountId(view.stream), IDS.new(), MicroUsd(1), "x" * 4_000)
        await record(ledger, view, credited)
    small = [View(StreamId(IDS.new()), COUNT) for _ in range(100)]
    for one in small:
        await open_one(ledger, one)

    store.read_anew.clear()
    await ledger.read(*small)
    assert store.read_anew == [], "a hundred small ones fit"
    await ledger.read(*large[:3])
    assert store.read_anew == [view.stream for view in large[:3]], "and three large ones did not beside two others"


async def test_a_state_that_grows_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.folded.STATES_BYTES_MAX", 10_000)
    room, store = Room(), Watched()
    ledger = room.ledger(store)
    other, growing = counted(), View(StreamId(IDS.new()), TEXT)
    await open_one(ledger, other)
    for _ in range(16):
        await record(ledger, growing, FundsCredited(AccountId(other.stream), IDS.new(), MicroUsd(1), "x" * 1_000))

    store.read_anew.clear()
    await ledger.read(other)
    assert store.read_anew == [other.stream]


async def test_a_state_that_has_ended_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    room, store = Room(), Watched()
    ledger = room.ledger(store)
    ends: Fold[int] = Fold(initial=0, evolve=count, has_ended=lambda total: total >= 2)
    view = View(StreamId(IDS.new()), ends)
    await open_one(ledger, view)
    store.read_anew.clear()
    await open_one(ledger, view)
    assert store.read_anew == [], "it was kept as long as it went on"

    assert (await ledger.read(view)).of(view) == 2
    assert store.read_anew == [view.stream]


async def record(ledger: Ledger, view: View[str], event: Event) -> None:
    context = Context(actor=Actor("service", part="test"), account_id=AccountId(view.stream))
    await ledger.execute([view], lambda _sight, _now: recorded_in(view.stream, event), context)
