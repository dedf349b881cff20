"""The boxes of an ISO media file (MP4, M4A, HEIC), as far as they decide whether ffmpeg may see it.

An MP4 may say that its samples lie in another file or behind a URL, and QuickTime may say that the video itself
does. Nothing that players or phones write does so; files that do are refused before anything follows them.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_MAX_BOXES = 20_000
_MAX_FTYP_BYTES = 1024
_MAX_DEPTH = 8
_SELF_CONTAINED = b"\0\0\0\1"
"""Version 0, and the flag that says: the data is in this very file."""

_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"dinf", b"edts", b"mvex", b"stbl"})
_OF_FILMS = frozenset({b"ftyp", b"moov", b"mdat", b"moof", b"sidx", b"mfra", b"styp"})
"""Boxes that make up a movie: one of these that is cut is no appended data."""
_FORBIDDEN = frozenset({b"cmov", b"rmra", b"rmda", b"rdrf"})
"""Compressed and referencing movie headers of QuickTime."""


class BoxError(Exception):
    """The file is cut, malformed, or refers to other files."""


class _BoxCut(BoxError):
    """A box that ends behind the end of the file, or whose head is cut."""

    def __init__(self, message: str, kind: bytes) -> None:
        super().__init__(message)
        self.kind = kind


class _Box(NamedTuple):
    kind: bytes
    start: int
    """Offset of its content."""
    end: int


def brands_of(file: BinaryIO) -> list[bytes]:
    """Major brand, then the compatible ones, from the `ftyp` box at the beginning; empty if that is malformed."""
    file.seek(0)
    head = file.read(8)
    if len(head) < 8 or head[4:] != b"ftyp":
        return []
    (length,) = struct.unpack(">I", head[:4])
    if not 16 <= length <= _MAX_FTYP_BYTES or length % 4:
        return []
    content = file.read(length - 8)
    if len(content) < length - 8:
        return []
    brands = [content[at : at + 4] for at in range(0, len(content), 4)]
    del brands[1]  # The minor version.
    return brands


def check_mp4(file: BinaryIO) -> int:
    """Number of bytes that the boxes take, without what was appended to them.

    :raises BoxError: a box is cut, there is no movie header, or data is in another file.
    """
    file.seek(0, os.SEEK_END)
    size_bytes = file.tell()
    kinds: set[bytes] = set()
    end = 0
    budget = iter(range(_MAX_BOXES))
    try:
        for box in _boxes(file, 0, size_bytes, budget, outermost=True):
            if _is_complete(kinds) and not _is_name(box.kind):
                break
            kinds.add(box.kind)
            if box.kind == b"moov":
                _check_inside(file, box, budget, 1)
            end = box.end
    except _BoxCut as error:
        if error.kind in _OF_FILMS or not _is_complete(kinds):
            raise
    if not _is_complete(kinds):
        raise BoxError("no movie header or no data")
    return end


def _is_complete(kinds: set[bytes]) -> bool:
    return b"moov" in kinds and bool(kinds & {b"mdat", b"moof"})


def _is_name(kind: bytes) -> bool:
    return all(0x20 <= sign < 0x7F or sign == 0xA9 for sign in kind)


def _check_inside(file: BinaryIO, parent: _Box, budget: Iterator[int], depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise BoxError("boxes nested too deep")
    for box in _boxes(file, parent.start, parent.end, budget):
        if box.kind in _FORBIDDEN:
            raise BoxError("a movie header that is compressed or elsewhere")
        if box.kind == b"dref":
            _check_references(file, box, budget)
        elif box.kind in _CONTAINERS:
            _check_inside(file, box, budget, depth + 1)


def _check_references(file: BinaryIO, dref: _Box, budget: Iterator[int]) -> None:
    for entry in _boxes(file, dref.start + 8, dref.end, budget):
        file.seek(entry.start)
        # Behind QuickTime's flag may stand the path of another file all the same.
        is_bare_alias = entry.kind == b"alis" and entry.end - entry.start == len(_SELF_CONTAINED)
        if not (entry.kind == b"url " or is_bare_alias) or file.read(4) != _SELF_CONTAINED:
            raise BoxError("data in another file")


def _boxes(
    file: BinaryIO, start: int, end: int, budget: Iterator[int], *, outermost: bool = False
) -> Iterator[_Box]:
    """The boxes between two positions; BoxError where they do not fill the room exactly.

    :param budget: gives one for each box that may still be looked at in this file.
    """
    at = start
    while at < end:
        if next(budget, None) is None:
            raise BoxError("too many boxes")
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            raise _BoxCut("cut within a box's head", b"")
        length, kind = struct.unpack(">I4s", head[:8])
        content = at + 8
        if length == 1:
            if len(head) < 16:
                raise _BoxCut("cut within a box's head", kind)
            (length,) = struct.unpack(">Q", head[8:])
            content = at + 16
        elif length == 0 and outermost:
            # The last box may leave its length open.
            length = end - at
        if content > at + length or at + length > end:
            raise _BoxCut("a box that does not fit", kind)
        yield _Box(kind, content, at + length)
        at += length
