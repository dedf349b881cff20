"""Decisions about audio and video by what ffprobe says, without ffmpeg: durations, sizes, codecs, streams."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from datingtoday.media.errors import FileRefused
from datingtoday.media.processing import audio_video
from datingtoday.media.processing.audio_video import check_size, process_audio, process_video
from datingtoday.media.processing.ffmpeg import CodecNotAllowed, FfmpegFailed, Probe, Stream
from datingtoday.media.processing.inspect import FileType


class Scripted:
    """Says what it is told to of every file, and notes what it is to write."""

    deadline = math.inf

    def __init__(self, *probes: Probe) -> None:
        self.probes = list(probes)
        self.written: list[list[str]] = []

    def probe(self, file: Path, file_type: FileType) -> Probe:
        return self.probes.pop(0)

    def write(self, file: Path, file_type: FileType, target: Path, options: Any) -> None:
        self.written.append(list(options))
        target.touch()


@pytest.fixture(autouse=True)
def poster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images have tests of their own."""
    made = SimpleNamespace(thumbs={})
    monkeypatch.setattr(audio_video, "process_image", lambda *_, **__: made)


def stream(kind: str, codec: str, index: int = 0, *, cover: bool = False, rotation: int = 0) -> Stream:
    return Stream(index, kind, codec, 640, 480, rotation, cover)


def sound(
    tmp_path: Path, *streams: Stream, duration_ms: int = 1000, file_type: FileType = FileType.MP4
) -> tuple[Any, list[str]]:
    tools: Any = Scripted(Probe(streams, duration_ms), Probe(streams[:1], duration_ms))
    made = process_audio(tmp_path / "upload", file_type, tools)
    return made, tools.written[0]


@pytest.mark.parametrize(
    ("duration_ms", "told_ms"), [(1, 1), (59_999, 59_999), (60_000, 60_000), (60_500, 60_000)]
)
def test_sounds_of_up_to_60_seconds(tmp_path: Path, duration_ms: int, told_ms: int) -> None:
    """Half a second more is what encoders add."""
    assert sound(tmp_path, stream("audio", "aac"), duration_ms=duration_ms)[0].duration_ms == told_ms


@pytest.mark.parametrize(("duration_ms", "why"), [(0, "damaged"), (60_501, "longer than 60 seconds")])
def test_sounds_of_no_length_or_more(tmp_path: Path, duration_ms: int, why: str) -> None:
    with pytest.raises(FileRefused, match=why):
        sound(tmp_path, stream("audio", "aac"), duration_ms=duration_ms)


@pytest.mark.parametrize(
    ("streams", "why"),
    [
        ([stream("video", "h264"), stream("audio", "aac", 1)], "it is a video"),
        ([stream("data", "bin")], "no such stream"),
        ([stream("audio", "ac3")], "coded as ac3"),
    ],
)
def test_other_files_are_no_sounds(tmp_path: Path, streams: list[Stream], why: str) -> None:
    with pytest.raises(FileRefused, match=why):
        sound(tmp_path, *streams)


def test_a_cover_makes_no_video_of_a_song(tmp_path: Path) -> None:
    _, options = sound(
        tmp_path, stream("video", "mjpeg", cover=True), stream("audio", "mp3", 1), file_type=FileType.MP3
    )
    assert options.count("0:1") == 2
    # The header may lie: no more than two seconds beyond the limit are decoded, or copied.
    assert [options[at + 1] for at, word in enumerate(options) if word == "-t"] == ["62", "62"]


@pytest.mark.parametrize(
    ("codec", "file_type", "mime", "has", "has_not"),
    [
        ("aac", FileType.MP4, "audio/mp4", "ipod", "aac_adtstoasc"),
        ("aac", FileType.ADTS, "audio/mp4", "aac_adtstoasc", "96k"),
        ("opus", FileType.WEBM, "audio/ogg", "ogg", "aac"),
        ("pcm_s16le", FileType.WAV, "audio/mp4", "96k", "32k"),
        ("amr_nb", FileType.AMR, "audio/mp4", "32k", "96k"),
    ],
)
def test_formats_of_what_is_stored(
    tmp_path: Path, codec: str, file_type: FileType, mime: str, has: str, has_not: str
) -> None:
    made, options = sound(tmp_path, stream("audio", codec), file_type=file_type)
    assert made.mime == mime
    assert has in options and has_not not in options


def film(
    tmp_path: Path, *streams: Stream, duration_ms: int = 1000, file_type: FileType = FileType.MP4
) -> tuple[Any, list[str]]:
    tools: Any = Scripted(Probe(streams, duration_ms), Probe(streams, duration_ms))
    made = process_video(tmp_path / "upload", file_type, tools)
    return made, tools.written[0]


@pytest.mark.parametrize(
    ("rotation", "size"), [(0, (640, 480)), (90, (480, 640)), (180, (640, 480)), (-90, (480, 640))]
)
def test_films_are_as_wide_as_they_are_shown(tmp_path: Path, rotation: int, size: tuple[int, int]) -> None:
    made, _ = film(tmp_path, stream("video", "h264", rotation=rotation))
    assert (made.width, made.height, made.mime, made.duration_ms) == (*size, "video/mp4", 1000)


def test_a_film_of_no_length_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="damaged"):
        film(tmp_path, stream("video", "h264"), duration_ms=0)
    assert film(tmp_path, stream("video", "h264"), duration_ms=1)[0].duration_ms == 1


@pytest.mark.parametrize(
    ("video", "audio", "file_type", "mime", "is_encoded"),
    [
        ("h264", "aac", FileType.MP4, "video/mp4", False),
        ("h264", "pcm_s16le", FileType.MOV, "video/mp4", True),
        ("h264", "opus", FileType.WEBM, "video/mp4", True),
        ("vp9", "opus", FileType.WEBM, "video/webm", False),
        ("vp9", "opus", FileType.MP4, "video/mp4", True),
        ("hevc", "aac", FileType.MOV, "video/mp4", False),
        ("vp9", None, FileType.WEBM, "video/webm", False),
    ],
)
def test_streams_that_players_take_are_copied(
    tmp_path: Path, video: str, audio: str | None, file_type: FileType, mime: str, is_encoded: bool
) -> None:
    streams = [stream("video", video), *([stream("audio", audio, 1)] if audio else [])]
    made, options = film(tmp_path, *streams, file_type=file_type)
    assert made.mime == mime
    assert ("96k" in options) is is_encoded
    assert ("hvc1" in options) is (video == "hevc")
    assert ("0:1" in options) is (audio is not None)


@pytest.mark.parametrize(
    ("streams", "file_type", "why"),
    [
        ([stream("video", "mpeg4")], FileType.MP4, "coded as mpeg4"),
        ([stream("audio", "aac")], FileType.MP4, "no such stream"),
        ([stream("video", "mjpeg", cover=True)], FileType.MP4, "no such stream"),
        ([stream("video", "h264"), stream("audio", "ac3", 1)], FileType.MP4, "coded as ac3"),
        ([stream("video", "vp9"), stream("audio", "pcm_s16le", 1)], FileType.WEBM, "coded as pcm_s16le"),
    ],
)
def test_other_films_are_refused(
    tmp_path: Path, streams: list[Stream], file_type: FileType, why: str
) -> None:
    with pytest.raises(FileRefused, match=why):
        film(tmp_path, *streams, file_type=file_type)


@pytest.mark.parametrize(
    ("width", "height", "why"),
    [
        (4096, 2160, None),
        (2160, 4096, None),
        (1, 1, None),
        (4097, 100, "too large"),
        (100, 4097, "too large"),
        (3800, 2500, None),
        (3800, 2501, "too large"),
        (0, 480, "damaged"),
        (640, 0, "damaged"),
    ],
)
def test_pictures_of_up_to_4k(width: int, height: int, why: str | None) -> None:
    """At most 4096 pixels on a side, and 9.5 million."""
    video = Stream(0, "video", "h264", width, height, 0, False)
    if why is None:
        check_size(video)
        return
    with pytest.raises(FileRefused, match=why):
        check_size(video)


def test_a_film_whose_picture_is_too_large_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    tools: Any = Scripted(Probe([replace(stream("video", "h264"), width=4097)], 1000))
    with pytest.raises(FileRefused, match="4097x480; at most 4K"):
        process_video(tmp_path / "upload", FileType.MP4, tools)
    assert tools.written == []


@pytest.mark.parametrize("is_said_again", [True, False])
def test_a_poster_has_the_colours_of_what_is_stored(tmp_path: Path, is_said_again: bool) -> None:
    """What the stored file does not say is that of the upload."""
    uploaded = stream("video", "h264")
    stored = [replace(uploaded, width=1920, height=1080)] if is_said_again else []
    tools: Any = Scripted(Probe([uploaded], 1000), Probe(stored, 1000))
    process_video(tmp_path / "upload", FileType.MP4, tools)
    (filters,) = [word for word in tools.written[1] if "in_color_matrix" in word]
    assert f"in_color_matrix={'bt709' if is_said_again else 'bt601'}:" in filters


@pytest.mark.parametrize("process", [process_audio, process_video])
@pytest.mark.parametrize(
    ("error", "why"),
    [(FfmpegFailed("it crashed"), "damaged or not complete"), (CodecNotAllowed("mpeg4"), "coded as mpeg4")],
)
def test_a_failure_refuses_the_file_and_is_written_down(
    tmp_path: Path, process: Callable[..., Any], error: FfmpegFailed, why: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    kind = "audio" if process is process_audio else "video"
    with capture_logs() as logged, pytest.raises(FileRefused, match=why):
        process(tmp_path / "upload", FileType.MOV, SimpleNamespace(probe=fail))
    expected = {"event": "ffmpeg_failed", "kind": kind, "file_type": "mov", "error": str(error)}
    assert logged == [{**expected, "log_level": "info"}]
    with pytest.raises(FileRefused, match="not enabled on this server"):
        process(tmp_path / "upload", FileType.MOV, None)
