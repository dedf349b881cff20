"""Sounds and films: the streams come through, everything beside them stays behind."""

from __future__ import annotations

import io
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from datingtoday.media.errors import FileRefused
from datingtoday.media.processing.audio_video import (
    ProcessedAudio,
    ProcessedVideo,
    process_audio,
    process_video,
)
from datingtoday.media.processing.ffmpeg import find_ffmpeg
from datingtoday.media.processing.inspect import FileType, Kind, inspect_file
from tests.media import av_samples as samples
from tests.media.av_samples import PLACE, SOUNDS, film, recorded, sound
from tests.media.image_samples import SECRET

pytestmark = pytest.mark.needs("ffmpeg")

Listen = Callable[[bytes], ProcessedAudio]
Watch = Callable[[bytes], ProcessedVideo]
Make = Callable[[], bytes]


@pytest.fixture
def listen(tmp_path: Path) -> Listen:
    def run(content: bytes) -> ProcessedAudio:
        file = tmp_path / "upload"
        file.write_bytes(content)
        return process_audio(file, inspect_file(file, Kind.AUDIO), find_ffmpeg())

    return run


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    def run(content: bytes) -> ProcessedVideo:
        file = tmp_path / "upload"
        file.write_bytes(content)
        return process_video(file, inspect_file(file, Kind.VIDEO), find_ffmpeg())

    return run


def complaints(file: Path) -> str:
    """Messages of ffmpeg while it plays the whole file."""
    command = ["ffmpeg", "-v", "warning", "-nostdin", "-i", str(file), "-f", "null", "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


def packets(file: Path) -> list[str]:
    """Streams as `type,packets`."""
    show = "-count_packets -show_entries stream=codec_type,nb_read_packets -of csv=p=0"
    command = ["ffprobe", "-v", "error", *show.split(), str(file)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize("name", SOUNDS)
def test_sounds(listen: Listen, name: str) -> None:
    result = listen(sound(name))
    assert result.mime == SOUNDS[name][2]
    assert abs(result.duration_ms - 3000) <= 120
    assert complaints(result.file) == ""
    assert len(packets(result.file)) == 1


@pytest.mark.parametrize(
    ("size", "more", "shown"),
    [("320x180", "", (320, 180)), ("180x320", "", (180, 320)), ("318x178", "-an", (318, 178))],
)
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_films(
    watch: Watch, tmp_path: Path, codec: str, size: str, more: str, shown: tuple[int, int]
) -> None:
    content = film(codec, size, more=more)
    result = watch(content)
    assert (result.mime, result.width, result.height) == ("video/mp4", *shown)
    assert abs(result.duration_ms - 2000) <= 100
    assert complaints(result.file) == ""
    original = tmp_path / "original.mp4"
    original.write_bytes(content)
    assert packets(result.file) == packets(original)
    assert samples.kinds(result.file.read_bytes()) == [b"ftyp", b"moov", b"free", b"mdat"]
    for name, side in (("medium", 320), ("thumb", 240)):
        thumb = result.thumbs[name]
        assert Image.open(io.BytesIO(thumb.content)).size == (thumb.width, thumb.height)
        assert max(thumb.width, thumb.height) == min(side, max(shown))
        assert abs(thumb.width / thumb.height - shown[0] / shown[1]) < 0.03


def test_apple_plays_h265_under_one_name_only(watch: Watch) -> None:
    content = recorded(
        "-f lavfi -i testsrc2=s=64x64:d=1:r=5 -c:v libx265 -x265-params log-level=none -tag:v hev1", "mp4"
    )
    assert b"hev1" in content
    assert b"hvc1" in watch(content).file.read_bytes()


def test_a_film_that_lies_on_its_side(watch: Watch) -> None:
    def turn(inside: bytes) -> bytes:
        # The matrix of the track: a quarter turn, as phones write it.
        one, none = 0x10000, 0
        matrix = struct.pack(">9i", none, one, none, -one, none, none, none, none, 0x40000000)
        return inside[:40] + matrix + inside[76:]

    result = watch(samples.changed_box(film(more="-an"), b"tkhd", turn))
    assert (result.width, result.height) == (180, 320)
    assert (result.thumbs["medium"].width, result.thumbs["medium"].height) == (180, 320)
    assert b"\0\1\0\0\0\0\0\0" in result.file.read_bytes()  # Players must still turn it.


def test_nothing_but_sound_and_picture_survives(watch: Watch) -> None:
    content = samples.film_with_everything()
    assert content.count(SECRET) > 10 and PLACE.encode() in content
    result = watch(content)
    stored = result.file.read_bytes()
    assert SECRET not in stored and SECRET not in b"".join(one.content for one in result.thumbs.values())
    assert PLACE.encode() not in stored
    assert [entry.split(",")[0] for entry in packets(result.file)] == ["video", "audio"]
    (header,) = [inside for kind, inside in samples.boxes(stored) if kind == b"moov"]
    for kind in (b"uuid", b"tmcd", b"chap", b"\xa9xyz", b"\xa9too", b"keys"):
        assert kind not in header
    assert header.count(b"udta") == 1 and header.endswith(samples.box(b"ilst", b""))  # An empty list of tags.
    assert header.count(b"mdhd") == 2 and header.count(b"\x55\xc4\0\0") == 2  # Of no language.
    film_header = dict(samples.boxes(header))[b"mvhd"]
    assert film_header[4:12] == bytes(8)  # When it was made and changed.


@pytest.mark.parametrize("name", SOUNDS)
def test_nothing_but_sound_survives(listen: Listen, name: str) -> None:
    secret = SECRET.decode()
    more = f"-metadata title={secret} -metadata comment={secret} -metadata location={PLACE}"
    content = sound(name, more=more)
    if name in ("mp3", "adts"):
        content = samples.id3(SECRET) + content + b"TAG" + SECRET.ljust(125, b"\0")
    assert SECRET in content
    stored = listen(content).file.read_bytes()
    assert SECRET not in stored and PLACE.encode() not in stored


def test_a_cover_is_no_film(listen: Listen, tmp_path: Path) -> None:
    cover, plain = tmp_path / "cover.jpg", tmp_path / "plain.m4a"
    cover.write_bytes(recorded("-f lavfi -i testsrc2=s=64x64 -frames:v 1", "jpg"))
    plain.write_bytes(sound("m4a"))
    for suffix, codec in (("m4a", "aac"), ("mp3", "libmp3lame")):
        content = recorded(
            f"-i {plain} -i {cover} -map 0 -map 1 -c:a {codec} -c:v copy -disposition:v attached_pic", suffix
        )
        stored = listen(content).file
        assert [entry.split(",")[0] for entry in packets(stored)] == ["audio"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: film("mpeg4"), "mpeg4"),
        (lambda: film(more="-c:a ac3"), "ac3"),
        (lambda: film(more="-vn"), "no such stream"),
        (lambda: film(size="4352x128", seconds=0.2), "4352x128"),
        (lambda: film(size="3200x3200", seconds=0.2), "3200x3200"),
    ],
)
def test_other_films_are_refused(watch: Watch, make: Make, said: str) -> None:
    with pytest.raises(FileRefused, match=said) as caught:
        watch(make())
    assert "MP4" in caught.value.message("en") and "MP4" in caught.value.message("zh")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (film, "a video, not audio"),
        (lambda: recorded("-f lavfi -i sine=d=1 -c:a ac3", "mp4"), "ac3"),
        (lambda: recorded("-f lavfi -i sine=d=1 -c:a flac", "ogg"), "no known type"),
    ],
)
def test_other_sounds_are_refused(listen: Listen, make: Make, said: str) -> None:
    with pytest.raises(FileRefused, match=said) as caught:
        listen(make())
    assert "M4A" in caught.value.message("en") and "M4A" in caught.value.message("zh")


@pytest.mark.parametrize("name", SOUNDS)
def test_a_minute_and_no_more(listen: Listen, name: str) -> None:
    whole = listen(sound(name, 60.0))
    assert 59_900 <= whole.duration_ms <= 60_000
    with pytest.raises(FileRefused, match="60 seconds"):
        listen(sound(name, 61.5))


def test_headers_that_lie_about_the_duration(listen: Listen, watch: Watch) -> None:
    long = samples.with_durations(sound("m4a", 75.0, "-use_editlist 0"), 1)
    with pytest.raises(FileRefused, match="60 seconds"):
        listen(long)
    mp3 = sound("mp3", 75.0)
    at = mp3.index(b"Xing") + 8
    with pytest.raises(FileRefused, match="60 seconds"):
        listen(mp3[:at] + struct.pack(">I", 40) + mp3[at + 4 :])
    claimed = samples.with_durations(film(more="-use_editlist 0"), 3600)
    assert abs(watch(claimed).duration_ms - 2000) <= 200


@pytest.mark.parametrize("part", [0.01, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("name", ["m4a", "opus", "vorbis"])
def test_sounds_that_are_cut(listen: Listen, name: str, part: float) -> None:
    content = sound(name)
    with pytest.raises(FileRefused):
        listen(content[: int(len(content) * part)])


@pytest.mark.parametrize("name", ["mp3", "adts"])
def test_sounds_without_an_end(listen: Listen, name: str) -> None:
    """A file that was cut is a shorter file, and says so."""
    content = sound(name)
    assert 1200 < listen(content[: len(content) // 2]).duration_ms < 1800


@pytest.mark.parametrize("part", [0.001, 0.01, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("more", ["", "-movflags +faststart", "-movflags frag_keyframe+empty_moov"])
def test_films_that_are_cut(watch: Watch, more: str, part: float) -> None:
    content = film(more=more)
    with pytest.raises(FileRefused):
        watch(content[: int(len(content) * part)])


@pytest.mark.parametrize("name", ["m4a", "opus"])
def test_noise_in_the_place_of_sound(listen: Listen, name: str) -> None:
    content = bytearray(sound(name))
    at = content.index(b"mdat") + 4 if name == "m4a" else 400
    content[at : at + 12_000] = bytes(index * 7919 % 251 for index in range(12_000))
    with pytest.raises(FileRefused):
        listen(bytes(content))


def test_noise_in_the_place_of_a_film(watch: Watch) -> None:
    content = bytearray(film(more="-an"))
    at = content.index(b"mdat") + 4
    end = content.index(b"moov") - 4
    content[at:end] = bytes(index * 7919 % 251 for index in range(end - at))
    with pytest.raises(FileRefused):
        watch(bytes(content))


def test_where_ffmpeg_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "upload"
    file.write_bytes(sound("m4a"))
    for attempt in (process_audio, process_video):
        with pytest.raises(FileRefused, match="not enabled on this server") as caught:
            attempt(file, FileType.MP4, None)
        assert "未启用音频和视频" in caught.value.message("zh")
        assert caught.value.code == 1201


def test_finding_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ffmpeg", "ffprobe"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    found = find_ffmpeg(str(tmp_path))
    assert found is not None
    assert (found.ffmpeg, found.ffprobe) == (str(tmp_path / "ffmpeg"), str(tmp_path / "ffprobe"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg() == found
    (tmp_path / "ffprobe").unlink()
    assert find_ffmpeg() is None
    with pytest.raises(ValueError, match="ffprobe"):
        find_ffmpeg(str(tmp_path))
    monkeypatch.setenv("PATH", "")
    assert find_ffmpeg() is None
