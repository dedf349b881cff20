"""Frames of audio files, against the tables of their standards."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from datingtoday.media.errors import FileRefused
from datingtoday.media.processing.audio_frames import is_adts, is_mp3, start_of_frames, whole_pages_bytes
from datingtoday.media.processing.inspect import Kind, inspect_file
from tests.media.av_samples import recorded

# ISO/IEC 11172-3 and 13818-3, layer III: kbit/s by index from 1; Hz by index; samples of a frame.
MPEG_1 = ([32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320], [44100, 48000, 32000], 1152)
MPEG_2 = ([8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160], [22050, 24000, 16000], 576)
MPEG_2_5 = (MPEG_2[0], [11025, 12000, 8000], 576)
VERSIONS = {3: MPEG_1, 2: MPEG_2, 0: MPEG_2_5}


def mp3_frames(version: int, bitrate: int, rate: int, padding: int) -> tuple[bytes, int]:
    """A frame's header, and its length; all else is zeros."""
    kbits, rates_hz, samples = VERSIONS[version]
    length = samples // 8 * kbits[bitrate - 1] * 1000 // rates_hz[rate] + padding
    return bytes([0xFF, 0xE3 | version << 3, bitrate << 4 | rate << 2 | padding << 1, 0]), length


@pytest.mark.parametrize("version", VERSIONS)
def test_mp3_is_told_by_two_frames_of_any_kind(version: int) -> None:
    for bitrate in range(1, 15):
        for rate in range(3):
            for padding in (0, 1):
                head, length = mp3_frames(version, bitrate, rate, padding)
                name = (version, bitrate, rate, padding)
                frames = head + bytes(length - 4) + head
                assert is_mp3(io.BytesIO(b"ID" + frames), 2), name
                assert not is_mp3(io.BytesIO(head + bytes(length - 3) + head), 0), name
                assert not is_mp3(io.BytesIO(head + bytes(length - 5) + head), 0), name


@pytest.mark.parametrize(
    "head",
    [
        b"\xff\xfb\x00\x00",  # free bitrate
        b"\xff\xfb\xf0\x00",  # no bitrate
        b"\xff\xfb\x9c\x00",  # no sampling rate
        b"\xff\xeb\x90\x00",  # no version
        b"\xff\xfd\x90\x00",  # layer II
        b"\xfe\xfb\x90\x00",
    ],
)
def test_other_headers_are_no_mp3(head: bytes) -> None:
    assert not is_mp3(io.BytesIO(head + bytes(413) + head + bytes(413)), 0)


@pytest.mark.parametrize(("rate", "is_one"), [(12, True), (13, False), (15, False)])
@pytest.mark.parametrize("length", [8, 300, 8191])
def test_adts_is_told_by_two_frames(rate: int, is_one: bool, length: int) -> None:
    head = bytes([0xFF, 0xF1, 0x40 | rate << 2, length >> 11, length >> 3 & 0xFF, (length & 7) << 5, 0])
    assert is_adts(io.BytesIO(head + bytes(length - 7) + head), 0) == is_one
    assert not is_adts(io.BytesIO(head + bytes(length - 6) + head), 0)


@pytest.mark.needs("ffmpeg")
def test_an_ogg_file_that_is_cut_in_a_page_is_refused_and_an_appendix_is_cut_off(tmp_path: Path) -> None:
    whole = recorded("-f lavfi -i sine=d=3 -c:a libopus", "ogg")
    file = tmp_path / "file"
    for content in (whole[:-10], whole[:200]):
        file.write_bytes(content)
        with pytest.raises(FileRefused):
            inspect_file(file, Kind.AUDIO)
        assert file.read_bytes() == content
    file.write_bytes(whole + b"appended by a gallery")
    inspect_file(file, Kind.AUDIO)
    assert file.read_bytes() == whole


def id3(length: tuple[int, int, int, int], flags: int = 0) -> bytes:
    return b"ID3\4\0" + bytes([flags, *length])


@pytest.mark.parametrize(
    ("content", "start"),
    [
        (b"", 0),
        (b"\xff\xfb", 0),
        (id3((0, 0, 0, 5)) + b"title\xff\xfb", 15),
        (id3((0, 0, 1, 2)) + b"t" * 130 + b"\xff", 140),
        (id3((0, 1, 0, 3)) + b"t" * 16387 + b"\xff", 16397),
        (id3((1, 0, 0, 0)), 10 + 2097152),
        (id3((0, 0, 0, 127)) + b"t" * 127 + b"\xff", 137),
        (id3((0, 0, 0, 128)) + b"t" * 128 + b"\xff", 0),
        (id3((128, 0, 0, 5)) + b"title\xff", 0),
        (id3((0x10, 0, 0, 0)), 10 + (0x10 << 21)),
        (id3((0, 0, 0, 5), 0x10) + b"title" + bytes(10) + b"\xff", 25),
        (id3((0, 0, 0, 5), 0xEF) + b"title" + b"\xff", 15),
        (id3((0, 0, 0, 5)) + b"title" + id3((0, 0, 0, 1)) + b"t\xff", 26),
        (id3((0, 0, 0, 5))[:9], 0),
        (id3((0, 0, 0, 5)).replace(b"ID3", b"ID2") + b"title", 0),
        (bytes(4096) + b"\xff", 4096),
        (bytes(4097) + b"\xff", 4096),
        (id3((0, 0, 0, 0)) + bytes(3) + b"\xff", 13),
        (id3((0, 0, 0, 0)) * 32 + b"\xff", 320),
        (id3((0, 0, 0, 0)) * 33 + b"\xff", 320),
    ],
)
def test_audio_begins_after_tags_and_zeros(content: bytes, start: int) -> None:
    assert start_of_frames(io.BytesIO(content)) == start


@pytest.mark.parametrize("head", [b"\xff\xf1", b"\xff\xf0", b"\xff\xf8", b"\xff\xf9"])
def test_adts_of_both_versions_with_and_without_checksum(head: bytes) -> None:
    frame = head + b"\x50\x80\x02\x60\xfc" + bytes(12)
    assert is_adts(io.BytesIO(frame * 2), 0)
    assert not is_adts(io.BytesIO(frame + frame[:6]), 0)
    assert not is_adts(io.BytesIO(b"\xfe" + frame[1:] + frame), 0)
    assert not is_adts(io.BytesIO(bytes([0xFF, head[1] | 2]) + frame[2:] + frame), 0)
    assert not is_adts(io.BytesIO((head + b"\x50\x80\0\xe0\xfc") * 2), 0), "a frame is longer than its header"


def page(content: bytes, segments: int = 1) -> bytes:
    lengths = [len(content)] + [0] * (segments - 1)
    return b"OggS\0" + bytes(21) + bytes([segments, *lengths]) + content


THREE_PAGES = page(b"header") + page(b"comments", 3) + page(b"a" * 200 + b"OggS", 255)


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (THREE_PAGES, len(THREE_PAGES)),
        (THREE_PAGES + page(b""), len(THREE_PAGES) + 28),
        (page(b"header") + page(b"comments"), 0),
        (b"", 0),
        (THREE_PAGES[:-1], 0),
        (THREE_PAGES + page(b"more")[:-1], 0),
        (THREE_PAGES + page(b"more")[:27], 0),
        (THREE_PAGES + page(b"more")[:26], 0),
        (THREE_PAGES + b"OggS", 0),
        (THREE_PAGES + b"Og", 0),
        (THREE_PAGES + b"appended by a gallery", len(THREE_PAGES)),
        (THREE_PAGES + b"appended", len(THREE_PAGES)),
        (THREE_PAGES + b"OggX" + bytes(30), len(THREE_PAGES)),
        (THREE_PAGES + b"lost" + page(b"more"), 0),
        (THREE_PAGES + b"lost" * 20 + page(b"more"), 0),
        (page(b"header") + page(b"comments") + b"lost" * 20 + page(b"more"), 0),
        (b"lost" + THREE_PAGES, 0),
    ],
)
def test_pages_of_an_ogg_file(content: bytes, kept: int) -> None:
    assert whole_pages_bytes(io.BytesIO(content), len(content)) == kept
