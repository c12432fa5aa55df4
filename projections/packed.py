"""Packed columns: arrays made as PostgreSQL takes them, many times faster than the driver makes them item by item."""

import struct
from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec
from psycopg.adapt import Dumper
from psycopg.pq import Format

from projections.read_model import Connection

_HEADER = struct.Struct(">iiIii")
_INT4, _INT8, _TEXT, _UUID = 23, 20, 25, 2950
"""Object ids of the types of the items."""
_CHUNK = 500
_INT4_CHUNK, _INT8_CHUNK = struct.Struct(">" + "ii" * _CHUNK), struct.Struct(">" + "iq" * _CHUNK)
_INT4_ITEM, _INT8_ITEM = struct.Struct(">ii"), struct.Struct(">iq")
_UUID_LENGTH = struct.pack(">i", 16)


class Packed(msgspec.Struct, frozen=True):
    """An array in PostgreSQL's binary form; of which type it is, the statement says (``%b::int8[]``)."""

    content: bytes


def int4s(numbers: Sequence[int]) -> Packed:
    """Return an array of integers of 4 bytes."""
    return _array(_INT4, _integers(numbers, 4, _INT4_CHUNK, _INT4_ITEM), len(numbers))


def int8s(numbers: Sequence[int]) -> Packed:
    """Return an array of integers of 8 bytes."""
    return _array(_INT8, _integers(numbers, 8, _INT8_CHUNK, _INT8_ITEM), len(numbers))


def uuids(ids: Sequence[UUID]) -> Packed:
    """Return an array of UUIDs."""
    return _array(_UUID, (_UUID_LENGTH + one.bytes for one in ids), len(ids))


def texts(words: Sequence[str]) -> Packed:
    """Return an array of text of which most items are alike."""
    made = {word: struct.pack(">i", len(word.encode())) + word.encode() for word in set(words)}
    return _array(_TEXT, (made[word] for word in words), len(words))


def take_packed(connection: Connection) -> None:
    """Have a connection take packed arrays as parameters."""
    connection.adapters.register_dumper(Packed, _PackedDumper)


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Packed) -> bytes:
        return obj.content


def _integers(numbers: Sequence[int], size: int, chunk: struct.Struct, item: struct.Struct) -> Iterable[bytes]:
    whole = len(numbers) - len(numbers) % _CHUNK
    flat = [size] * (2 * _CHUNK)
    for first in range(0, whole, _CHUNK):
        flat[1::2] = numbers[first : first + _CHUNK]
        yield chunk.pack(*flat)
    for number in numbers[whole:]:
        yield item.pack(size, number)


def _array(item_type: int, items: Iterable[bytes], count: int) -> Packed:
    assert count, "there must be at least one item"
    return Packed(_HEADER.pack(1, 0, item_type, count, 1) + b"".join(items))
