"""Types of files by their first bytes, and what their outermost structure decides: smallest files, byte by byte."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from datingtoday.media.errors import FileRefused
from datingtoday.media.processing.inspect import FileType, Kind, inspect_file, sniff
from datingtoday.media.processing.known_types import named
from tests.media.av_samples import box

LENGTH = b"\x24\0\0\0"


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    return box(b"ftyp", major + b"\0\0\2\0" + b"".join(compatible))


TOLD: dict[bytes, FileType] = {
    b"\xff\xd8\xff": FileType.JPEG,
    b"\x89PNG\r\n\x1a\n": FileType.PNG,
    b"RIFF" + LENGTH + b"WEBP": FileType.WEBP,
    b"RIFF" + LENGTH + b"WAVEfmt ": FileType.WAV,
    b"#!AMR\n": FileType.AMR,
    b"#!AMR-WB\n": FileType.AMR,
    b"\x1a\x45\xdf\xa3\x01webm": FileType.WEBM,
    **{LENGTH + kind: FileType.MOV for kind in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")},
    ftyp(b"isom"): FileType.MP4,
    ftyp(b"M4A ", b"qt  ", b"heic"): FileType.MP4,
    ftyp(b"3gp5", b"mif1"): FileType.MP4,
    ftyp(b"qt  ", b"isom"): FileType.MOV,
    **{ftyp(major): FileType.HEIC for major in (b"heic", b"heix", b"heim", b"heis")},
    ftyp(b"mif1", b"miaf", b"heic"): FileType.HEIC,
    b"OggS\0\2" + bytes(22) + b"OpusHead": FileType.OGG,
    b"OggS\0\2" + bytes(22) + b"\x01vorbis": FileType.OGG,
}


@pytest.mark.parametrize("head", TOLD)
def test_a_type_is_told_by_every_one_of_its_bytes(head: bytes) -> None:
    assert sniff(io.BytesIO(head)) is TOLD[head]
    assert sniff(io.BytesIO(head + b"more")) is TOLD[head]
    told_apart = {b"RIFF": range(4), b"OggS": range(6)}.get(head[:4], ())
    for at in (*told_apart, len(head) - 1):
        if head[4:8] != b"ftyp":
            changed = head[:at] + bytes([head[at] ^ 0x80]) + head[at + 1 :]
            assert sniff(io.BytesIO(changed)) is None, at


@pytest.mark.parametrize(
    "head",
    [
        *[ftyp(major, b"heic", b"isom") for major in (b"msf1", b"avif", b"avis", b"hevc", b"hevx", b"crx ")],
        ftyp(b"mif1", b"avif"),
        ftyp(b"jp2 "),
        b"RIFF" + LENGTH + b"WAVEdata",
        b"RIFX" + LENGTH + b"WEBP",
        b"xRIFF" + LENGTH + b"WEBP",
        b"OggS\0\2" + bytes(21) + b"OpusHead",
        b"OggS\0\2" + bytes(23) + b"OpusHead",
        b"moov",
        b"\0moov" + bytes(20),
    ],
)
def test_what_only_looks_like_one_of_them(head: bytes) -> None:
    assert sniff(io.BytesIO(head)) is None


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"RIFF" + LENGTH + b"AVI LIST", "an AVI video"),
        (b"RIFF" + LENGTH + b"ACON", None),
        (b"RIFX" + LENGTH + b"AVI LIST", None),
        (b"\xef\xbb\xbf<html>", None),
        (b" \n<HTML>", "a page or an SVG image"),
        (ftyp(b"avis"), "an AVIF animation"),
        (ftyp(b"isom", b"avis"), None),
        (b"GIF89a", "a GIF"),
    ],
)
def test_names_of_other_types(head: bytes, name: str | None) -> None:
    found = named(head)
    assert (found and found.en) == name


# --- structure

MOVIE = box(b"moov", box(b"mvhd", bytes(100))) + box(b"mdat", b"data")
FILM = ftyp(b"isom") + MOVIE
PAGE = b"OggS\0\0" + bytes(20) + b"\1\5hello"
SONG = b"OggS\0\2" + bytes(20) + b"\1\x08OpusHead" + PAGE * 2
WEBM = bytes.fromhex("1a45dfa3 84") + b"webm" + bytes.fromhex("18538067 8b 1654ae6b 80 1f43b675 81 00")
SEGMENT = b"\xff\xfe\0\2"


@pytest.mark.parametrize(
    ("content", "kind", "kept"),
    [
        (FILM, Kind.VIDEO, FILM),
        (FILM + b"appended", Kind.VIDEO, FILM),
        (MOVIE + b"appended", Kind.VIDEO, MOVIE),
        (SONG, Kind.AUDIO, SONG),
        (SONG + b"appended", Kind.AUDIO, SONG),
        (WEBM, Kind.VIDEO, WEBM),
        (WEBM + b"appended", Kind.VIDEO, WEBM + b"appended"),
        (b"\xff\xd8" + SEGMENT * 1000, Kind.PHOTO, b"\xff\xd8" + SEGMENT * 1000),
        (b"\x89PNG\r\n\x1a\nappended", Kind.PHOTO, b"\x89PNG\r\n\x1a\nappended"),
    ],
)
def test_what_is_whole_is_taken_and_what_comes_after_is_cut_off(
    tmp_path: Path, content: bytes, kind: Kind, kept: bytes
) -> None:
    file = tmp_path / "upload"
    file.write_bytes(content)
    with capture_logs() as logged:
        inspect_file(file, kind)
    assert (file.read_bytes(), logged) == (kept, [])


@pytest.mark.parametrize(
    ("content", "kind", "why", "reason"),
    [
        (FILM[:-1], Kind.VIDEO, "damaged or not complete", "a box that does not fit"),
        (ftyp(b"isom"), Kind.AUDIO, "damaged or not complete", "no movie header or no data"),
        (SONG[:-1], Kind.AUDIO, "damaged or not complete", None),
        (SONG[: -len(PAGE)], Kind.AUDIO, "damaged or not complete", None),
        (WEBM[:-1], Kind.VIDEO, "damaged or not complete", None),
        (b"\xff\xd8" + SEGMENT * 1001, Kind.IMAGE, "too complex", None),
    ],
)
def test_what_is_cut_is_refused_as_it_is(
    tmp_path: Path, content: bytes, kind: Kind, why: str, reason: str | None
) -> None:
    file = tmp_path / "upload"
    file.write_bytes(content)
    with capture_logs() as logged, pytest.raises(FileRefused, match=why):
        inspect_file(file, kind)
    assert file.read_bytes() == content
    expected = {"event": "mp4_refused", "kind": kind, "reason": reason, "log_level": "info"}
    assert logged == ([expected] if reason else [])


@pytest.mark.parametrize(
    ("kind", "head", "megabytes"),
    [
        (Kind.PHOTO, b"\xff\xd8\xff", 20),
        (Kind.IMAGE, b"\xff\xd8\xff", 20),
        (Kind.AUDIO, b"#!AMR\n", 5),
        (Kind.VIDEO, WEBM, 20),
    ],
)
def test_the_largest_file_of_a_kind(tmp_path: Path, kind: Kind, head: bytes, megabytes: int) -> None:
    file = tmp_path / "upload"
    file.write_bytes(head)
    for more_bytes, is_taken in ((0, True), (1, False)):
        with file.open("r+b") as opened:
            opened.truncate(megabytes * 1024 * 1024 + more_bytes)
        if is_taken:
            inspect_file(file, kind)
        else:
            with pytest.raises(FileRefused, match="too large"):
                inspect_file(file, kind)
