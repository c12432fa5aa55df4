"""What is told of an output stream: all of it, or head and tail with the gap marked."""

import hashlib

from domain.compute.ports import StreamOutput

GAP_BYTES_MAX = 64
"""Room kept within the limit for the mark of the gap."""
CHARACTER_BYTES_MAX = 4
"""Of a character in UTF-8 (RFC 3629)."""


def head_and_tail_bytes(limit_bytes: int) -> tuple[int, int]:
    """Return how many bytes of head and of tail fit within a limit beside the mark between them.

    A limit too small for a mark leaves a head only.
    """
    room = limit_bytes - GAP_BYTES_MAX
    if room < 2:
        return limit_bytes, 0
    return room - room // 2, room // 2


def whole_output(content: bytes, limit_bytes: int) -> StreamOutput:
    """Return what is told of a stream whose every byte is at hand."""
    digest = hashlib.sha256(content).hexdigest()
    if len(content) <= limit_bytes:
        return StreamOutput(text=content, size_bytes=len(content), sha256=digest, truncated=False)
    head, tail = head_and_tail_bytes(limit_bytes)
    return parted_output(content[:head], content[len(content) - tail :], len(content), digest)


def parted_output(head: bytes, tail: bytes, size_bytes: int, sha256: str) -> StreamOutput:
    """Return what is told of a stream of which only head and tail were brought back.

    They were cut at bytes; a UTF-8 character that was cut is left out whole. What is no UTF-8 loses at most 3 bytes so.
    """
    parted = bool(tail)
    head, tail = _without_cut_end(head), _without_cut_begin(tail)
    left_out = size_bytes - len(head) - len(tail)
    assert left_out > 0, "a gap has something in it"
    mark = b"\n[... %d bytes left out ...]\n" % left_out if parted else b""
    assert len(mark) <= GAP_BYTES_MAX
    return StreamOutput(text=head + mark + tail, size_bytes=size_bytes, sha256=sha256, truncated=True)


def _without_cut_end(head: bytes) -> bytes:
    for missing_from in range(1, min(CHARACTER_BYTES_MAX, len(head) + 1)):
        first = head[-missing_from]
        if not _continues(first):
            return head[:-missing_from] if _character_bytes(first) > missing_from else head
    return head


def _without_cut_begin(tail: bytes) -> bytes:
    begin = 0
    while begin < min(CHARACTER_BYTES_MAX - 1, len(tail)) and _continues(tail[begin]):
        begin += 1
    return tail[begin:]


def _continues(byte: int) -> bool:
    return byte & 0b1100_0000 == 0b1000_0000


def _character_bytes(first: int) -> int:
    """Return how long the character is that begins with this byte (RFC 3629)."""
    return 2 if 0xC2 <= first <= 0xDF else 3 if 0xE0 <= first <= 0xEF else 4 if 0xF0 <= first <= 0xF4 else 1
