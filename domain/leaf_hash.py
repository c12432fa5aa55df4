"""The leaf hash: what is kept beside each event so that any later change of it shows.

``SHA-256(0x00 ‖ fields)``, where each field of the envelope is written as its length in bytes (4 bytes, big
endian) and its bytes; whole numbers are 8 bytes, big endian, two's complement; text is UTF-8. The leading
0x00 is that of a leaf in RFC 6962 §2.1. Stored events never change, so neither does this.
"""

import struct
from hashlib import sha256
from uuid import UUID

from domain.ports import Recorded
from domain.time import Instant

_FIXED = struct.Struct(">xIqI16sIqI")
_TIMES = struct.Struct(">IqIqI")
_LENGTH = struct.Struct(">I")


def leaf_hash(
    position: int,
    stream: UUID,
    version: int,
    type_name: str,
    happened_at: Instant,
    recorded_at: Instant,
    metadata: str,
    payload: str,
) -> bytes:
    """Return the 32 bytes of the hash over a whole envelope, in this order of its fields."""
    type_bytes, metadata_bytes, payload_bytes = type_name.encode(), metadata.encode(), payload.encode()
    return sha256(
        b"".join(
            (
                _FIXED.pack(8, position, 16, stream.bytes, 8, version, len(type_bytes)),
                type_bytes,
                _TIMES.pack(8, happened_at, 8, recorded_at, len(metadata_bytes)),
                metadata_bytes,
                _LENGTH.pack(len(payload_bytes)),
                payload_bytes,
            )
        )
    ).digest()


def leaf_hash_of(event: Recorded) -> bytes:
    """Return the leaf hash that ``event`` ought to have."""
    return leaf_hash(
        event.position,
        event.stream,
        event.version,
        event.type,
        event.happened_at,
        event.recorded_at,
        event.metadata,
        event.payload,
    )
