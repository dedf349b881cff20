"""The segments of a JPEG before its image: few in every real file, millions in one made to keep a decoder busy."""

from __future__ import annotations

from typing import BinaryIO

MAX_SEGMENTS = 1_000
"""Metadata of 20 MB in segments of 64 KB are 320."""
_MAX_FILL_BYTES = 1_000
_START_OF_SCAN = 0xDA
_FILL = 0xFF


def has_few_segments(file: BinaryIO) -> bool:
    """True if the image begins after at most `MAX_SEGMENTS`. A malformed file is left to the decoder, which stops
    there.
    """
    at, segments, fill_bytes = 2, 0, 0
    while segments <= MAX_SEGMENTS and fill_bytes <= _MAX_FILL_BYTES:
        file.seek(at)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] == _START_OF_SCAN:
            return True
        if head[1] == _FILL:
            at += 1
            fill_bytes += 1
        else:
            at += 2 + int.from_bytes(head[2:4], "big")
            segments += 1
    return False
