"""Blobs: texts that events only tell of, offloaded before something is recorded and read again when they are wanted."""

from collections.abc import Collection, Mapping

from domain.blobs import Blob, Blobs, OffloadedText, checked, offload, opened_blob
from domain.events import ERASED
from domain.ids import AccountId, StreamId
from domain.ports import Sealer


async def sweep_blobs(blobs: Blobs) -> int:
    """Delete what was kept for something that was never recorded after all; return how many were looked at."""
    looked_at = 0
    while seen := await blobs.sweep():
        looked_at += seen
    return looked_at


async def offloaded_texts(
    sealer: Sealer,
    stream: StreamId,
    account_id: AccountId,
    texts: Mapping[str, str | None],
    *,
    always: Collection[str] = (),
) -> dict[str, OffloadedText]:
    """Return by field which of the texts are to be kept beside an event; see ``offload``. Nothing is kept yet."""
    await sealer.load([account_id], create=True)
    return offload(stream, account_id, texts, sealer, always=always)


async def texts_of(
    blobs: Blobs, sealer: Sealer, stream: StreamId, account_id: AccountId, told: Mapping[str, str | Blob | None]
) -> dict[str, str | None]:
    """Return by field the texts that an event has or tells of; ``ERASED`` where the account's key is gone.

    Raises BlobBroken, SealBroken, StoreFailed.
    """
    offloaded = {field: one for field, one in told.items() if isinstance(one, Blob)}
    texts = {field: one for field, one in told.items() if not isinstance(one, Blob)}
    if not offloaded:
        return texts
    await sealer.load([account_id])
    kept = await blobs.find(stream, offloaded.keys())
    if sealer.is_erased(account_id):
        return texts | dict.fromkeys(offloaded, ERASED)  # What was kept was destroyed with the key.
    for field, one in offloaded.items():
        texts[field] = opened_blob(stream, account_id, field, checked(one, kept.get(field)), sealer)
    return texts
