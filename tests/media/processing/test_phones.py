"""Files as phones, browsers and messengers write them by default are taken, also those that are slightly off and that
galleries open; those that were cut in the middle are not."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from datingtoday.media.errors import FileRefused
from datingtoday.media.processing.audio_video import (
    ProcessedAudio,
    ProcessedVideo,
    process_audio,
    process_video,
)
from datingtoday.media.processing.ffmpeg import find_ffmpeg
from datingtoday.media.processing.images import ProcessedImage, process_image
from datingtoday.media.processing.inspect import Kind, inspect_file
from tests.media.av_samples import box, film, recorded, sound
from tests.media.heic_sample import heic
from tests.media.image_samples import photo, saved

pytestmark = pytest.mark.needs("ffmpeg")

Make = Callable[[], bytes]
PICTURE = "-f lavfi -i testsrc2=s=320x180:d=1:r=10"
SOUND = "-f lavfi -i sine=440:r=48000:d=1"
H264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p"
AV1 = "-c:v libaom-av1 -cpu-used 8 -usage realtime -pix_fmt yuv420p"


def watch(folder: Path, content: bytes) -> ProcessedVideo:
    file = folder / "upload"
    file.write_bytes(content)
    return process_video(file, inspect_file(file, Kind.VIDEO), find_ffmpeg())


def listen(folder: Path, content: bytes) -> ProcessedAudio:
    file = folder / "upload"
    file.write_bytes(content)
    return process_audio(file, inspect_file(file, Kind.AUDIO), find_ffmpeg())


def show(folder: Path, content: bytes, kind: Kind = Kind.IMAGE) -> ProcessedImage:
    file = folder / "upload"
    file.write_bytes(content)
    return process_image(file, inspect_file(file, kind), kind)


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


@cache
def written(options: str, suffix: str) -> bytes:
    return recorded(options, suffix)


FILMS = {
    "iPhone, H.264": (f"{PICTURE} {SOUND} {H264} -c:a aac", "mov", "video/mp4"),
    "iPhone, HEVC": (
        f"{PICTURE} {SOUND} -c:v libx265 -preset ultrafast -x265-params log-level=none -tag:v hvc1 -c:a aac",
        "mov",
        "video/mp4",
    ),
    "camera, PCM": (f"{PICTURE} {SOUND} {H264} -c:a pcm_s16le", "mov", "video/mp4"),
    "Chrome, VP8": (
        f"{PICTURE} {SOUND} -c:v libvpx -deadline realtime -c:a libopus -live 1",
        "webm",
        "video/webm",
    ),
    "Chrome, VP9": (
        f"{PICTURE} {SOUND} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus",
        "webm",
        "video/webm",
    ),
    "Android, AV1": (f"{PICTURE} {SOUND} {AV1} -c:a aac", "mp4", "video/mp4"),
    "Chrome, AV1": (f"{PICTURE} {SOUND} {AV1} -c:a libopus", "webm", "video/webm"),
    "Chrome, H.264 in Matroska": (
        f"{PICTURE} {SOUND} {H264} -c:a libopus -live 1 -f matroska",
        "webm",
        "video/mp4",
    ),
    "Chrome, MP4 with Opus": (f"{PICTURE} {SOUND} {H264} -c:a libopus -f mp4", "mp4", "video/mp4"),
    "fragmented MP4": (
        f"{PICTURE} {SOUND} {H264} -c:a aac -movflags frag_keyframe+empty_moov",
        "mp4",
        "video/mp4",
    ),
    "3GP": (f"{PICTURE} {SOUND} {H264} -c:a aac", "3gp", "video/mp4"),
}


@pytest.mark.parametrize("name", FILMS)
def test_films_of_phones_and_browsers(tmp_path: Path, name: str) -> None:
    options, suffix, mime = FILMS[name]
    result = watch(tmp_path, written(options, suffix))
    assert (result.mime, result.width, result.height) == (mime, 320, 180)
    assert 900 <= result.duration_ms <= 1200
    probe = find_ffmpeg()
    assert probe is not None
    file_type = inspect_file(result.file, Kind.VIDEO)
    codecs = [stream.codec for stream in probe.probe(result.file, file_type).streams]
    assert codecs[1] == ("opus" if mime == "video/webm" else "aac")


def amr() -> bytes:
    """A second of speech frames at 12.2 kbit/s."""
    return b"#!AMR\n" + b"".join(
        b"\x3c" + bytes((number * 7 + at) % 256 for at in range(31)) for number in range(50)
    )


def amr_in_3gp(folder: Path) -> bytes:
    (folder / "voice.amr").write_bytes(amr())
    return recorded(f"-i {folder / 'voice.amr'} -c copy", "3gp")


SOUNDS = {
    "Chrome, WebM": (f"{SOUND} -c:a libopus -live 1", "webm", "audio/ogg"),
    "Chrome, MP4 with Opus": (f"{SOUND} -c:a libopus -f mp4", "mp4", "audio/ogg"),
    "iPhone, lossless": (f"{SOUND} -c:a alac -f ipod", "m4a", "audio/mp4"),
    "QuickTime": (f"{SOUND} -c:a aac", "mov", "audio/mp4"),
    "WAV": (f"{SOUND} -ac 1", "wav", "audio/mp4"),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_sounds_of_phones_and_browsers(tmp_path: Path, name: str) -> None:
    options, suffix, mime = SOUNDS[name]
    result = listen(tmp_path, written(options, suffix))
    assert result.mime == mime
    assert 950 <= result.duration_ms <= 1150


@pytest.mark.parametrize("make", [lambda folder: amr(), amr_in_3gp], ids=["amr", "3gp"])
def test_voice_messages_of_old_recorders(tmp_path: Path, make: Callable[[Path], bytes]) -> None:
    result = listen(tmp_path, make(tmp_path))
    assert result.mime == "audio/mp4"
    assert 950 <= result.duration_ms <= 1150


def test_a_self_contained_alias_of_quicktime_is_taken(tmp_path: Path) -> None:
    content = written(*FILMS["iPhone, H.264"][:2])
    entry = b"\0\0\0\x0curl \0\0\0\1"
    assert entry in content
    assert watch(tmp_path, content.replace(entry, b"\0\0\0\x0calis\0\0\0\1")).width == 320


# -- slightly off


def test_a_webm_that_is_cut_is_refused(tmp_path: Path) -> None:
    content = written(*FILMS["Chrome, VP8"][:2])
    for part in (0.3, 0.6, 0.97):
        with pytest.raises(FileRefused, match="damaged"):
            watch(tmp_path, content[: int(len(content) * part)])


@pytest.mark.parametrize(
    "behind", [b"\0" * 7, b"SEFT" + bytes(20), b"\n", bytes(1000), b"\xff" * 40, box(b"junk", b"x")]
)
def test_what_is_appended_to_a_film_is_no_fault(tmp_path: Path, behind: bytes) -> None:
    content = film(seconds=1)
    assert watch(tmp_path, content + behind).width == 320


@pytest.mark.parametrize("more", ["", "-movflags +faststart"])
def test_a_film_that_is_cut_is_refused_whatever_was_appended(tmp_path: Path, more: str) -> None:
    content = film(seconds=1, more=more)
    for behind in (b"", b"SEFT" + bytes(20)):
        with pytest.raises(FileRefused, match="damaged"):
            watch(tmp_path, content[:-500] + behind)


@pytest.mark.parametrize("behind", [b"\0", b"TAG" + bytes(125), b"\r\n"])
def test_what_is_appended_to_a_sound_is_no_fault(tmp_path: Path, behind: bytes) -> None:
    content = sound("opus", 1.0)
    assert listen(tmp_path, content + behind).mime == "audio/ogg"
    at = content.rindex(b"OggS")
    for cut in (content[:-40], content[: at - 10] + behind + content[at:]):
        with pytest.raises(FileRefused, match="damaged"):
            listen(tmp_path, cut)


JPEGS: dict[str, Make] = {
    "baseline": lambda: saved(photo(640, 480), "JPEG"),
    "progressive": lambda: saved(photo(640, 480), "JPEG", progressive=True),
    "grey": lambda: saved(photo(640, 480).convert("L"), "JPEG"),
    "small": lambda: saved(photo(17, 9), "JPEG", quality=95),
}


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_without_its_end_mark_is_taken_and_a_cut_one_is_not(tmp_path: Path, name: str) -> None:
    content = JPEGS[name]()
    assert content.endswith(b"\xff\xd9")
    whole = show(tmp_path, content)
    assert show(tmp_path, content[:-2]).full.content == whole.full.content
    assert show(tmp_path, content + b"\0" * 100).full.content == whole.full.content
    for part in (0.5, 0.8, 0.95):
        with pytest.raises(FileRefused, match="damaged"):
            show(tmp_path, content[: max(int(len(content) * part), 1)])


def test_a_progressive_jpeg_that_ends_between_two_scans_is_cut(tmp_path: Path) -> None:
    content = saved(photo(640, 480), "JPEG", progressive=True)
    scans = [at for at in range(len(content) - 1) if content[at : at + 2] == b"\xff\xda"]
    last = content.rindex(b"\xff\xc4", 0, scans[-1])
    with pytest.raises(FileRefused, match="damaged"):
        show(tmp_path, content[: min(last, scans[-1])])


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_what_is_appended_to_a_picture_is_no_fault(tmp_path: Path, image_format: str) -> None:
    content = saved(photo(64, 48), image_format)
    assert show(tmp_path, content + b"junk" * 10).full.content == show(tmp_path, content).full.content


def test_a_png_without_its_end_is_taken(tmp_path: Path) -> None:
    content = saved(photo(64, 48), "PNG")
    assert content[-12:-4] == b"\0\0\0\0IEND"
    assert show(tmp_path, content[:-12]).full.content == show(tmp_path, content).full.content


# -- full resolution


def test_a_48_megapixel_heic_is_taken(tmp_path: Path) -> None:
    result = show(tmp_path, heic(8192, 6144, tile=512), Kind.PHOTO)
    assert (result.full.width, result.full.height) == (2000, 1500)


def test_a_200_megapixel_jpeg_is_taken(tmp_path: Path) -> None:
    content = saved(Image.new("L", (16_320, 12_240), 200), "JPEG", quality=30)
    result = show(tmp_path, content, Kind.PHOTO)
    assert (result.full.width, result.full.height) == (2000, 1500)
    assert _is_near(opened(result.full.content).getpixel((1000, 700)), (200, 200, 200))


# -- readable


def screenshot(width: int, height: int) -> Image.Image:
    """Black letters on white, with lines of single pixels."""
    page = Image.new("L", (width, height), "white")
    pen = ImageDraw.Draw(page)
    for y in range(0, height, 40):
        pen.text((20, y), "喜欢 text that a user wants to read 0123456789", fill="black")
        pen.line((0, y + 30, width, y + 30), fill="black")
    return page


@pytest.mark.parametrize(
    ("size", "image_format"), [((1080, 12_000), "PNG"), ((1170, 2532), "JPEG"), ((9000, 1000), "JPEG")]
)
def test_a_long_image_in_a_chat_stays_as_wide_as_a_screen(
    tmp_path: Path, size: tuple[int, int], image_format: str
) -> None:
    result = show(tmp_path, saved(screenshot(*size), image_format))
    assert min(result.full.width, result.full.height) >= min(min(size), 850)
    assert result.full.width * result.full.height <= 16_100_000
    for thumb in result.thumbs.values():
        sides = thumb.width, thumb.height
        assert max(sides) <= 3.1 * min(sides)
    # A photo of a profile stays within its square.
    plain = show(tmp_path, saved(screenshot(*size), image_format), Kind.PHOTO)
    assert max(plain.full.width, plain.full.height) <= 2000


def test_the_small_form_of_a_long_image_shows_its_beginning(tmp_path: Path) -> None:
    page = Image.new("RGB", (500, 8000), "blue")
    page.paste("red", (0, 0, 500, 1500))
    thumb = opened(show(tmp_path, saved(page, "PNG")).thumbs["medium"].content)
    assert _is_near(thumb.getpixel((thumb.width // 2, thumb.height - 20)), (255, 0, 0))


# -- colours


def coloured(primaries: str, transfer: str, matrix: str, codec: str = "libx265") -> bytes:
    """A film in one colour, (200, 60, 60) on an ordinary screen, whose white has 203 nits."""
    filters = (
        "scale=out_color_matrix=bt709,format=yuv444p,"
        "setparams=color_primaries=bt709:color_trc=iec61966-2-1:colorspace=bt709:range=tv,"
        f"zscale=t=linear:npl=203,format=gbrpf32le,zscale=p={primaries},"
        f"zscale=t={transfer}:m={matrix}:r=tv:npl=203,format={'yuv420p10le' if codec == 'libx265' else 'yuv420p'}"
    )
    quiet = "-x265-params log-level=none -tag:v hvc1" if codec == "libx265" else ""
    return recorded(
        f"-f lavfi -i color=c=0xC83C3C:s=320x240:d=0.5:r=10 -vf {filters} -c:v {codec} -preset ultrafast {quiet} "
        f"-color_primaries {primaries} -color_trc {transfer} -colorspace {matrix}",
        "mov",
    )


@pytest.mark.parametrize(
    ("primaries", "transfer", "matrix"),
    [
        ("bt2020", "arib-std-b67", "bt2020nc"),
        ("bt2020", "smpte2084", "bt2020nc"),
        ("smpte432", "iec61966-2-1", "bt709"),
        ("bt709", "iec61966-2-1", "bt709"),
        ("bt709", "iec61966-2-1", "smpte170m"),
    ],
)
def test_a_poster_has_the_colours_that_a_player_shows(
    tmp_path: Path, primaries: str, transfer: str, matrix: str
) -> None:
    codec = "libx265" if primaries != "bt709" else "libx264"
    thumbs = watch(tmp_path, coloured(primaries, transfer, matrix, codec)).thumbs
    for thumb in thumbs.values():
        assert _is_near(opened(thumb.content).getpixel((100, 80)), (200, 60, 60))


def test_a_poster_of_a_video_that_names_no_colours_is_of_an_ordinary_screen(tmp_path: Path) -> None:
    film = recorded(
        "-f lavfi -i color=c=0xC83C3C:s=320x240:d=0.5:r=10 -c:v libx264 -preset ultrafast -pix_fmt yuv420p",
        "mov",
    )
    for thumb in watch(tmp_path, film).thumbs.values():
        assert _is_near(opened(thumb.content).getpixel((100, 80)), (200, 60, 60))


def _is_near(found: object, wanted: tuple[int, int, int]) -> bool:
    assert isinstance(found, tuple)
    return all(abs(one - other) <= 6 for one, other in zip(found, wanted, strict=True))
