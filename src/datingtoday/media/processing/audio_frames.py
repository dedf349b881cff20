"""The outermost structure of audio files: frames of MP3 and ADTS, pages of OGG.

MP3 and ADTS have no signature; they are told by two frames that follow each other. They have no end either: a
file that was cut is a shorter file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

_PADDING_BYTES = 4096
"""Zeros that some programs leave between the tags and the audio."""

_MAX_TAGS = 32
"""Two or three tags are ordinary. After this many, the rest is taken for audio, and is none."""

_MP3_KBITS = {
    # MPEG version bits → kbit/s by index, layer III.
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    0: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_ADTS_RATES = 13
_LEAST_PAGES = 3
"""Pages of an OGG file: header, comments, audio."""


def start_of_frames(file: BinaryIO) -> int:
    """Offset of the audio, after ID3v2 tags (there may be several) and zeros."""
    at = 0
    for _ in range(_MAX_TAGS):
        file.seek(at)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
            break
        length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        at += 10 + length + (10 if head[5] & 0x10 else 0)
    file.seek(at)
    padding = file.read(_PADDING_BYTES)
    return at + len(padding) - len(padding.lstrip(b"\0"))


def is_mp3(file: BinaryIO, start: int) -> bool:
    """True if two frames of MPEG layer III are at `start`."""
    return _two_frames(file, start, _mp3_frame_bytes)


def is_adts(file: BinaryIO, start: int) -> bool:
    """True if two ADTS frames of AAC are at `start`."""
    return _two_frames(file, start, _adts_frame_bytes)


def _two_frames(file: BinaryIO, start: int, frame_bytes: Callable[[bytes], int | None]) -> bool:
    at = start
    for _ in range(2):
        file.seek(at)
        length = frame_bytes(file.read(7))
        if length is None:
            return False
        at += length
    return True


def _mp3_frame_bytes(head: bytes) -> int | None:
    """Length of the frame that begins with these bytes; None: none does."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, bitrate, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or bitrate in (0, 15) or rate == 3:
        return None
    samples_per_8 = 144 if version == 3 else 72
    padding = head[2] >> 1 & 1
    return samples_per_8 * _MP3_KBITS[version][bitrate] * 1000 // _MP3_RATES_HZ[version][rate] + padding


def _adts_frame_bytes(head: bytes) -> int | None:
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    if head[2] >> 2 & 15 >= _ADTS_RATES:
        return None
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length > 7 else None


def whole_pages_bytes(file: BinaryIO, size_bytes: int) -> int:
    """Bytes that the pages of an OGG file take, up to the last one or to what was appended to them.

    0 if a page is cut, pages are missing in between, or there are too few of them.
    """
    at = pages = 0
    while at < size_bytes:
        file.seek(at)
        head = file.read(27)
        if not b"OggS".startswith(head[:4]) and pages >= _LEAST_PAGES:
            return 0 if b"OggS\0" in head + file.read() else at
        if len(head) < 27 or head[:4] != b"OggS":
            return 0
        lengths = file.read(head[26])
        end = at + 27 + head[26] + sum(lengths)
        if len(lengths) < head[26] or end > size_bytes:
            return 0
        at = end
        pages += 1
    return at if pages >= _LEAST_PAGES else 0
