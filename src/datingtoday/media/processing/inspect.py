"""Detection of an upload's type by its content; names and declared types are ignored.

Only the few types that are accepted can be told apart here, and nothing else gets any further: no decoder, and
no ffmpeg, ever sees a playlist, a page or an archive.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

import structlog

from datingtoday.infra.text import Text
from datingtoday.media.errors import FileRefused
from datingtoday.media.processing.audio_frames import is_adts, is_mp3, start_of_frames, whole_pages_bytes
from datingtoday.media.processing.jpeg_segments import has_few_segments
from datingtoday.media.processing.known_types import named
from datingtoday.media.processing.mp4_boxes import BoxError, brands_of, check_mp4
from datingtoday.media.processing.webm_elements import is_webm, webm_is_whole

MEGABYTE = 1024 * 1024


class Kind(StrEnum):
    """Intended kind of an upload; the parameter `kind` of the API."""

    PHOTO = "photo"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"


class FileType(StrEnum):
    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    HEIC = "heic"
    MP4 = "mp4"
    """Also M4A: the same container."""
    MP3 = "mp3"
    ADTS = "adts"
    """Bare AAC."""
    OGG = "ogg"
    MOV = "mov"
    """QuickTime, as iPhones record."""
    WEBM = "webm"
    """Also Matroska, of which it is a part."""
    AMR = "amr"
    WAV = "wav"


MAX_BYTES: Mapping[Kind, int] = {
    Kind.PHOTO: 20 * MEGABYTE,
    Kind.IMAGE: 20 * MEGABYTE,
    Kind.AUDIO: 5 * MEGABYTE,
    Kind.VIDEO: 20 * MEGABYTE,
}

_IMAGES = frozenset({FileType.JPEG, FileType.PNG, FileType.WEBP, FileType.HEIC})
TYPES: Mapping[Kind, frozenset[FileType]] = {
    Kind.PHOTO: _IMAGES,
    Kind.IMAGE: _IMAGES,
    Kind.AUDIO: frozenset(
        {
            FileType.MP4,
            FileType.MOV,
            FileType.ADTS,
            FileType.MP3,
            FileType.OGG,
            FileType.WEBM,
            FileType.AMR,
            FileType.WAV,
        }
    ),
    Kind.VIDEO: frozenset({FileType.MP4, FileType.MOV, FileType.WEBM}),
}

_OF_IMAGES = Text("JPEG, PNG, WebP or HEIC, up to 20 MB", "JPEG、PNG、WebP 或 HEIC，不超过 20 MB")
ALLOWED: Mapping[Kind, Text] = {
    Kind.PHOTO: _OF_IMAGES,
    Kind.IMAGE: _OF_IMAGES,
    Kind.AUDIO: Text(
        "M4A (AAC), MP3, OGG or WebM (Opus, Vorbis), AMR, 3GP or WAV, up to 60 seconds and 5 MB",
        "M4A（AAC）、MP3、OGG 或 WebM（Opus、Vorbis）、AMR、3GP 或 WAV，不超过 60 秒、5 MB",
    ),
    Kind.VIDEO: Text(
        "MP4 or MOV with H.264 or H.265, or WebM, up to 20 MB",
        "MP4 或 MOV（H.264 或 H.265）或 WebM，不超过 20 MB",
    ),
}

_log = structlog.get_logger(__name__)

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis"})
_OTHER_BRANDS = (
    frozenset({b"mif1", b"msf1", b"avif", b"avis", b"hevc", b"hevx", b"crx ", b"jp2 "}) | _HEIC_BRANDS
)
"""Images and sequences of images: they share only the outermost form with MP4."""
_QUICKTIME_STARTS = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
"""Boxes with which movies begin that were written before there were brands."""
_OGG_CODECS = (b"OpusHead", b"\x01vorbis")


def refused(kind: Kind, en: str, zh: str) -> FileRefused:
    """The refusal, followed by what is allowed for this kind."""
    allowed = ALLOWED[kind]
    return FileRefused(f"{en}; allowed: {allowed.en}", f"{zh}；允许：{allowed.zh}")


def damaged(kind: Kind) -> FileRefused:
    return refused(kind, "it is damaged or not complete", "文件已损坏或不完整")


def inspect_file(path: Path, kind: Kind) -> FileType:
    """The type, if it is one that `kind` may have and the outermost structure is whole; else FileRefused.

    Reads heads only, at most some thousands of them. Images are found to be whole or not by decoding them.
    """
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise refused(kind, "it is empty", "文件为空")
    if size_bytes > MAX_BYTES[kind]:
        raise refused(kind, "it is too large", "文件过大")
    with path.open("rb") as file:
        found = sniff(file)
        file.seek(0)
        name = named(file.read(64)) if found is None else None
    if name is not None:
        raise refused(kind, f"it is {name.en}", f"这是 {name.zh}")
    if found is None:
        raise refused(kind, "its content is of no known type", "内容不是可识别的类型")
    if found not in TYPES[kind]:
        raise refused(kind, f"its content is {found.upper()}", f"内容是 {found.upper()}")
    if found in (FileType.MP4, FileType.MOV, FileType.OGG, FileType.WEBM, FileType.JPEG):
        _check_structure(path, size_bytes, found, kind)
    return found


def _check_structure(path: Path, size_bytes: int, found: FileType, kind: Kind) -> None:
    """Refuse what is cut; cut off what comes after the end, which galleries and messengers append."""
    with path.open("r+b") as file:
        if found is FileType.JPEG:
            if not has_few_segments(file):
                raise refused(kind, "it is too complex", "文件过于复杂")
            return
        if found is FileType.WEBM:
            if not webm_is_whole(file):
                raise damaged(kind)
            return
        if found is FileType.OGG:
            whole_bytes = whole_pages_bytes(file, size_bytes)
            if whole_bytes == 0:
                raise damaged(kind)
        else:
            try:
                whole_bytes = check_mp4(file)
            except BoxError as error:
                _log.info("mp4_refused", kind=kind, reason=str(error))
                raise damaged(kind) from error
        file.truncate(whole_bytes)


def sniff(file: BinaryIO) -> FileType | None:
    """The type of a file that was just opened, None if it is not one that is ever accepted."""
    head = file.read(64)
    if head.startswith(b"\xff\xd8\xff"):
        return FileType.JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return FileType.PNG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return FileType.WEBP
    if head[:4] == b"RIFF" and head[8:16] == b"WAVEfmt ":
        return FileType.WAV
    if head.startswith((b"#!AMR\n", b"#!AMR-WB\n")):
        return FileType.AMR
    if is_webm(head):
        return FileType.WEBM
    if head[4:8] in _QUICKTIME_STARTS:
        return FileType.MOV
    if head[4:8] == b"ftyp":
        return _iso_type(file)
    if head[:6] == b"OggS\0\x02":
        # One segment in the first page: the header of the codec.
        return FileType.OGG if head[28:].startswith(_OGG_CODECS) else None
    return _framed_type(file)


def _iso_type(file: BinaryIO) -> FileType | None:
    brands = brands_of(file)
    if not brands:
        return None
    major = brands[0]
    if major in _HEIC_BRANDS or (major == b"mif1" and _HEIC_BRANDS.intersection(brands)):
        return FileType.HEIC
    if major == b"qt  ":
        return FileType.MOV
    return None if major in _OTHER_BRANDS else FileType.MP4


def _framed_type(file: BinaryIO) -> FileType | None:
    start = start_of_frames(file)
    if is_mp3(file, start):
        return FileType.MP3
    if is_adts(file, start):
        return FileType.ADTS
    return None
