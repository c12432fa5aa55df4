"""The binary form of PostgreSQL's arrays and numbers, as prepared statements take and give them."""

import struct
from collections.abc import Iterable

INT4, INT8, TEXT, BYTEA, UUID = 23, 20, 25, 17, 2950
"""Object ids of the types of an array's items."""

NULL = b"\xff\xff\xff\xff"
"""An item of an array that is NULL."""

_ARRAY = struct.Struct(">iiIii")
_EMPTY = struct.Struct(">iiI")
_LENGTH = struct.Struct(">i")
_INT4_ITEM = struct.Struct(">ii")
_INT8_ITEM = struct.Struct(">iq")
_INT8 = struct.Struct(">q")
_INT4 = struct.Struct(">i")


def array(item_type: int, items: bytes, count: int) -> bytes:
    """Return an array of ``count`` items that were each written by one of the functions below."""
    if not count:
        return _EMPTY.pack(0, 0, item_type)
    return _ARRAY.pack(1, 1, item_type, count, 1) + items


def bytes_item(content: bytes) -> bytes:
    """Write text, bytes or a UUID as an item."""
    return _LENGTH.pack(len(content)) + content


def int4_item(number: int) -> bytes:
    """Write an integer of 4 bytes as an item."""
    return _INT4_ITEM.pack(4, number)


def int8_item(number: int) -> bytes:
    """Write an integer of 8 bytes as an item."""
    return _INT8_ITEM.pack(8, number)


def int8(number: int) -> bytes:
    """Write an integer of 8 bytes as a parameter."""
    return _INT8.pack(number)


def int4(number: int) -> bytes:
    """Write an integer of 4 bytes as a parameter."""
    return _INT4.pack(number)


def read_int(content: bytes | None) -> int:
    """Read an integer of any length; it must be there."""
    assert content is not None
    return int.from_bytes(content, "big", signed=True)


def read_int4_array(content: bytes | None) -> list[int]:
    """Read an array of integers of 4 bytes without NULLs; NULL and the empty one are alike."""
    if content is None or not read_int(content[:4]):
        return []
    return [number for _, number in struct.iter_unpack(">ii", content[20:])]


def int8_array(numbers: Iterable[int]) -> bytes:
    """Return an array of integers of 8 bytes."""
    items = [int8_item(number) for number in numbers]
    return array(INT8, b"".join(items), len(items))


def int4_array(numbers: Iterable[int]) -> bytes:
    """Return an array of integers of 4 bytes."""
    items = [int4_item(number) for number in numbers]
    return array(INT4, b"".join(items), len(items))


def bytes_array(item_type: int, contents: Iterable[bytes]) -> bytes:
    """Return an array of text, bytes or UUIDs."""
    items = [bytes_item(content) for content in contents]
    return array(item_type, b"".join(items), len(items))
