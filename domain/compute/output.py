"""What is told of an output stream: all of it, or head and tail with the gap marked."""

import hashlib

from domain.compute.ports import StreamOutput

GAP_BYTES_MAX = 64
"""Room kept within the limit for the mark of the gap."""


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
    """Return what is told of a stream of which only head and tail were brought back."""
    left_out = size_bytes - len(head) - len(tail)
    assert left_out > 0, "a gap has something in it"
    mark = b"\n[... %d bytes left out ...]\n" % left_out if tail else b""
    assert len(mark) <= GAP_BYTES_MAX
    return StreamOutput(text=head + mark + tail, size_bytes=size_bytes, sha256=sha256, truncated=True)
