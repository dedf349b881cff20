"""The elements of a WebM file (EBML), as far as they decide whether it is whole.

Browsers write it while they record, so that neither the segment nor its clusters know their length: what ends within an
element was cut, what ends between two is a whole recording.
"""

from __future__ import annotations

import os
from typing import BinaryIO

_EBML = 0x1A45DFA3
_SEGMENT = 0x18538067
_CLUSTER = 0x1F43B675
_OPEN = (_SEGMENT, _CLUSTER)
_TRACKS = 0x1654AE6B
_MAX_ELEMENTS = 100_000
_HEAD_BYTES = 12


def is_webm(head: bytes) -> bool:
    """True if a file that begins like this says that it is WebM or Matroska."""
    return head.startswith(b"\x1a\x45\xdf\xa3") and (b"webm" in head or b"matroska" in head)


def webm_is_whole(file: BinaryIO) -> bool:
    """True if no element is cut, and there are tracks and data; what comes after the segment does not count."""
    file.seek(0, os.SEEK_END)
    end = file.tell()
    at, found = 0, set()
    for _ in range(_MAX_ELEMENTS):
        if at >= end:
            break
        file.seek(at)
        head = file.read(_HEAD_BYTES)
        identifier = _number(head, keep_marker=True)
        size = identifier and _number(head[identifier[1] :], keep_marker=False)
        if not identifier or not size:
            return False
        (element, id_bytes), (length, length_bytes) = identifier, size
        content = at + id_bytes + length_bytes
        is_unknown = length == (1 << 7 * length_bytes) - 1
        found.add(element)
        if element == _SEGMENT and not is_unknown:
            if content + length > end:
                return False
            end = content + length
        if element in _OPEN and (is_unknown or element == _SEGMENT):
            at = content
            continue
        if is_unknown or content + length > end:
            return False
        at = content + length
    return {_EBML, _SEGMENT, _TRACKS, _CLUSTER} <= found


def _number(data: bytes, *, keep_marker: bool) -> tuple[int, int] | None:
    """A variable-length number and how many bytes it takes; None if it is cut or malformed."""
    if not data or data[0] == 0:
        return None
    size = 9 - data[0].bit_length()
    if len(data) < size:
        return None
    value = int.from_bytes(data[:size], "big")
    return (value if keep_marker else value & ((1 << 7 * size) - 1)), size
