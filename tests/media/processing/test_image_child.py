"""The program that decodes images, in this process: its sizes, modes, colours and answers."""

from __future__ import annotations

import io
import json
import struct
import warnings
from pathlib import Path
from typing import Any

import pi_heif
import pytest
from PIL import Image, ImageCms

from datingtoday.media.processing import image_child
from datingtoday.media.processing.image_child import Fit, Refused
from tests.media.heic_sample import heic
from tests.media.image_samples import photo, saved, swapped_profile

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""The program leaves it to its end to close the file."""

SCREENSHOTS = {"shortest": 1080, "max_pixels": 16_000_000, "max_side": 32_000}


def four_colours(size: tuple[int, int] = (80, 48)) -> Image.Image:
    image = Image.new("RGB", size, "white")
    half = size[0] // 2, size[1] // 2
    for at, colour in (((0, 0), "red"), ((half[0], 0), "lime"), ((0, half[1]), "blue")):
        image.paste(colour, (*at, at[0] + half[0], at[1] + half[1]))
    return image


# --- sizes


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ((4000, 3000), (240, 180)),
        ((240, 180), (240, 180)),
        ((10, 10), (10, 10)),
        ((9000, 3), (240, 1)),
        ((3, 9000), (1, 240)),
        ((60_000, 30_000), (240, 120)),
    ],
)
def test_fits_into_a_square(given: tuple[int, int], size: tuple[int, int]) -> None:
    assert Fit(240).size(given) == size


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ((4000, 3000), (2000, 1500)),
        ((1080, 9000), (1080, 9000)),
        ((2160, 4320), (1080, 2160)),
        ((4320, 2160), (2160, 1080)),
        ((1080, 20_000), (930, 17_213)),
        ((100, 40_000), (80, 32_000)),
        ((300, 200), (300, 200)),
    ],
)
def test_screenshots_stay_as_wide_as_a_screen(given: tuple[int, int], size: tuple[int, int]) -> None:
    assert Fit(2000, **SCREENSHOTS).size(given) == size


@pytest.mark.parametrize(
    ("given", "size"), [((100, 1000), (100, 300)), ((1000, 100), (300, 100)), ((100, 300), (100, 300))]
)
def test_small_forms_show_the_beginning_of_a_long_image(
    given: tuple[int, int], size: tuple[int, int]
) -> None:
    image = Image.new("L", given, 255)
    image.putpixel((0, 0), 7)
    beginning = image_child.beginning_of(image)
    assert (beginning.size, beginning.getpixel((0, 0))) == (size, 7)


@pytest.mark.parametrize(
    ("readable", "sizes"),
    [
        (SCREENSHOTS, {"full": (1080, 4000), "medium": (240, 720), "thumb": (80, 240)}),
        ({}, {"full": (540, 2000), "medium": (194, 720), "thumb": (65, 240)}),
    ],
)
def test_long_images_in_all_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readable: dict[str, int], sizes: dict[str, Any]
) -> None:
    file = written(tmp_path, saved(Image.new("L", (1080, 4000)), "PNG"))
    assert answer(monkeypatch, job(file, "PNG", readable=readable)) == {"images": sizes}


@pytest.mark.parametrize(
    ("size", "target", "factor", "most_rows"),
    [
        ((3000, 4000), (1500, 2000), 2, 1332),
        ((1999, 1001), (999, 500), 2, 2000),
        ((5_000_000, 3), (4_000_000, 3), 1, 1),
        # The side of which less has to go decides: the other one would get smaller than wanted.
        ((900, 30), (90, 10), 3, 30),
        ((30, 900), (10, 90), 3, 900),
    ],
)
def test_large_images_are_made_smaller_in_strips_of_4_megapixels(
    size: tuple[int, int], target: tuple[int, int], factor: int, most_rows: int
) -> None:
    whole = Image.radial_gradient("L").resize(size)
    strips: list[tuple[int, int]] = []

    def strip(top: int, bottom: int) -> Image.Image:
        strips.append((top, bottom))
        return whole.crop((0, top, size[0], bottom))

    small = image_child.shrunk(size, target, strip)
    assert small.tobytes() == whole.reduce(factor).tobytes()
    assert [top for top, _ in strips] == [0, *(bottom for _, bottom in strips[:-1])]
    assert strips[-1][1] == size[1]
    assert max(bottom - top for top, bottom in strips) == min(most_rows, size[1])


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_an_image_is_no_larger_than_needed_and_otherwise_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_format: str
) -> None:
    whole = saved(photo(800, 600), image_format, **({"lossless": True} if image_format == "WEBP" else {}))
    file = written(tmp_path, whole)
    decoded = Image.open(io.BytesIO(whole)).convert("RGB")
    assert image_child.load(job(file, image_format), Fit(2000)).tobytes() == decoded.tobytes()
    assert image_child.load(job(file, image_format), Fit(300)).size == (300, 225)
    sizes: list[tuple[int, int]] = []
    shrunk = image_child.shrunk

    def noted(size: tuple[int, int], *rest: Any) -> Image.Image:
        sizes.append(size)
        return shrunk(size, *rest)

    monkeypatch.setattr(image_child, "shrunk", noted)
    assert image_child.load(job(file, image_format), Fit(200)).size == (200, 150)
    # Of a JPEG only a quarter of the size is decoded.
    assert sizes == [(200, 150) if image_format == "JPEG" else (800, 600)]


@pytest.mark.needs("ffmpeg")
def test_heic_is_read_in_strips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_child, "_STRIP_PIXELS", 128 * 10)
    file = written(tmp_path, heic(128, 64))
    decoded = pi_heif.open_heif(file).to_pillow()
    made = image_child.load(job(file, "HEIF"), Fit(2000))
    assert (made.mode, made.tobytes()) == (decoded.mode, decoded.tobytes())
    assert image_child.load(job(file, "HEIF"), Fit(100)).size == (100, 50)
    options = pi_heif.options
    # Its memory and time are those of one image in one thread.
    assert options.DECODE_THREADS == 1
    assert not (options.THUMBNAILS or options.DEPTH_IMAGES or options.AUX_IMAGES)


# --- a JPEG without its end


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content


def frame(marker: int, components: int) -> bytes:
    return segment(marker, b"\x08\0\x10\0\x10" + bytes([components]) + b"\1\x11\0" * components)


def scan(first: int, last: int, precision: int, *components: int) -> bytes:
    inside = bytes([len(components)]) + b"".join(bytes([number, 0]) for number in components)
    return segment(0xDA, inside + bytes([first, last, precision])) + b"data\xff\0\xff\xd3data"


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC7, 0xC9, 0xCB, 0xCD, 0xCF])
def test_a_scan_of_everything_is_enough(marker: int) -> None:
    begin = b"\xff\xd8" + segment(0xE0, b"JFIF") + frame(marker, 3)
    assert image_child.has_every_scan(begin + scan(0, 63, 0, 1, 2, 3))
    assert image_child.has_every_scan(begin + b"\xff\xff" + scan(0, 63, 0x10, 1, 2, 3))
    assert not image_child.has_every_scan(begin + scan(0, 62, 0, 1, 2, 3))
    assert not image_child.has_every_scan(begin + scan(0, 63, 0, 1, 2))
    assert not image_child.has_every_scan(begin + scan(0, 63, 1, 1, 2, 3)), "the last bit is missing"
    assert not image_child.has_every_scan(begin)


@pytest.mark.parametrize("marker", [0xC4, 0xC8, 0xCC, 0xDB, 0xFE])
def test_other_segments_are_no_frame(marker: int) -> None:
    begin = b"\xff\xd8" + frame(0xC0, 1) + segment(marker, b"\x08\0\x10\0\x10\x03")
    assert image_child.has_every_scan(begin + scan(0, 63, 0, 1))
    assert not image_child.has_every_scan(b"\xff\xd8" + scan(0, 63, 0, 1))


def test_scans_of_parts_add_up() -> None:
    parts = [
        scan(0, 0, 0, 1, 2),
        scan(1, 5, 0, 1),
        scan(6, 63, 0, 1),
        scan(1, 63, 0x21, 2),
        scan(1, 63, 0x10, 2),
    ]
    begin = b"\xff\xd8" + frame(0xC2, 2)
    assert image_child.has_every_scan(begin + b"".join(parts))
    for left_out in (0, 1, 2, 4):
        rest = parts[:left_out] + parts[left_out + 1 :]
        assert not image_child.has_every_scan(begin + b"".join(rest))


def test_what_looks_like_segments_inside_of_another_does_not_count() -> None:
    """Thumbnails in EXIF are JPEGs, too."""
    thumbnail = segment(0xE1, frame(0xC0, 1) + scan(0, 63, 0, 1))
    begin = b"\xff\xd8" + frame(0xC2, 3) + thumbnail
    assert not image_child.has_every_scan(begin)
    assert image_child.has_every_scan(begin + scan(0, 63, 0, 1, 2, 3))
    assert not image_child.has_every_scan(b"\xff\xd8" + segment(0xE0, b"JFIF"))


def test_a_scan_whose_head_ends_the_file() -> None:
    assert image_child.has_every_scan(b"\xff\xd8" + frame(0xC0, 1) + scan(0, 63, 0, 1)[:10])


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end(tmp_path: Path, progressive: bool) -> None:
    whole = saved(photo(), "JPEG", progressive=progressive)
    file = written(tmp_path, whole[:-2])
    expected = Image.open(io.BytesIO(whole))
    assert image_child.without_end_mark(file, (640, 480)).tobytes() == expected.tobytes()
    assert image_child.without_end_mark(file, (80, 60)).size == (80, 60)
    assert image_child.load(job(file, "JPEG"), Fit(640)).tobytes() == expected.tobytes()
    last_scan = whole.rindex(b"\xff\xda")
    for cut in (whole[:-100], whole[: len(whole) // 2], whole[:last_scan]):
        with pytest.raises(Refused, match="damaged"):
            image_child.without_end_mark(written(tmp_path, cut), (640, 480))


# --- colours


@pytest.mark.parametrize(
    ("mode", "made"),
    [
        *[(mode, mode) for mode in ("L", "RGB", "RGBA", "CMYK")],
        *[(mode, "L") for mode in ("1", "I", "F", "I;16")],
        *[(mode, "RGB") for mode in ("P", "YCbCr", "HSV")],
        *[(mode, "RGBA") for mode in ("LA", "PA")],
    ],
)
def test_modes(mode: str, made: str) -> None:
    assert image_child.plain(Image.new(mode, (4, 4))).mode == made


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_transparent_colour_of_any_mode_becomes_transparent(mode: str) -> None:
    image = Image.new(mode, (4, 4))
    image.info["transparency"] = (0, 0, 0) if mode == "RGB" else 0
    made = image_child.plain(image)
    assert (made.mode, made.getpixel((0, 0))) == ("RGBA", (0, 0, 0, 0))


def test_sixteen_bits_are_scaled() -> None:
    image = Image.new("I;16", (1, 1), 0x8000)
    assert image_child.plain(image).getpixel((0, 0)) == 128


def test_transparent_places_are_white() -> None:
    image = Image.new("RGBA", (2, 1), (9, 9, 9, 0))
    image.putpixel((1, 0), (9, 9, 9, 255))
    made = image_child.opaque(image)
    assert (made.mode, made.tobytes()) == ("RGB", b"\xff\xff\xff\x09\x09\x09")


def test_profiles(capsys: pytest.CaptureFixture[str]) -> None:
    red = Image.new("RGB", (4, 4), "red")
    standard = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (None, b"", standard):
        assert image_child.srgb(red, profile) is red
    changed = image_child.srgb(red, swapped_profile()).getpixel((0, 0))
    assert isinstance(changed, tuple) and changed[0] < 30 and changed[2] > 220
    assert capsys.readouterr().err == ""
    assert image_child.srgb(red, b"no profile") is red
    assert "Traceback" in capsys.readouterr().err
    grey = Image.new("L", (4, 4))
    assert image_child.srgb(grey, swapped_profile()) is grey
    assert image_child.srgb(Image.new("CMYK", (4, 4)), None).mode == "RGB"


def test_an_orientation_that_is_no_number_turns_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tag = struct.pack(">HHHI4s", 1, 0x0112, 2, 2, b"6h")  # A text, where a number belongs.
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + tag + bytes(4)
    file = written(tmp_path, saved(four_colours(), "PNG", exif=exif))
    made = image_child.load(job(file, "PNG"), Fit(2000))
    assert made.tobytes() == four_colours().tobytes()
    assert "Traceback" in capsys.readouterr().err


# --- the program


def written(folder: Path, content: bytes) -> str:
    file = folder / "upload"
    file.write_bytes(content)
    return str(file)


def job(file: str, image_format: str, **changed: Any) -> dict[str, Any]:
    sizes = [("full", 2000, 85), ("medium", 720, 82), ("thumb", 240, 80)]
    most = {"max_pixels": 50_000_000, "max_progressive_pixels": 50_000_000}
    return {"file": file, "format": image_format, "sizes": sizes, "readable": {}, **most, **changed}


def answer(monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any]) -> dict[str, Any]:
    """Answer that the program prints for this job."""
    out = io.StringIO()
    with monkeypatch.context() as patch, warnings.catch_warnings():
        patch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
        patch.setattr("sys.argv", ["image_child.py", json.dumps(wanted)])
        patch.setattr("sys.stdout", out)
        patch.chdir(Path(wanted["file"]).parent)
        image_child.main()
    printed: dict[str, Any] = json.loads(out.getvalue())
    if "images" in printed:
        printed["images"] = {name: tuple(size) for name, size in printed["images"].items()}
        for name, size in printed["images"].items():
            with Image.open(Path(wanted["file"]).parent / name) as image:
                assert (image.format, image.size) == ("JPEG", size)
    return printed


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_pixels_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_format: str) -> None:
    file = written(tmp_path, saved(photo(100, 80), image_format))
    assert "images" in answer(monkeypatch, job(file, image_format, max_pixels=8_000))
    assert answer(monkeypatch, job(file, image_format, max_pixels=7_999)) == {"refused": "pixels"}
    assert answer(monkeypatch, job(file, image_format, max_pixels=100)) == {"refused": "pixels"}


@pytest.mark.needs("ffmpeg")
def test_pixels_of_heic_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, heic(128, 64))
    assert "images" in answer(monkeypatch, job(file, "HEIF", max_pixels=8_192))
    assert answer(monkeypatch, job(file, "HEIF", max_pixels=8_191)) == {"refused": "pixels"}


def test_pixels_of_a_progressive_jpeg_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for progressive in (True, False):
        file = written(tmp_path, saved(photo(100, 80), "JPEG", progressive=progressive))
        assert "images" in answer(monkeypatch, job(file, "JPEG", max_progressive_pixels=8_000))
        refused = answer(monkeypatch, job(file, "JPEG", max_progressive_pixels=7_999)) == {
            "refused": "pixels"
        }
        assert refused is progressive


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "complex"),
        (RuntimeError("Memory allocation error"), "complex"),
        (RuntimeError("what a decoder says"), "damaged"),
        (Refused("pixels"), "pixels"),
    ],
)
def test_errors(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    reason: str,
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(image_child, "convert", fail)
    assert answer(monkeypatch, job(written(tmp_path, b""), "PNG")) == {"refused": reason}
    assert ("Traceback" in capsys.readouterr().err) is isinstance(error, RuntimeError)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_a_cut_image_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_format: str) -> None:
    content = saved(photo(), image_format)
    file = written(tmp_path, content[: len(content) // 2])
    assert answer(monkeypatch, job(file, image_format)) == {"refused": "damaged"}
