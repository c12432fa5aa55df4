"""The codec: between events of the domain and the text that the store keeps, sealing what is personal."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import msgspec

from domain.blobs import Blob
from domain.events import ERASED, Event, Metadata, all_events, personal_fields, stored_name
from domain.ids import AccountId, EventId, StreamId
from domain.ports import NewEvent, Recorded, Sealer
from domain.sealed import AccountIsErased, SealBroken, is_in_place
from domain.time import Instant

Upcast = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the stored form of one version into that of the next, its ``type`` included."""


def _meter_started_v2(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "type": "wallet.meter-started.v2"}  # Host and start are left open.


def _host_registered_v2(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "type": "compute.host-registered.v2"}  # Processors and disk are left open.


def _job_requested_v2(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "type": "exec.job-requested.v2"}  # All texts stood in the event.


def _vps_requested_v2(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "type": "compute.vps-requested.v2"}  # User data stood in the event.


def _vps_delete_requested_v2(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "type": "compute.vps-delete-requested.v2"}  # Why was left open.


UPCASTS: dict[str, Upcast] = {
    "compute.host-registered.v1": _host_registered_v2,
    "compute.vps-delete-requested.v1": _vps_delete_requested_v2,
    "compute.vps-requested.v1": _vps_requested_v2,
    "exec.job-requested.v1": _job_requested_v2,
    "wallet.meter-started.v1": _meter_started_v2,
}
"""By stored name; applied again and again until the name is one that has none. None may give a personal field
another name than it was sealed under."""

_to_json = msgspec.json.Encoder()
_from_json: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
_metadata_decoder = msgspec.json.Decoder(Metadata)
_METADATA_PERSONAL = personal_fields(Metadata)


class _Owner(msgspec.Struct, frozen=True):
    """Of the metadata, what says whose key sealed the event and for which event."""

    id: EventId
    account_id: AccountId | None = None


_owner_decoder = msgspec.json.Decoder(_Owner)


def encode(stream: StreamId, version: int, event: Event, metadata: Metadata, now: Instant, sealer: Sealer) -> NewEvent:
    """Return the stored form of an event; the sealer must have the key of ``metadata.account_id`` at hand.

    Of an account that was erased, what the service itself records says ``ERASED`` where it would be personal;
    whatever anybody else records that is personal raises AccountIsErased.
    """
    kind = type(event)
    return NewEvent(
        stream=stream,
        version=version,
        type=stored_name(kind),
        payload=_sealed_json(event, _personal(kind), metadata, sealer),
        metadata=_sealed_json(metadata, _METADATA_PERSONAL, metadata, sealer),
        happened_at=now,
    )


def decode(recorded: Recorded, sealer: Sealer | None = None) -> Event:
    """Return the event that was stored; without a sealer, personal fields stay the sealed text they are.

    Raises SealBroken where one of them was sealed for another account, event or field.
    """
    name = recorded.type
    if sealer is None or not (name in UPCASTS or _personal(_kind(name))):
        return decode_payload(name, recorded.payload)
    name, fields = _upcast(name, recorded.payload)
    kind = _kind(name)
    _unseal_fields(fields, _personal(kind), _owner_decoder.decode(recorded.metadata), sealer)
    return msgspec.convert(fields, kind)


def decode_payload(name: str, payload: str) -> Event:
    """Return the event stored under this name, upcast where its shape has been followed by another, still sealed."""
    if name not in UPCASTS:
        return _decoder(_kind(name)).decode(payload)
    name, fields = _upcast(name, payload)
    return msgspec.convert(fields, _kind(name))


def names_read_as(kind: type[Event]) -> frozenset[str]:
    """Return every stored name that is read as this kind of event: its own, and those of its older versions."""
    name = stored_name(kind)
    unversioned = name.rpartition(".")[0]
    return frozenset({name, *(older for older in UPCASTS if older.rpartition(".")[0] == unversioned)})


def decode_metadata(recorded: Recorded, sealer: Sealer | None = None) -> Metadata:
    """Return how the event came to be; without a sealer, personal fields stay sealed."""
    if sealer is None:
        return _metadata_decoder.decode(recorded.metadata)
    fields = _from_json.decode(recorded.metadata)
    _unseal_fields(fields, _METADATA_PERSONAL, _owner_decoder.decode(recorded.metadata), sealer)
    return msgspec.convert(fields, Metadata)


def decode_event_id(recorded: Recorded) -> EventId:
    """Return the id of an event, without reading the rest of its metadata, which takes several times as long."""
    return _owner_decoder.decode(recorded.metadata).id


def misplaced_fields(event: Event, metadata: Metadata) -> Iterator[str]:
    """Return the personal fields that were sealed for another place; ``event`` and ``metadata`` are still sealed.

    Needs no key: what sealed text says of itself is authenticated once it is opened.
    """
    for struct, personal in ((event, _personal(type(event))), (metadata, _METADATA_PERSONAL)):
        for name in personal:
            sealed = getattr(struct, name)
            if not isinstance(sealed, str):
                continue
            if metadata.account_id is None or not is_in_place(sealed, metadata.account_id, metadata.id, name):
                yield name


def blobs_of(event: Event) -> Iterator[tuple[str, Blob]]:
    """Return the texts that are kept beside an event, each with the name of its field."""
    for name in _personal(type(event)):
        told = getattr(event, name)
        if isinstance(told, Blob):
            yield name, told


def accounts_of(events: Iterable[Recorded]) -> set[AccountId]:
    """Return whose keys are needed to unseal these events and their metadata."""
    owners = (_metadata_decoder.decode(recorded.metadata).account_id for recorded in events)
    return {owner for owner in owners if owner is not None}


def with_sealed_payload(events: Iterable[Recorded]) -> Iterator[Recorded]:
    """Return those of the events that say something personal themselves, not just in their metadata."""
    return (event for event in events if event.type in UPCASTS or _personal(_kind(event.type)))


def is_personal(event: Event) -> bool:
    """Return whether an event has fields that are stored sealed."""
    return bool(_personal(type(event)))


@cache
def _personal(kind: type[Event]) -> tuple[str, ...]:
    return personal_fields(kind)


@cache
def _kind(name: str) -> type[Event]:
    return all_events()[name]


@cache
def _decoder(kind: type[Event]) -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(kind)


def _sealed_json(struct: msgspec.Struct, personal: tuple[str, ...], metadata: Metadata, sealer: Sealer) -> str:
    changes = {}
    for name in personal:
        text = getattr(struct, name)
        if isinstance(text, str):
            assert metadata.account_id is not None, f"{type(struct).__name__}.{name} is personal, but to whom?"
            changes[name] = _sealed(name, text, metadata, sealer)
    if changes:
        struct = msgspec.structs.replace(struct, **changes)
    return _to_json.encode(struct).decode()


def _sealed(name: str, text: str, metadata: Metadata, sealer: Sealer) -> str:
    assert metadata.account_id is not None
    try:
        return sealer.seal(metadata.account_id, metadata.id, name, text)
    except AccountIsErased:
        # What the service goes on to record by itself, such as money that comes back late, is true without the person.
        if metadata.actor.kind != "service":
            raise
        return ERASED


def _unseal_fields(fields: dict[str, Any], personal: tuple[str, ...], owner: _Owner, sealer: Sealer) -> None:
    for name in personal:
        if isinstance(fields.get(name), str):
            if owner.account_id is None:
                raise SealBroken(f"{name} of event {owner.id} belongs to no account: run `litevps audit verify`")
            fields[name] = sealer.unseal(owner.account_id, owner.id, name, fields[name])


def _upcast(name: str, payload: str) -> tuple[str, dict[str, Any]]:
    fields = _from_json.decode(payload)
    while (upcast := UPCASTS.get(name)) is not None:
        fields = upcast(fields)
        name = fields["type"]
    return name, fields
