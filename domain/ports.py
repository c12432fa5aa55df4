"""Ports that every context shares: the event store, the sealing of personal fields, clock and ids."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from domain.ids import AccountId, EventId, StreamId, VpsId
from domain.time import Instant


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as it is handed to the store: names, numbers and text, nothing to interpret."""

    stream: StreamId
    version: int
    """Its place in the stream: one more than the last, the first is 1."""
    type: str
    payload: str
    metadata: str
    happened_at: Instant


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event as the store gives it back."""

    position: int
    """Its place among all events: 1, 2, 3 …, without gaps, in the order of commits."""
    stream: StreamId
    version: int
    type: str
    payload: str
    metadata: str
    happened_at: Instant
    recorded_at: Instant
    """Never earlier than that of any lower position."""
    leaf_hash: bytes


class Claim(msgspec.Struct, frozen=True, gc=False):
    """Something only one append can have: an e-mail address, a payment, an idempotency key."""

    scope: str
    key: bytes
    holder: UUID
    """What holds it, such as the id of an account."""
    kept: bytes | None = None
    """Bytes kept beside it, such as the sealed answer of a request."""
    expires_at: Instant | None = None
    """From when on it is free again; None: never."""


class MinuteClaim(msgspec.Struct, frozen=True, gc=False):
    """Minutes ``n_from`` to ``n_to`` of a VPS: refused unless ``n_from − 1`` is the last used one."""

    vps_id: VpsId
    n_from: int
    n_to: int


class Append(msgspec.Struct, frozen=True):
    """What is recorded wholly or not at all."""

    events: tuple[NewEvent, ...]
    claims: tuple[Claim, ...] = ()
    releases: tuple[tuple[str, bytes], ...] = ()
    """Claims (scope, key) that are given up, such as the e-mail address of a closed account."""
    minutes: tuple[MinuteClaim, ...] = ()
    low_priority: bool = False
    """Whether nobody waits for its answer: it may then come after appends that were asked for later."""


class Appended(msgspec.Struct, frozen=True):
    """Where and when an append was recorded."""

    first_position: int
    last_position: int
    recorded_at: Instant


class VersionConflict(Exception):
    """A stream has moved on since it was read: read it again and decide again."""


class ClaimTaken(Exception):
    """Another append has this claim already."""

    def __init__(self, scope: str, key: bytes) -> None:
        super().__init__(f"claim taken: {scope}")
        self.scope = scope
        self.key = key


class MinuteTaken(Exception):
    """A minute of a VPS is used already, or is not the next one."""


READ_BYTES_MAX = 8 * 1024 * 1024
"""Payload and metadata of events that are read at once; the last of them may go past it."""


def may_be_cut(events: Sequence[Recorded]) -> bool:
    """Return whether a read of streams may have ended at ``READ_BYTES_MAX``: then more is read past these events.

    A character has at most 4 bytes, so what is not that long is all there is; of what is, another read tells.
    """
    return sum(len(event.payload) + len(event.metadata) for event in events) >= READ_BYTES_MAX // 4


class StoreFailed(Exception):
    """The store did not do what it was asked for. Nothing of it is recorded, unless OutcomeUnknown says otherwise."""


class StoreUnavailable(StoreFailed):
    """The store cannot be reached just now: whatever it is asked for waits."""


class OutcomeUnknown(StoreUnavailable):
    """The store was lost while it recorded an append: it may be recorded or not. Read the streams to know."""


class StoreUnable(StoreFailed):
    """The store is there, and cannot do this now: no room, no memory, too long, in the way of others.

    It befalls what was asked for, not whatever else is asked for; asked again later it may succeed.
    """


class TooLargeToStore(StoreFailed):
    """One thing is larger than the store can hold or handle in one piece: it will never be recorded as it is."""


class EventStore(Protocol):
    """The one place of truth. Any number of processes may use it at once."""

    async def append(self, append: Append) -> Appended:
        """Record all of it or none.

        Releases come before claims. Raises VersionConflict, ClaimTaken or MinuteTaken; then nothing of it is
        recorded. Raises ValueError for a NUL character in text, StoreUnavailable while the store is away, StoreUnable
        or TooLargeToStore where it answers that it cannot do this one. An append of no events records its claims; its
        last position is then the head, its first one past it.
        """
        ...

    async def read_streams(self, after: Sequence[tuple[StreamId, int]]) -> list[Recorded]:
        """Return the events of each stream past the version told, in order of position, as of one moment.

        At least one where there is any, and no more once they have ``READ_BYTES_MAX`` together, see ``may_be_cut``.
        """
        ...

    async def versions(self, streams: Collection[StreamId]) -> dict[StreamId, int]:
        """Return the last version of each of these streams that has any event."""
        ...

    async def read_stream(self, stream: StreamId, after: int, until: int) -> list[Recorded]:
        """Return the events of one stream past version ``after`` up to version ``until``, in order.

        At least one where there is any, and no more once they have ``READ_BYTES_MAX`` together.
        """
        ...

    async def read_feed(self, after: int, limit: int) -> list[Recorded]:
        """Return the next events past a position, in order of position, none left out between them.

        At least one where there is any, at most ``limit``, and fewer once they have ``READ_BYTES_MAX`` together: only
        an empty list says that there are no more.
        """
        ...

    async def head(self) -> int:
        """Return the last position, 0 in an empty store."""
        ...

    async def wait_past(self, position: int, timeout_s: float) -> int:
        """Wait until the head is past ``position`` or the time is over; return the head."""
        ...

    async def find_claim(self, scope: str, key: bytes) -> Claim | None:
        """Return who holds a claim that has not expired."""
        ...


class Snapshots(Protocol):
    """A cache of folded states: losing every one of them changes no answer."""

    async def load_snapshots(self, streams: Collection[StreamId]) -> dict[StreamId, tuple[int, bytes]]:
        """Return, of those streams that have one, the version that was folded last, and the state as bytes."""
        ...

    async def save_snapshots(self, snapshots: Mapping[StreamId, tuple[int, bytes]]) -> None:
        """Keep states, each with its version, in place of older ones of the same streams."""
        ...


class Sealer(Protocol):
    """Seals personal fields under a key per account, so that erasing the key erases them."""

    async def load(self, account_ids: Collection[AccountId], *, create: bool = False) -> None:
        """Have the keys of these accounts at hand for ``seal`` and ``unseal``; make missing ones if told."""
        ...

    def seal(self, account_id: AccountId, event_id: EventId, field: str, text: str) -> str:
        """Return ``text`` sealed, bound to the event and the field. The key must be at hand. Raises AccountIsErased."""
        ...

    def unseal(self, account_id: AccountId, event_id: EventId, field: str, sealed: str) -> str:
        """Return the text that was sealed for this place, or ``ERASED`` where the key is gone; ``load`` comes before.

        Raises SealBroken for text that was sealed for another account, event or field.
        """
        ...

    def is_erased(self, account_id: AccountId) -> bool:
        """Return whether the key of an account was erased; ``load`` comes before."""
        ...

    async def erase(self, account_id: AccountId) -> None:
        """Delete an account's key for good, and have every process let go of it."""
        ...

    def keyed_hash(self, scope: str, text: str) -> bytes:
        """Return 32 bytes, under the master key, by which ``text`` is found without being stored."""
        ...


class Clock(Protocol):
    """What time it is."""

    def now(self) -> Instant:
        """Return the present instant."""
        ...


class Ids(Protocol):
    """Where new ids come from."""

    def new(self) -> UUID:
        """Return a new UUIDv7."""
        ...
