# SPDX-License-Identifier: Apache-2.0
"""Chunks of files as they lie in memory, byte for byte what msgpack makes of them, and none of those bytes copied.

What a file's bytes cost on their way is mostly that they are copied. So a large chunk leaves as two parts, its fields
and the very bytes that were read; and one that has come in is a view of the body it came in.
"""

from __future__ import annotations

import struct

from scenario_execution_remote.protocol import messages

APART_BYTES = 4 * 1024  # a smaller one is copied, which is quicker than to hand over two parts
_UINTS = {0xCC: struct.Struct("!B"), 0xCD: struct.Struct("!H"), 0xCE: struct.Struct("!I"), 0xCF: struct.Struct("!Q")}
_BIN8, _BIN16, _BIN32 = struct.Struct("!BB"), struct.Struct("!BH"), struct.Struct("!BI")
_BIN_LENGTHS = {0xC4: struct.Struct("!B"), 0xC5: struct.Struct("!H"), 0xC6: struct.Struct("!I")}


def is_bulky(message: object) -> bool:
    """Whether a message is a chunk that is worth it."""
    return type(message) is messages.Chunk and len(message.data) >= APART_BYTES


def bin_header(size_bytes: int) -> bytes:
    """What stands before so many bytes, as msgpack has it."""
    if size_bytes < 1 << 8:
        return _BIN8.pack(0xC4, size_bytes)
    return _BIN16.pack(0xC5, size_bytes) if size_bytes < 1 << 16 else _BIN32.pack(0xC6, size_bytes)


def leading_chunks(body: bytes | memoryview, beginning: bytes) -> tuple[list[messages.Chunk], int]:
    """The bulky chunks that *body* begins with, as views of it, and where what follows them begins.

    Args:
        body: One or several messages; nothing is assumed of it.
        beginning: What each chunk begins with.
    """
    view = memoryview(body)
    chunks: list[messages.Chunk] = []
    end = at = 0
    try:
        while view[at : at + len(beginning)] == beginning:
            number, at = _uint(view, at + len(beginning))
            offset, at = _uint(view, at)
            length = _BIN_LENGTHS[view[at]]
            (size_bytes,) = length.unpack_from(view, at + 1)
            at += 1 + length.size
            data = view[at : at + size_bytes]
            if len(data) != size_bytes or size_bytes < APART_BYTES:
                break
            at += size_bytes
            chunks.append(messages.Chunk(number=number, offset=offset, data=data))
            end = at
    except (KeyError, IndexError, struct.error):  # something else, or cut off: whoever reads the rest says what it is
        pass
    return chunks, end


def _uint(view: memoryview, at: int) -> tuple[int, int]:
    """The number at a place, and where it ends."""
    first = view[at]
    if first < 0x80:
        return first, at + 1
    form = _UINTS[first]
    (value,) = form.unpack_from(view, at + 1)
    return value, at + 1 + form.size
