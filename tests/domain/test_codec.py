"""What was recorded is read for ever: stored bytes do not change, and old shapes are read as new ones."""

import json
from typing import Any
from uuid import UUID

import msgspec
import pytest

from adapters.sealing.sealer import AccountSealer
from domain import codec
from domain.codec import accounts_of, decode, decode_metadata, encode, misplaced_fields, with_sealed_payload
from domain.events import ERASED, Actor, Event, Metadata, Personal, all_events, personal_fields, stored_name
from domain.ids import AccountId, EventId, StreamId
from domain.ports import NewEvent, Recorded
from domain.sealed import AccountIsErased, SealBroken
from domain.time import Instant
from domain.wallet.events import MeterStarted
from tests.domain.conftest import ALICE
from tests.sealed_text import opened

pytestmark = pytest.mark.anyio


class RoomOpened(Event, frozen=True, tag="test.room-opened.v1"):
    doors: int
    colour: str | None = None


class RoomNamed(Event, frozen=True, tag="test.room-named.v2"):
    """Its first version had the field ``title``; no class of it is left."""

    name: Personal
    floor: int


BOB = AccountId(UUID("018f0000-0000-7000-8000-00000000000b"))
EVENT = EventId(UUID("018f0000-0000-7000-8000-0000000000e1"))
ROOM = StreamId(UUID("018f0000-0000-7000-8000-00000000000c"))
NOW = Instant(1_700_000_000_000_000)
PLAIN = Metadata(id=EVENT, actor=Actor("service", part="worker"))
OF_ALICE = Metadata(id=EVENT, actor=Actor("account", ALICE), account_id=ALICE, address="192.0.2.7", user_agent="curl")

# Golden: written once, by the first release. If one of these tests fails, recorded history would be lost.
SEALED_KITCHEN = (
    "s1.018f000000007000800000000000000a.018f00000000700080000000000000e1.name"
    ".Y3-QpHZOawK1QHu1shDnaj4w80KYCGBSqzCd4ZNthQ41gA"
)
FIRST_ROOM_OPENED = '{"type":"test.room-opened.v1","doors":2,"colour":null}'
FIRST_METADATA = '{"id":"018f0000-0000-7000-8000-0000000000e1","actor":{"kind":"service","id":null,"part":"worker"}}'
FIRST_METADATA_OF_ALICE = (
    '{"id":"018f0000-0000-7000-8000-0000000000e1","actor":{"kind":"service","id":null,"part":"worker"},'
    '"account_id":"018f0000-0000-7000-8000-00000000000a"}'
)
FIRST_ROOM_NAMED = f'{{"type":"test.room-named.v1","title":"{SEALED_KITCHEN}"}}'


@pytest.fixture
def renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_v1(fields: dict[str, Any]) -> dict[str, Any]:
        return {"type": "test.room-named.v2", "name": fields["title"], "floor": 0}

    monkeypatch.setitem(codec.UPCASTS, "test.room-named.v1", from_v1)


def recorded(new: NewEvent) -> Recorded:
    return Recorded(position=1, recorded_at=NOW, leaf_hash=b"", **msgspec.structs.asdict(new))


def stored(name: str, payload: str, metadata: str = FIRST_METADATA) -> Recorded:
    return recorded(NewEvent(ROOM, 1, name, payload, metadata, NOW))


def test_an_event_is_stored_in_the_same_bytes_as_in_the_first_release(sealer: AccountSealer) -> None:
    new = encode(ROOM, 1, RoomOpened(doors=2), PLAIN, NOW, sealer)

    assert (new.type, new.payload, new.metadata) == ("test.room-opened.v1", FIRST_ROOM_OPENED, FIRST_METADATA)


def test_what_the_first_release_stored_is_read(sealer: AccountSealer) -> None:
    assert decode(stored("test.room-opened.v1", FIRST_ROOM_OPENED), sealer) == RoomOpened(doors=2)
    assert decode_metadata(stored("test.room-opened.v1", FIRST_ROOM_OPENED)) == PLAIN


def test_the_id_of_an_event_is_read_by_itself() -> None:
    assert codec.decode_event_id(stored("test.room-opened.v1", FIRST_ROOM_OPENED, FIRST_METADATA_OF_ALICE)) == EVENT


def test_an_event_is_known_by_its_older_names_too() -> None:
    assert codec.names_read_as(MeterStarted) == {"wallet.meter-started.v1", "wallet.meter-started.v2"}
    assert codec.names_read_as(RoomOpened) == {"test.room-opened.v1"}


@pytest.mark.usefixtures("renamed")
def test_what_was_stored_in_an_older_shape_is_read_in_the_newest(sealer: AccountSealer) -> None:
    old = stored("test.room-named.v1", FIRST_ROOM_NAMED, FIRST_METADATA_OF_ALICE)

    assert decode(old, sealer) == RoomNamed(name="Küche", floor=0)
    assert decode(old) == RoomNamed(name=SEALED_KITCHEN, floor=0)


def test_what_is_personal_is_stored_sealed_and_read_back(sealer: AccountSealer) -> None:
    new = recorded(encode(ROOM, 1, RoomNamed(name="Küche", floor=3), OF_ALICE, NOW, sealer))

    assert not any(text in new.payload + new.metadata for text in ("Küche", "192.0.2.7", "curl"))
    assert '"floor":3' in new.payload
    assert decode(new, sealer) == RoomNamed(name="Küche", floor=3)
    assert decode_metadata(new, sealer) == OF_ALICE


def test_without_a_sealer_sealed_text_stays_as_it_is(sealer: AccountSealer) -> None:
    new = recorded(encode(ROOM, 1, RoomNamed(name="Küche", floor=3), OF_ALICE, NOW, sealer))
    named = decode(new)

    assert isinstance(named, RoomNamed)
    assert opened(sealer, named.name) == "Küche"
    assert (decode_metadata(new).address or "").startswith("s1.")


async def test_of_an_erased_account_only_what_is_not_personal_is_left(sealer: AccountSealer) -> None:
    new = recorded(encode(ROOM, 1, RoomNamed(name="Küche", floor=3), OF_ALICE, NOW, sealer))

    await sealer.erase(ALICE)

    assert decode(new, sealer) == RoomNamed(name=ERASED, floor=3)
    assert decode_metadata(new, sealer).address == ERASED


@pytest.mark.parametrize("moved", ["account", "event", "field"])
async def test_sealed_text_in_another_place_is_refused_and_never_shown(sealer: AccountSealer, moved: str) -> None:
    await sealer.load([BOB], create=True)
    mine = encode(ROOM, 1, RoomNamed(name="Küche", floor=3), OF_ALICE, NOW, sealer)
    theirs = {
        "account": msgspec.structs.replace(OF_ALICE, account_id=BOB),
        "event": msgspec.structs.replace(OF_ALICE, id=EventId(ROOM)),
        "field": OF_ALICE,
    }[moved]
    there = encode(ROOM, 2, RoomNamed(name="Bad", floor=3), theirs, NOW, sealer)
    name, address = json.loads(mine.payload)["name"], json.loads(mine.metadata)["address"]
    put = address if moved == "field" else name
    payload = json.dumps(json.loads(there.payload) | {"name": put})
    metadata = json.dumps(json.loads(there.metadata) | {"address": name if moved == "field" else address})
    tampered = recorded(msgspec.structs.replace(there, payload=payload, metadata=metadata))

    with pytest.raises(SealBroken, match="litevps audit verify"):
        decode(tampered, sealer)
    with pytest.raises(SealBroken, match="litevps audit verify"):
        decode_metadata(tampered, sealer)
    assert list(misplaced_fields(decode(tampered), decode_metadata(tampered))) == ["name", "address"]


def test_sealed_text_of_an_event_without_an_account_is_refused(sealer: AccountSealer) -> None:
    orphan = stored("test.room-named.v2", f'{{"type":"test.room-named.v2","name":"{SEALED_KITCHEN}","floor":0}}')

    with pytest.raises(SealBroken, match="no account"):
        decode(orphan, sealer)
    assert list(misplaced_fields(decode(orphan), decode_metadata(orphan))) == ["name"]


def test_what_is_in_its_place_is_not_misplaced(sealer: AccountSealer) -> None:
    new = recorded(encode(ROOM, 1, RoomNamed(name="Küche", floor=3), OF_ALICE, NOW, sealer))

    assert list(misplaced_fields(decode(new), decode_metadata(new))) == []


def test_no_personal_field_of_an_event_has_the_name_of_one_of_the_metadata() -> None:
    # Both are sealed for the same event: under one name, either could stand in the other's place.
    for kind in all_events().values():
        assert not set(personal_fields(kind)) & set(personal_fields(Metadata)), stored_name(kind)


async def test_of_an_erased_account_nobody_but_the_service_records_anything_personal(sealer: AccountSealer) -> None:
    await sealer.erase(ALICE)
    by_the_service = msgspec.structs.replace(OF_ALICE, actor=Actor("service", part="payments"))

    with pytest.raises(AccountIsErased):
        encode(ROOM, 1, RoomNamed(name="Küche", floor=3), OF_ALICE, NOW, sealer)
    new = recorded(encode(ROOM, 1, RoomNamed(name="Küche", floor=3), by_the_service, NOW, sealer))

    assert decode(new, sealer) == RoomNamed(name=ERASED, floor=3)
    assert "Küche" not in new.payload
    assert list(misplaced_fields(decode(new), decode_metadata(new))) == []


def test_personal_text_of_nobody_is_refused(sealer: AccountSealer) -> None:
    with pytest.raises(AssertionError, match=r"RoomNamed\.name is personal"):
        encode(ROOM, 1, RoomNamed(name="Küche", floor=3), PLAIN, NOW, sealer)


def test_an_event_that_nobody_knows_is_not_guessed_at() -> None:
    with pytest.raises(KeyError, match=r"test\.never-heard-of\.v1"):
        decode(stored("test.never-heard-of.v1", "{}"))


def test_the_keys_that_will_be_needed_are_told(sealer: AccountSealer) -> None:
    opened = recorded(encode(ROOM, 1, RoomOpened(doors=2), PLAIN, NOW, sealer))
    named = recorded(encode(ROOM, 2, RoomNamed(name="Küche", floor=3), OF_ALICE, NOW, sealer))

    assert accounts_of([opened, named]) == {ALICE}
    assert list(with_sealed_payload([opened, named])) == [named]
