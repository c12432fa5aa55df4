"""Blobs: text of customers that is too large for an event, kept sealed beside the events, which tell its digest."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from domain.ids import AccountId, EventId, StreamId
from domain.ports import Sealer

INLINE_BYTES_MAX = 4_096
"""Of a text in UTF-8 that stands in the event itself."""


class Blob(msgspec.Struct, frozen=True):
    """What an event tells of a text that is kept beside it."""

    size_bytes: int
    """Of the text, in UTF-8."""
    sha256: str
    """In hexadecimal, of the text as it is kept, sealed: checked without a key, it tells nothing once that is gone."""


class KeptBlob(msgspec.Struct, frozen=True):
    """A text as it is kept: sealed for its account, its stream and the field of the event that tells of it."""

    stream: StreamId
    field: str
    account_id: AccountId
    sealed: str


class OffloadedText(msgspec.Struct, frozen=True):
    """A text that is kept beside the event about to be recorded: what the event says of it, and what is kept."""

    blob: Blob
    kept: KeptBlob


class BlobBroken(Exception):
    """What is kept is not what the event tells of, or nothing is kept: the ledger is to be audited."""


class Blobs(Protocol):
    """Keeps sealed texts beside the events, by stream and field."""

    async def keep(self, blobs: Sequence[KeptBlob]) -> None:
        """Have these kept, all or none; what is kept already stays. Raises StoreFailed."""
        ...

    async def find(self, stream: StreamId, fields: Collection[str]) -> dict[str, str]:
        """Return by field what is kept of a stream, sealed. Raises StoreFailed."""
        ...

    async def sweep(self) -> int:
        """Delete some of what was kept an hour ago or longer, and is of a stream in which nothing was ever recorded.

        So it goes with what is sealed under a key that was erased meanwhile, whatever was recorded.
        Returns how many were looked at, 0 once there is nothing more to look at: whoever asks again goes on.
        """
        ...


def sealed_blob(stream: StreamId, account_id: AccountId, field: str, text: str, sealer: Sealer) -> KeptBlob:
    """Return a text as it is kept; the key of the account must be at hand. Raises AccountIsErased."""
    # A stream is no event: what is sealed here opens in no event, and the other way round.
    return KeptBlob(stream, field, account_id, sealer.seal(account_id, EventId(stream), field, text))


def opened_blob(stream: StreamId, account_id: AccountId, field: str, sealed: str, sealer: Sealer) -> str:
    """Return the text of what is kept, ``ERASED`` where the key is gone; ``load`` comes before. Raises SealBroken."""
    return sealer.unseal(account_id, EventId(stream), field, sealed)


def offload(
    stream: StreamId,
    account_id: AccountId,
    texts: Mapping[str, str | None],
    sealer: Sealer,
    *,
    always: Collection[str] = (),
) -> dict[str, OffloadedText]:
    """Return by field those of the texts that are kept beside the event: too large for it, or ``always`` there.

    Nothing is kept yet. The key of the account must be at hand. Raises AccountIsErased.
    """
    offloaded = {}
    for field, text in texts.items():
        if text is not None and (field in always or len(text.encode()) > INLINE_BYTES_MAX):
            kept = sealed_blob(stream, account_id, field, text, sealer)
            offloaded[field] = OffloadedText(Blob(len(text.encode()), digest_of(kept.sealed)), kept)
    return offloaded


def checked(blob: Blob, sealed: str | None) -> str:
    """Return what is kept. Raises BlobBroken unless it is what the event tells of."""
    if sealed is None:
        raise BlobBroken("what an event tells of is not kept: run `litevps audit verify`")
    if digest_of(sealed) != blob.sha256:
        raise BlobBroken("what is kept is not what an event tells of: run `litevps audit verify`")
    return sealed


def digest_of(sealed: str) -> str:
    """Return the digest of what is kept as an event tells it."""
    return hashlib.sha256(sealed.encode()).hexdigest()
