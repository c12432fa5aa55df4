"""A text beside an event is the one that the event tells of, and opens nowhere else."""

import asyncio
from uuid import UUID

import msgspec
import pytest

from adapters.sealing.key_tables import MemoryKeyTable
from adapters.sealing.master_key import MasterKey
from adapters.sealing.sealer import AccountSealer
from domain.blobs import INLINE_BYTES_MAX, BlobBroken, checked, offload, opened_blob
from domain.ids import AccountId, StreamId
from domain.sealed import SealBroken

ALICE, BOB = AccountId(UUID(int=1)), AccountId(UUID(int=2))
JOB, OTHER_JOB = StreamId(UUID(int=3)), StreamId(UUID(int=4))
LONG = "ä" * (INLINE_BYTES_MAX // 2) + "."


@pytest.fixture
def sealer() -> AccountSealer:
    sealer = AccountSealer(MasterKey(bytes(32)), MemoryKeyTable())
    asyncio.run(sealer.load([ALICE, BOB], create=True))
    return sealer


def test_what_is_larger_than_an_event_takes_is_put_aside(sealer: AccountSealer) -> None:
    texts = {"command": LONG, "env": LONG[:-1], "stdin": "short", "cwd": None}

    aside = offload(JOB, ALICE, texts, sealer)

    assert len(LONG) < INLINE_BYTES_MAX < len(LONG.encode()), "bytes count, not characters"
    assert aside.keys() == {"command"}
    assert aside["command"].blob.size_bytes == INLINE_BYTES_MAX + 1


def test_some_texts_are_never_in_the_event(sealer: AccountSealer) -> None:
    assert offload(JOB, ALICE, {"stdin": "", "env": "x"}, sealer, always=("stdin", "more")).keys() == {"stdin"}


def test_what_is_put_aside_opens_again(sealer: AccountSealer) -> None:
    aside = offload(JOB, ALICE, {"stdin": LONG}, sealer)["stdin"]

    assert LONG not in aside.kept.sealed
    sealed = checked(aside.blob, aside.kept.sealed)
    assert opened_blob(JOB, ALICE, "stdin", sealed, sealer) == LONG


@pytest.mark.parametrize("place", [(OTHER_JOB, ALICE, "stdin"), (JOB, BOB, "stdin"), (JOB, ALICE, "env")])
def test_it_opens_for_no_other_job_account_or_field(
    sealer: AccountSealer, place: tuple[StreamId, AccountId, str]
) -> None:
    kept = offload(JOB, ALICE, {"stdin": LONG}, sealer)["stdin"].kept

    with pytest.raises(SealBroken):
        opened_blob(*place, kept.sealed, sealer)


def test_another_text_of_the_same_place_is_not_what_the_event_tells_of(sealer: AccountSealer) -> None:
    first, second = (offload(JOB, ALICE, {"stdin": LONG}, sealer)["stdin"] for _ in range(2))

    with pytest.raises(BlobBroken, match="litevps audit verify"):
        checked(first.blob, second.kept.sealed)
    with pytest.raises(BlobBroken, match="litevps audit verify"):
        checked(first.blob, None)


def test_what_the_event_tells_does_not_follow_from_the_text(sealer: AccountSealer) -> None:
    first, second = (offload(JOB, ALICE, {"stdin": "1234"}, sealer, always=("stdin",))["stdin"] for _ in range(2))

    # Or whoever has the events could try out what it was, long after it was erased.
    assert first.blob.sha256 != second.blob.sha256
    assert msgspec.structs.asdict(first.blob).keys() == {"size_bytes", "sha256"}
