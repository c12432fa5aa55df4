"""Of what waits in a queue, each costs only itself, whatever happens at it."""

import asyncio
from collections.abc import Iterator, Sequence
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from adapters.memory.leases import LeaseTable, MemoryLeases
from adapters.simulated.clock import ManualClock
from api.application.queues import PAUSES, Backoffs, Later, Queue, RoundEnds
from domain.ports import StoreUnable, StoreUnavailable

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Lay out no traceback for people, which takes longer than all else."""
    with capture_logs():
        yield


class Waiting:
    """Numbers that wait, some of them poisoned, and who was dealt with in which order."""

    def __init__(self, *numbers: int, poisoned: Sequence[int] = (), problem: type[Exception] = ValueError) -> None:
        self.clock = ManualClock()
        self.table = LeaseTable(self.clock)
        self.numbers = set(numbers)
        self.poisoned = set(poisoned)
        self.problem = problem
        self.tried: list[int] = []
        self.asked = 0

    async def waiting(self, after: int | None, limit: int) -> Sequence[int]:
        """Return so many that wait past one."""
        self.asked += 1
        return sorted(number for number in self.numbers if after is None or number > after)[:limit]

    async def work(self, number: int) -> bool:
        """Deal with one."""
        self.tried.append(number)
        await asyncio.sleep(0)
        if number in self.poisoned:
            raise self.problem("poisoned")
        if number not in self.numbers:
            return False
        self.numbers.remove(number)
        return True

    def queue(self, *, at_once_max: int = 1, batch_max: int = 100) -> Queue[int]:
        """Return what works them off in one process."""
        leases = MemoryLeases(self.table, uuid4())
        return Queue(
            "test",
            leases,
            self.waiting,
            lambda number: self.work(number),
            lease_key=_key,
            lease_s=60.0,
            at_once_max=at_once_max,
            batch_max=batch_max,
        )


def _key(number: int) -> UUID:
    return UUID(int=number)


async def test_however_many_are_poisoned_at_the_head_those_behind_are_dealt_with_in_the_same_round() -> None:
    here = Waiting(*range(250), poisoned=range(240))

    assert await here.queue(batch_max=50, at_once_max=8).work_off() == 10
    assert here.numbers == set(range(240))


async def test_a_poisoned_one_is_tried_again_after_pauses_that_grow_and_told_once_a_try() -> None:
    here = Waiting(1, poisoned=[1])
    queue = here.queue()
    tried_at = []
    with capture_logs() as logs:
        for second in range(70):
            before = len(here.tried)
            await queue.work_off()
            if len(here.tried) > before:
                tried_at.append(second)
            here.clock.advance(1)

    assert tried_at == [0, 1, 3, 7, 15, 31, 63]
    assert len([one for one in logs if one["event"] == "failed, left for later"]) == len(tried_at)
    assert len(logs) == len(tried_at)


def test_pauses_double_up_to_an_hour_however_often_it_fails() -> None:
    doubled = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048]

    assert [PAUSES.after(failures) for failures in range(14)] == [*doubled, 3600, 3600]
    assert PAUSES.after(10**6) == 3600


async def test_a_poisoned_one_is_tried_once_an_hour_at_last() -> None:
    here = Waiting(1, poisoned=[1])
    queue = here.queue()
    for failures in range(20):
        await queue.work_off()
        assert len(here.tried) == failures + 1
        here.clock.advance(PAUSES.after(failures) - 1)
        await queue.work_off()
        assert len(here.tried) == failures + 1, "it was not left alone for so long"
        here.clock.advance(1)


def test_what_has_no_lease_is_left_alone_for_no_longer_than_was_said_and_forgotten_once_done() -> None:
    clock = ManualClock()
    pauses = Backoffs[str](clock, pause_max_s=60)
    for pause_s in (1, 2, 4, 8, 16, 32, 60, 60):
        pauses.failed("it")
        clock.advance(pause_s - 1)
        assert not pauses.is_over("it")
        clock.advance(1)
        assert pauses.is_over("it")
    assert pauses.is_over("another")

    pauses.done("it")
    pauses.failed("it")
    clock.advance(1)
    assert pauses.is_over("it"), "it was told anew, from the first pause on"


async def test_what_is_dealt_with_at_last_is_forgotten() -> None:
    here = Waiting(1, poisoned=[1])
    queue = here.queue()
    await queue.work_off()
    here.poisoned.clear()
    here.clock.advance(1)

    assert await queue.work_off() == 1
    assert here.table.rows == {}


async def test_what_nothing_is_to_be_done_about_yet_is_left_alone_without_a_word() -> None:
    here = Waiting(1, poisoned=[1], problem=Later)
    with capture_logs() as logs:
        await here.queue().work_off()
        await here.queue().work_off()

    assert (here.tried, logs) == ([1], [])


async def test_two_at_once_deal_with_each_once() -> None:
    here = Waiting(*range(20))

    assert sum(await asyncio.gather(*(here.queue(at_once_max=4).work_off() for _ in range(3)))) == 20
    assert here.numbers == set()


async def test_no_more_are_dealt_with_at_once_than_may_be() -> None:
    here, at_once, most = Waiting(*range(20)), 0, 0

    async def work(number: int) -> bool:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.001)
        at_once -= 1
        here.numbers.remove(number)
        return True

    here.work = work  # type: ignore[method-assign]
    assert await here.queue(at_once_max=3).work_off() == 20
    assert most == 3


@pytest.mark.parametrize("problem", [StoreUnavailable, RoundEnds])
async def test_what_all_would_meet_ends_the_round(problem: type[Exception]) -> None:
    here = Waiting(*range(10), poisoned=[5], problem=problem)

    with pytest.raises(problem):
        await here.queue(batch_max=4).work_off()

    assert here.tried == [0, 1, 2, 3, 4, 5]


async def test_what_the_store_cannot_do_for_one_is_of_that_one() -> None:
    here = Waiting(*range(10), poisoned=[3], problem=StoreUnable)

    assert await here.queue().work_off() == 9


async def test_a_round_that_is_cut_is_gone_on_with_where_it_was() -> None:
    here, begun = Waiting(*range(6)), asyncio.Event()
    was = here.work

    async def slow(number: int) -> bool:
        if number < 3:
            here.tried.append(number)
            begun.set()
            await asyncio.Event().wait()
        return await was(number)

    here.work = slow  # type: ignore[method-assign]
    queue = here.queue()
    for _ in range(3):
        going = asyncio.create_task(queue.work_off())
        await begun.wait()
        begun.clear()
        going.cancel()
        await asyncio.wait([going])
        here.clock.advance(100)

    async with asyncio.timeout(10):
        assert await queue.work_off() == 3, "the slow ones at the head have had their time"
    assert here.tried == [0, 1, 2, 3, 4, 5]
    here.work = was  # type: ignore[method-assign]
    assert await queue.work_off() == 3, "and are come to again in the next round"


async def test_a_queue_is_asked_for_a_batch_at_a_time() -> None:
    here = Waiting(*range(100), poisoned=range(100))
    await here.queue(batch_max=10).work_off()

    assert here.asked == 11
