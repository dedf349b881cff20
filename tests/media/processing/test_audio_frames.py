"""Frames of audio files, against the tables of their standards."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from datingtoday.media.errors import FileRefused
from datingtoday.media.processing.audio_frames import is_adts, is_mp3
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
