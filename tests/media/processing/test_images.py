"""Pictures: what comes out is the picture and nothing else, whatever went in."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import random
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from datingtoday.media.errors import FileRefused
from datingtoday.media.processing import images
from datingtoday.media.processing.images import MAX_SIDE_PX, ProcessedImage, process_image
from datingtoday.media.processing.inspect import Kind, inspect_file
from tests.media import image_samples as samples
from tests.media.heic_sample import heic
from tests.media.image_samples import SECRET, photo, saved

Process = Callable[..., ProcessedImage]
Make = Callable[[], bytes]

JUST_A_PICTURE = {0xE0, 0xDB, 0xC0, 0xC4}
"""JFIF, quantization, frame, Huffman: the segments that a JPEG cannot do without."""


@pytest.fixture
def process(tmp_path: Path) -> Process:
    def run(content: bytes, kind: Kind = Kind.PHOTO) -> ProcessedImage:
        file = tmp_path / "upload"
        file.write_bytes(content)
        return process_image(file, inspect_file(file, kind), kind)

    return run


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def tables(content: bytes) -> object:
    """Quantization tables of a JPEG."""
    image = Image.open(io.BytesIO(content))
    assert isinstance(image, JpegImageFile)
    return image.quantization


def near(one: object, other: tuple[int, ...], tolerance: int = 24) -> bool:
    assert isinstance(one, tuple)
    return all(abs(a - b) <= tolerance for a, b in zip(one, other, strict=True))


NEEDS_FFMPEG = pytest.mark.needs("ffmpeg")
"""HEIC samples are made with it."""


def heic_with_everything(tile: int = 0) -> bytes:
    return heic(640, 512, tile=tile, exif=b"Exif\0\0" + samples.exif(6)[6:])


@pytest.mark.parametrize(
    ("make", "size"),
    [
        pytest.param(samples.jpeg_with_everything, (640, 480), id="jpeg"),
        pytest.param(samples.png_with_everything, (480, 640), id="png"),
        pytest.param(samples.webp_with_everything, (480, 640), id="webp"),
        pytest.param(heic_with_everything, (640, 512), id="heic", marks=NEEDS_FFMPEG),
        pytest.param(lambda: heic_with_everything(128), (640, 512), id="tiled-heic", marks=NEEDS_FFMPEG),
    ],
)
def test_nothing_but_the_picture_survives(process: Process, make: Make, size: tuple[int, int]) -> None:
    content = make()
    assert SECRET in content
    result = process(content)
    assert (result.full.width, result.full.height) == size
    assert set(result.thumbs) == {"thumb", "medium"}
    for picture in (result.full, *result.thumbs.values()):
        assert SECRET not in picture.content
        assert set(samples.jpeg_segments(picture.content)) == JUST_A_PICTURE
        assert picture.content.endswith(b"\xff\xd9")
        assert picture.mime == "image/jpeg"
        assert picture.sha256 == hashlib.sha256(picture.content).hexdigest()
        image = opened(picture.content)
        assert (image.format, image.size) == ("JPEG", (picture.width, picture.height))
        assert not image.getexif() and set(image.info) <= {
            "jfif", "jfif_version", "jfif_unit", "jfif_density"
        }  # fmt: skip


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_upright(process: Process, orientation: int, image_format: str) -> None:
    upright = Image.new("RGB", (80, 48), "white")
    for at, colour in (((0, 0), "red"), ((40, 0), "lime"), ((0, 24), "blue")):
        upright.paste(colour, (*at, at[0] + 40, at[1] + 24))
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = upright if undo is None else upright.transpose(Image.Transpose(undo))
    result = process(saved(stored, image_format, exif=samples.exif(orientation)))
    for picture in (result.full, result.thumbs["thumb"]):
        image = opened(picture.content)
        assert image.size == (80, 48)
        for place, seen in (((20, 12), (255, 0, 0)), ((60, 12), (0, 255, 0)), ((20, 36), (0, 0, 255))):
            assert near(image.getpixel(place), seen, 40)


@NEEDS_FFMPEG
def test_heic_is_turned_once(process: Process) -> None:
    """The container turns it; EXIF, which says the same, must not turn it again."""
    result = process(heic(640, 480, quarter_turns=1, exif=b"Exif\0\0" + samples.exif(8)[6:]))
    assert (result.full.width, result.full.height) == (480, 640)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_colours_are_those_that_the_profile_means(process: Process, image_format: str) -> None:
    red = Image.new("RGB", (64, 64), "red")
    plain = opened(process(saved(red, image_format)).full.content)
    assert near(plain.getpixel((32, 32)), (255, 0, 0))
    meant = opened(process(saved(red, image_format, icc_profile=samples.swapped_profile())).full.content)
    assert near(meant.getpixel((32, 32)), (0, 0, 255))


@pytest.mark.parametrize("profile", [b"", b"x", b"\0" * 200, samples.swapped_profile()[:300]])
def test_a_broken_profile_is_none(process: Process, profile: bytes) -> None:
    result = process(saved(Image.new("RGB", (64, 64), "red"), "JPEG", icc_profile=profile))
    assert near(opened(result.full.content).getpixel((32, 32)), (255, 0, 0))


def test_broken_exif_is_none(process: Process) -> None:
    broken = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40
    assert process(saved(photo(64, 64), "JPEG", exif=broken)).full.width == 64


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_transparency_becomes_white(process: Process, mode: str, image_format: str) -> None:
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 32, 64))
    if mode == "PA":
        content = saved(image.quantize(4), "PNG")
    else:
        content = saved(
            image.convert(mode), image_format, **({"lossless": True} if image_format == "WEBP" else {})
        )
    shown = opened(process(content, Kind.IMAGE).full.content).convert("RGB")
    assert near(shown.getpixel((48, 32)), (255, 255, 255))
    assert near(shown.getpixel((16, 32)), (0, 0, 0))


def test_a_transparent_colour_becomes_white(process: Process) -> None:
    image = Image.new("RGB", (64, 64), (10, 200, 10))
    image.paste((0, 0, 90), (0, 0, 32, 64))
    shown = opened(process(saved(image, "PNG", transparency=(10, 200, 10))).full.content)
    assert near(shown.getpixel((48, 32)), (255, 255, 255))
    assert near(shown.getpixel((16, 32)), (0, 0, 90))


def test_sixteen_bits(process: Process) -> None:
    image = Image.new("I;16", (256, 64))
    for x in range(256):
        for y in range(64):
            image.putpixel((x, y), x * 257)
    shown = opened(process(saved(image, "PNG")).full.content).convert("L")
    for x in (8, 64, 128, 248):
        assert abs(shown.tobytes()[32 * 256 + x] - x) <= 6


@pytest.mark.parametrize(
    ("mode", "image_format"), [("1", "PNG"), ("L", "JPEG"), ("P", "PNG"), ("CMYK", "JPEG"), ("YCbCr", "JPEG")]
)
def test_other_modes(process: Process, mode: str, image_format: str) -> None:
    image = Image.new("RGB", (64, 64), "white")
    image.paste("black", (0, 0, 32, 64))
    shown = opened(process(saved(image.convert(mode), image_format)).full.content).convert("RGB")
    assert near(shown.getpixel((16, 32)), (0, 0, 0))
    assert near(shown.getpixel((48, 32)), (255, 255, 255))


@pytest.mark.parametrize(
    ("given", "full", "medium", "thumb"),
    [
        ((4000, 3000), (2000, 1500), (720, 540), (240, 180)),
        ((3000, 4000), (1500, 2000), (540, 720), (180, 240)),
        ((4032, 3024), (2000, 1500), (720, 540), (240, 180)),
        ((2001, 1000), (2000, 1000), (720, 360), (240, 120)),
        ((2000, 2000), (2000, 2000), (720, 720), (240, 240)),
        ((800, 600), (800, 600), (720, 540), (240, 180)),
        ((300, 200), (300, 200), (300, 200), (240, 160)),
        ((1, 1), (1, 1), (1, 1), (1, 1)),
        ((9000, 3), (2000, 1), (720, 1), (240, 1)),
    ],
)
def test_sizes(process: Process, given: tuple[int, int], full: object, medium: object, thumb: object) -> None:
    result = process(saved(Image.new("RGB", given, "gray"), "JPEG"))
    assert (result.full.width, result.full.height) == full
    assert (result.thumbs["medium"].width, result.thumbs["medium"].height) == medium
    assert (result.thumbs["thumb"].width, result.thumbs["thumb"].height) == thumb
    assert opened(result.full.content).size == full
    assert max(result.full.width, result.full.height) <= MAX_SIDE_PX


def test_pictures_are_stored_in_the_quality_of_their_size(process: Process) -> None:
    """High enough for a full screen, lower for a list: the file tells by its quantization tables."""
    made = process(saved(photo(3000, 2000), "JPEG"))
    for stored, quality in ((made.full, 85), (made.thumbs["medium"], 82), (made.thumbs["thumb"], 80)):
        assert tables(stored.content) == tables(saved(photo(8, 8), "JPEG", quality=quality))


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "MPO"])
def test_of_several_pictures_the_first(process: Process, image_format: str) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue", "lime")]
    content = saved(frames[0], image_format, save_all=True, append_images=frames[1:])
    shown = opened(process(content).full.content)
    assert near(shown.getpixel((32, 32)), (255, 0, 0))


POLYGLOT = b"<html><script>alert('" + SECRET + b"')</script></html>"


@pytest.mark.parametrize(
    "make",
    [
        lambda: saved(photo(), "JPEG") + POLYGLOT,
        lambda: saved(photo(), "JPEG") + b"PK\x03\x04" + POLYGLOT,
        lambda: saved(photo(), "JPEG", comment=POLYGLOT),
        lambda: saved(photo(), "PNG") + POLYGLOT,
        lambda: samples.png(2, 2, bytes(14), samples.chunk(b"tEXt", b"Comment\0" + POLYGLOT)),
        lambda: samples.png(2, 2, bytes(14), samples.chunk(b"ruSt", POLYGLOT)),
        lambda: saved(photo(), "WEBP") + POLYGLOT,
        pytest.param(lambda: heic(64, 64) + POLYGLOT, marks=NEEDS_FFMPEG),
    ],
)
def test_two_files_in_one_are_one_afterwards(process: Process, make: Make) -> None:
    content = make()
    assert SECRET in content
    result = process(content)
    for picture in (result.full, *result.thumbs.values()):
        assert SECRET not in picture.content
        assert b"script" not in picture.content


@pytest.mark.parametrize("part", [0.02, 0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: saved(photo(), "JPEG"), id="jpeg"),
        pytest.param(lambda: saved(photo(), "JPEG", progressive=True), id="progressive"),
        pytest.param(lambda: saved(photo(), "PNG"), id="png"),
        pytest.param(lambda: saved(photo(), "WEBP"), id="webp"),
        pytest.param(lambda: heic(640, 480), id="heic", marks=NEEDS_FFMPEG),
    ],
)
def test_what_is_cut_is_refused(process: Process, make: Make, part: float) -> None:
    content = make()
    with pytest.raises(FileRefused) as caught:
        process(content[: int(len(content) * part)])
    assert "JPEG, PNG, WebP or HEIC" in caught.value.message("en")
    assert "JPEG、PNG、WebP 或 HEIC" in caught.value.message("zh")


@pytest.mark.parametrize(
    "make",
    [
        lambda: samples.jpeg_claiming(65_000, 65_000),
        lambda: samples.jpeg_claiming(20_000, 10_500),
        lambda: samples.jpeg_claiming(7_100, 7_100, saved(photo(64, 64), "JPEG", progressive=True)),
        lambda: samples.png(60_000, 60_000, b""),
        lambda: samples.png(7_100, 7_100, b""),
        lambda: samples.webp_claiming(16_000, 16_000),
        lambda: saved(Image.new("RGB", (4_100, 4_100)), "WEBP", lossless=True, method=0),
        pytest.param(lambda: heic(640, 640, tile=128, claimed=(60_000, 60_000)), marks=NEEDS_FFMPEG),
        pytest.param(lambda: heic(8_192, 6_656, tile=512), marks=NEEDS_FFMPEG),
    ],
)
def test_too_many_pixels(process: Process, make: Make) -> None:
    content = make()
    assert len(content) < 200_000
    with pytest.raises(FileRefused, match="too many pixels"):
        process(content)


def test_impossible_dimensions(process: Process) -> None:
    with pytest.raises(FileRefused):
        process(samples.png(2**31 - 1, 2**31 - 1, b""))


def test_the_limit_is_named(process: Process) -> None:
    with pytest.raises(FileRefused) as caught:
        process(samples.jpeg_claiming(65_000, 65_000))
    assert "205 megapixels" in caught.value.message("en")
    assert "205 百万像素" in caught.value.message("zh")


@pytest.mark.parametrize("chunk_name", [b"zTXt", b"iTXt", b"iCCP"])
def test_bombs_in_metadata(process: Process, chunk_name: bytes) -> None:
    """50 MB of text or profile, zipped to 50 KB: refused, or not unpacked."""
    zipped = zlib.compress(bytes(50_000_000), 9)
    head = {b"zTXt": b"x\0\0", b"iTXt": b"x\0\1\0\0\0", b"iCCP": b"x\0\0"}[chunk_name]
    content = samples.png(2, 2, bytes(14), samples.chunk(chunk_name, head + zipped))
    with contextlib.suppress(FileRefused):
        assert process(content).full.width == 2


def test_endless_work_is_ended(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "LIMITS", dataclasses.replace(images.LIMITS, cpu_s=1))
    content = samples.endless_progressive_jpeg(600)
    assert len(content) < 20_000_000
    began = time.monotonic()
    with pytest.raises(FileRefused, match="complex"):
        process(content)
    assert time.monotonic() - began < 20


def test_too_little_memory_is_a_refusal(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = dataclasses.replace(images.LIMITS, memory_bytes=120 * 1024 * 1024)
    monkeypatch.setattr(images, "LIMITS", limits)
    with pytest.raises(FileRefused, match="memory"):
        process(samples.png(4_900, 4_900, color=6))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(samples.jpeg_with_everything, id="jpeg"),
        pytest.param(samples.png_with_everything, id="png"),
        pytest.param(samples.webp_with_everything, id="webp"),
        pytest.param(lambda: heic_with_everything(128), id="tiled-heic", marks=NEEDS_FFMPEG),
    ],
)
def test_noise_in_the_file_harms_nobody(process: Process, make: Make, seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray(make())
    for _ in range(chance.choice([1, 10, 200])):
        content[chance.randrange(12, len(content))] = chance.randrange(256)
    try:
        result = process(bytes(content))
    except FileRefused:
        return
    assert set(samples.jpeg_segments(result.full.content)) == JUST_A_PICTURE


def test_a_decoder_that_crashes_costs_the_upload_only(
    process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "crash.py"
    child.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(images, "_CHILD", str(child))
    with pytest.raises(FileRefused, match="damaged"):
        process(saved(photo(64, 64), "JPEG"))
