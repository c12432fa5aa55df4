"""The stream reader: reads of many callers in one round trip."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

from adapters.postgres.binary import UUID, bytes_array, int4_array, int8
from adapters.postgres.read_pool import ReadPool
from adapters.postgres.recorded_rows import READ_STREAMS, recorded_rows
from domain.ids import StreamId
from domain.ports import READ_BYTES_MAX, Recorded, may_be_cut

READS_MAX = 2
"""Round trips under way at once; callers who come meanwhile share the next one."""

_BYTES_MAX = int8(READ_BYTES_MAX)

_Caller = tuple[dict[StreamId, int], "asyncio.Future[list[Recorded]]"]
"""The version after which it wants each stream, and its answer."""


class StreamReader:
    """Gathers callers. What a caller is given was read after it asked, in one snapshot of all its streams."""

    def __init__(self, pool: ReadPool) -> None:
        self._pool = pool
        self._callers: list[_Caller] = []
        self._reads: set[asyncio.Task[None]] = set()
        self._is_due = False

    async def read(self, after: Sequence[tuple[StreamId, int]]) -> list[Recorded]:
        """Return the events of each stream past the version told; see ``EventStore.read_streams``."""
        if not after:
            return []
        wanted: dict[StreamId, int] = {}
        _want(after, wanted)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Recorded]] = loop.create_future()
        self._callers.append((wanted, answer))
        if not self._is_due and len(self._reads) < READS_MAX:
            self._is_due = True
            loop.call_soon(self._start)  # After every caller that is ready to run now.
        return await answer

    def _start(self) -> None:
        self._is_due = False
        callers = [caller for caller in self._callers if not caller[1].done()]
        self._callers = []
        if callers:
            read = asyncio.create_task(self._read_for(callers))
            self._reads.add(read)
            read.add_done_callback(self._finish)

    def _finish(self, read: asyncio.Task[None]) -> None:
        self._reads.discard(read)
        if self._callers and not self._is_due:
            self._start()

    async def _read_for(self, callers: list[_Caller]) -> None:
        least: dict[StreamId, int] = {}
        for wanted, _ in callers:
            _want(wanted.items(), least)
        try:
            result = await self._pool.run(
                READ_STREAMS,
                [bytes_array(UUID, (stream.bytes for stream in least)), int4_array(least.values()), _BYTES_MAX],
            )
        except Exception as error:  # noqa: BLE001 — told to every caller.
            for _, answer in callers:
                if not answer.done():
                    answer.set_exception(error)
            return
        events = recorded_rows(result)
        if len(callers) > 1 and may_be_cut(events):
            # One of them has much to read. Each is asked for by itself: only so it can tell whether there is more.
            for caller in callers:
                await self._read_for([caller])
            return
        _share(callers, events)


def _want(after: Iterable[tuple[StreamId, int]], wanted: dict[StreamId, int]) -> None:
    for stream, version in after:
        wanted[stream] = min(version, wanted.get(stream, version))


def _share(callers: list[_Caller], events: list[Recorded]) -> None:
    """Give each caller its part of the events, which are in order of position."""
    if len(callers) == 1:
        _tell(callers[0][1], events)
        return
    by_stream: defaultdict[StreamId, list[Recorded]] = defaultdict(list)
    for event in events:
        by_stream[event.stream].append(event)
    for wanted, answer in callers:
        mine = [e for stream, version in wanted.items() for e in by_stream.get(stream, ()) if e.version > version]
        if len(wanted) > 1:
            mine.sort(key=_position)
        _tell(answer, mine)


def _tell(answer: "asyncio.Future[list[Recorded]]", events: list[Recorded]) -> None:
    if not answer.done():
        answer.set_result(events)


def _position(event: Recorded) -> int:
    return event.position
