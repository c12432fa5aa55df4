"""Unpacks a kernel, so that QEMU loads it as it is and the guest need not unpack it at each boot.

Where QEMU translates every instruction, that is an eighth of a boot. More so at a restart within the same QEMU: memory
is full of translated code then, and unpacking over it took up to seven seconds.
"""

import ctypes
import struct
from pathlib import Path

_SETUP_SECTORS_AT = 0x1F1
_PAYLOAD_AT = 0x248
"""Offsets in a bzImage (kernel: Documentation/arch/x86/boot.rst)."""

_SECTOR_BYTES = 512
_ELF_MAGIC = b"\x7fELF"
_LZ4_LEGACY_MAGIC = 0x184C2102
_LZ4_BLOCK_BYTES = 8 * 1024 * 1024
"""Largest block of LZ4's legacy frame, once unpacked (lz4_Frame_format.md)."""

_PAGE_BYTES = 4096


def unpacked_kernel(packed: bytes) -> bytes:
    """Return the ELF inside a bzImage; the bzImage itself if it is packed in another way than Debian's."""
    payload_offset, payload_length = struct.unpack_from("<II", packed, _PAYLOAD_AT)
    begin = (packed[_SETUP_SECTORS_AT] + 1) * _SECTOR_BYTES + payload_offset
    payload = packed[begin : begin + payload_length]
    if len(payload) < 8 or struct.unpack_from("<I", payload)[0] != _LZ4_LEGACY_MAGIC:
        return packed
    (size_bytes,) = struct.unpack_from("<I", payload, len(payload) - 4)
    try:
        unpacked = _unpack_lz4(payload, size_bytes)
    except (OSError, ValueError):
        return packed
    return unpacked if unpacked.startswith(_ELF_MAGIC) else packed


def write_sparse(content: bytes, target: Path) -> None:
    """Write a file, with holes where whole pages are zero: a kernel is full of those."""
    with target.open("wb") as file:
        for begin in range(0, len(content), _PAGE_BYTES):
            page = content[begin : begin + _PAGE_BYTES]
            if page.strip(b"\0"):
                file.seek(begin)
                file.write(page)
        file.truncate(len(content))


def _unpack_lz4(payload: bytes, size_bytes: int) -> bytes:
    """Unpack a legacy LZ4 frame by the library that apt itself needs; ValueError if it is damaged."""
    library = ctypes.CDLL("liblz4.so.1")
    block = ctypes.create_string_buffer(_LZ4_BLOCK_BYTES)
    unpacked = bytearray()
    position = 4
    while len(unpacked) < size_bytes:
        (length,) = struct.unpack_from("<I", payload, position)
        source = payload[position + 4 : position + 4 + length]
        count = library.LZ4_decompress_safe(source, block, len(source), _LZ4_BLOCK_BYTES)
        if count <= 0:
            raise ValueError("a damaged block")
        unpacked += block.raw[:count]
        position += 4 + length
    return bytes(unpacked)
