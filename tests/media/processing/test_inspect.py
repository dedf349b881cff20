"""Detection of file types by content."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datingtoday.media.errors import FileRefused
from datingtoday.media.processing.inspect import MAX_BYTES, TYPES, FileType, Kind, inspect_file, sniff
from tests.media.heic_sample import box, heic
from tests.media.image_samples import photo, saved


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "a")
    return stream.getvalue()


REFUSED = {
    "html": b"<!DOCTYPE html><html><script>alert(1)</script></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "xml": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "zip": zipped(),
    "gif": saved(photo(8, 8), "GIF"),
    "bmp": saved(photo(8, 8), "BMP"),
    "tiff": saved(photo(8, 8), "TIFF"),
    "ico": saved(photo(16, 16), "ICO"),
    "eps": saved(photo(8, 8), "EPS"),
    "jpeg 2000": saved(photo(32, 32), "JPEG2000"),
    "avif": saved(photo(64, 64), "AVIF"),
    "ppm": saved(photo(8, 8), "PPM"),
    "m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "concat": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
    "avi": b"RIFF\x24\0\0\0AVI LIST",
    "matroska": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1webm",
    "flac": b"fLaC\0\0\0\x22",
    "silk": b"\x02#!SILK_V3" + bytes(20),
    "jpeg xl": b"\xff\x0a" + bytes(20),
    "mpeg-ts": b"G@\0\x10" + bytes(200),
    "midi": b"MThd\0\0\0\6",
    "heic sequence": box(b"ftyp", b"hevc\0\0\0\0msf1hevc"),
    "ogg theora": b"OggS\0\2" + bytes(20) + b"\1\x2a\x80theora",
    "ogg flac": b"OggS\0\2" + bytes(20) + b"\1\x33\x7fFLAC",
    "mpeg layer 2": (b"\xff\xfd\x84\x04" + bytes(413)) * 3,
    "one mp3 frame": b"\xff\xfb\x90\x64" + bytes(500),
    "shell": b"#!/bin/sh\nrm -rf /\n",
    "python": b"import os\n",
    "elf": b"\x7fELF\2\1\1",
    "text": "你好".encode(),
    "zeros": bytes(10_000),
    "jpeg too late": b" " + saved(photo(8, 8), "JPEG"),
    "html before jpeg": b"<html>" + saved(photo(8, 8), "JPEG"),
    "an id3 tag and nothing": b"ID3\4\0\0\0\0\0\x20" + bytes(32),
    "an id3 tag that does not end": b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(32),
    "endless id3 tags": b"ID3\4\0\0\0\0\0\0" * 5000,
}


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("name", REFUSED)
def test_everything_else_is_refused(tmp_path: Path, name: str, kind: Kind) -> None:
    file = tmp_path / "photo.jpg"  # A name like this helps nobody.
    file.write_bytes(REFUSED[name])
    with pytest.raises(FileRefused) as caught:
        inspect_file(file, kind)
    assert caught.value.code == 1201
    expected = {"audio": "M4A", "video": "H.264"}.get(kind, "HEIC")
    assert expected in caught.value.message("en") and expected in caught.value.message("zh")


@pytest.mark.parametrize(
    ("make", "file_type"),
    [
        (lambda: saved(photo(8, 8), "JPEG"), FileType.JPEG),
        (lambda: saved(photo(8, 8), "PNG"), FileType.PNG),
        (lambda: saved(photo(8, 8), "WEBP"), FileType.WEBP),
        pytest.param(lambda: heic(64, 64), FileType.HEIC, marks=pytest.mark.needs("ffmpeg")),
    ],
)
def test_pictures(tmp_path: Path, make: Callable[[], bytes], file_type: FileType) -> None:
    file = tmp_path / "song.html"
    file.write_bytes(make())
    assert inspect_file(file, Kind.PHOTO) is file_type
    assert inspect_file(file, Kind.IMAGE) is file_type
    for kind in (Kind.AUDIO, Kind.VIDEO):
        with pytest.raises(FileRefused, match=file_type.upper()):
            inspect_file(file, kind)


@pytest.mark.parametrize("kind", Kind)
def test_empty_and_too_large(tmp_path: Path, kind: Kind) -> None:
    file = tmp_path / "upload"
    file.write_bytes(b"")
    with pytest.raises(FileRefused, match="empty"):
        inspect_file(file, kind)
    with file.open("wb") as opened:
        opened.truncate(MAX_BYTES[kind] + 1)
    with pytest.raises(FileRefused, match="too large"):
        inspect_file(file, kind)


@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda tail: b"\xff\xfb" + tail))
def test_noise(content: bytes) -> None:
    sniff(io.BytesIO(content))


@given(st.sampled_from(sorted(REFUSED)), st.binary(max_size=64))
def test_refused_types_with_noise_behind(name: str, tail: bytes) -> None:
    if name not in ("one mp3 frame", "an id3 tag and nothing", "zeros", "matroska"):
        assert sniff(io.BytesIO(REFUSED[name] + tail)) is None


@pytest.mark.parametrize(
    ("name", "en", "zh"),
    [
        ("gif", "it is a GIF", "GIF 动图"),
        ("avif", "an AVIF image", "AVIF"),
        ("tiff", "a TIFF or a RAW photo", "RAW 照片"),
        ("silk", "a SILK voice message", "SILK 语音"),
        ("avi", "an AVI video", "AVI 视频"),
        ("flac", "FLAC audio", "FLAC"),
        ("pdf", "a PDF", "PDF"),
        ("m3u8", "a playlist", "播放列表"),
        ("svg", "a page or an SVG image", "SVG"),
        ("heic sequence", "a sequence of HEIC images", "HEIC 连拍"),
    ],
)
def test_a_refused_type_is_named_with_what_to_send(tmp_path: Path, name: str, en: str, zh: str) -> None:
    file = tmp_path / "upload"
    file.write_bytes(REFUSED[name])
    with pytest.raises(FileRefused) as caught:
        inspect_file(file, Kind.AUDIO)
    assert en in caught.value.message("en") and "allowed: M4A" in caught.value.message("en")
    assert zh in caught.value.message("zh") and "允许：M4A" in caught.value.message("zh")


def test_films_are_of_three_types() -> None:
    assert TYPES[Kind.VIDEO] == {FileType.MP4, FileType.MOV, FileType.WEBM}
    assert TYPES[Kind.PHOTO] == TYPES[Kind.IMAGE]
