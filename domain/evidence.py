"""Evidence: what an audit compares with the events, as the store held it at one moment."""

from typing import Protocol
from uuid import UUID

import msgspec

from domain.ids import AccountId, StreamId, VpsId
from domain.time import Instant


class Evidence(msgspec.Struct, frozen=True):
    """Everything beside the events that follows from them, and what guards them; all as of one moment."""

    position: int
    """The position that the store counts as its last."""
    recorded_at: Instant
    """The time that the store counts as its last."""
    stream_heads: dict[StreamId, int]
    minute_heads: dict[VpsId, int]
    claim_holders: dict[str, tuple[UUID, ...]]
    """Who holds claims that never expire, by scope; one entry a claim."""
    missing_guards: tuple[str, ...]
    """What ought to keep events from being changed and is not in force, in words."""
    blobs: dict[StreamId, dict[str, tuple[AccountId, str]]]
    """What is kept beside the events that they tell of, by stream and field: whose it is, and its digest."""


class EvidenceSource(Protocol):
    """Where evidence comes from."""

    async def gather(self) -> Evidence:
        """Return the evidence of this moment."""
        ...
