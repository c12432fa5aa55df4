"""Blobs: texts that events only tell of, put aside before something is recorded and read again when they are wanted."""

from collections.abc import Collection, Mapping

from domain.blobs import Aside, Blob, Blobs, checked, opened_blob, put_aside
from domain.events import ERASED
from domain.ids import AccountId, StreamId
from domain.ports import Sealer


async def sweep_blobs(blobs: Blobs) -> int:
    """Delete what was kept for something that was never recorded after all; return how many were looked at."""
    looked_at = 0
    while seen := await blobs.sweep():
        looked_at += seen
    return looked_at


async def aside_of(
    sealer: Sealer,
    stream: StreamId,
    account_id: AccountId,
    texts: Mapping[str, str | None],
    *,
    always: Collection[str] = (),
) -> dict[str, Aside]:
    """Return by field which of the texts are to be kept beside an event; see ``put_aside``. Nothing is kept yet."""
    await sealer.load([account_id], create=True)
    return put_aside(stream, account_id, texts, sealer, always=always)


async def texts_of(
    blobs: Blobs, sealer: Sealer, stream: StreamId, account_id: AccountId, told: Mapping[str, str | Blob | None]
) -> dict[str, str | None]:
    """Return by field the texts that an event has or tells of; ``ERASED`` where the account's key is gone.

    Raises BlobBroken, SealBroken, StoreFailed.
    """
    aside = {field: one for field, one in told.items() if isinstance(one, Blob)}
    texts = {field: one for field, one in told.items() if not isinstance(one, Blob)}
    if not aside:
        return texts
    await sealer.load([account_id])
    kept = await blobs.find(stream, aside.keys())
    if sealer.is_erased(account_id):
        return texts | dict.fromkeys(aside, ERASED)  # What was kept was destroyed with the key.
    for field, one in aside.items():
        texts[field] = opened_blob(stream, account_id, field, checked(one, kept.get(field)), sealer)
    return texts
