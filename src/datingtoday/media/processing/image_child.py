"""The program that decodes one image and writes it anew. `images.py` runs it, confined, by its path.

Reads and writes files of the current folder only. Its argument is a JSON object (see `images.py`), its answer
one on stdout: ``{"images": {name: [width, height]}}`` or ``{"refused": "<reason>"}``. Imports nothing of this
project.
"""

from __future__ import annotations

import io
import json
import math
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

from PIL import Image, ImageCms
from PIL.Image import Resampling

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_STRIP_PIXELS = 4_000_000
_MAX_RATIO = 3
"""Ratio of the sides above which the small forms of an image are cropped."""
_MARKER = re.compile(rb"\xff+([\xc0-\xcf\xda-\xfe])")
"""Marker of a segment with a length: all but fill bytes, restarts and the ends."""


class Refused(Exception):
    """The argument is one of the reasons that `images.py` knows."""


def main() -> None:
    job = json.loads(sys.argv[1])
    try:
        answer: dict[str, Any] = {"images": convert(job)}
    except Refused as refused:
        answer = {"refused": str(refused)}
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        answer = {"refused": "pixels"}
    except MemoryError:
        answer = {"refused": "complex"}
    except Exception as error:
        # Decoders raise whatever they like on files that are not what they claim to be.
        traceback.print_exc()
        answer = {"refused": "complex" if "Memory allocation" in str(error) else "damaged"}
    print(json.dumps(answer))


def convert(job: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """One file per size, each made from the next larger one."""
    Image.MAX_IMAGE_PIXELS = job["max_pixels"]
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    longest = max(side for _, side, _ in job["sizes"])
    image = load(job, Fit(longest, **job["readable"]))
    made: dict[str, tuple[int, int]] = {}
    for name, side, quality in job["sizes"]:
        fit = Fit(longest, **job["readable"]) if side == longest else Fit(side)
        if side != longest and job["readable"]:
            image = beginning_of(image)
        size = fit.size(image.size)
        if size != image.size:
            image = image.resize(size, Resampling.LANCZOS, reducing_gap=2.0)
        # Pillow writes a comment that it finds here.
        image.info = {}
        image.save(name, "JPEG", quality=quality)
        made[name] = image.size
    return made


class Fit:
    """Target size of an image: within a square, never enlarged, never less than one pixel.

    :param shortest: one that is long and narrow (a screenshot of a whole page) keeps this width, though it gets longer
        than the square, up to ``max_pixels`` and ``max_side``.
    """

    def __init__(
        self, longest: int, *, shortest: int = 0, max_pixels: float = math.inf, max_side: float = math.inf
    ) -> None:
        self._longest, self._shortest = longest, shortest
        self._max_pixels, self._max_side = max_pixels, max_side

    def size(self, given: tuple[int, int]) -> tuple[int, int]:
        width, height = given
        scale = max(self._longest / max(given), self._shortest / min(given))
        scale = min(1.0, scale, (self._max_pixels / (width * height)) ** 0.5, self._max_side / max(given))
        return max(1, round(width * scale)), max(1, round(height * scale))


def load(job: dict[str, Any], fit: Fit) -> Image.Image:
    """The first frame, upright, sRGB without transparency, no larger than needed."""
    if job["format"] == "HEIF":
        return load_heif(job["file"], job["max_pixels"], fit)
    image: Image.Image = Image.open(job["file"], formats=[job["format"]])
    pixels = image.width * image.height
    if image.info.get("progressive") and pixels > job["max_progressive_pixels"]:
        raise Refused("pixels")
    target = fit.size(image.size)
    if job["format"] == "JPEG":
        # The decoder leaves out what a half, quarter or eighth of the size does not need.
        image.draft(None, target)
    turn = _TURNS.get(orientation(image))
    profile = image.info.get("icc_profile")
    try:
        image.load()
    except OSError:
        if job["format"] != "JPEG":
            raise
        image = without_end_mark(job["file"], target)
    image = shrunk(image.size, target, lambda top, bottom: image.crop((0, top, image.width, bottom)))
    if image.size != target:
        image = image.resize(target, Resampling.LANCZOS, reducing_gap=2.0)
    image = srgb(image, profile)
    return image if turn is None else image.transpose(turn)


def shrunk(
    size: tuple[int, int], target: tuple[int, int], strip: Callable[[int, int], Image.Image]
) -> Image.Image:
    """The image without transparency, by a whole number smaller but no smaller than the target.

    Strip by strip: a second copy of 48 megapixels is never made.

    :param strip: makes the image's rows between two numbers.
    """
    width, height = size
    factor = max(1, min(width // target[0], height // target[1]))
    rows = factor * max(1, _STRIP_PIXELS // width // factor)
    small: Image.Image | None = None
    for top in range(0, height, rows):
        part = opaque(plain(strip(top, min(height, top + rows)))).reduce(factor)
        if small is None:
            small = Image.new(part.mode, (part.width, -(-height // factor)))
        small.paste(part, (0, top // factor))
    if small is None:
        raise Refused("damaged")
    return small


def load_heif(file: str, max_pixels: int, fit: Fit) -> Image.Image:
    """Like `load`, from the decoder's own memory."""
    import pi_heif

    pi_heif.options.DECODE_THREADS = 1
    pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False
    heif = pi_heif.open_heif(file)
    width, height = heif.size
    if width * height > max_pixels:
        raise Refused("pixels")
    target = fit.size(heif.size)
    profile = heif.info.get("icc_profile")
    data, stride, mode = memoryview(heif.data), heif.stride, heif.mode

    def strip(top: int, bottom: int) -> Image.Image:
        part = bytes(data[top * stride : bottom * stride])
        return Image.frombuffer(mode, (width, bottom - top), part, "raw", mode, stride, 1)

    image = shrunk(heif.size, target, strip)
    if image.size != target:
        image = image.resize(target, Resampling.LANCZOS, reducing_gap=2.0)
    return srgb(image, profile)


def without_end_mark(file: str, target: tuple[int, int]) -> Image.Image:
    """A JPEG whose data is complete, but for the mark after it; some cameras and messengers forget it.

    Whatever else is put between data and mark makes no difference then. Where it does, the data was cut.
    """
    with open(file, "rb") as opened:
        data = opened.read()
    if not has_every_scan(data):
        raise Refused("damaged")
    image, other = (
        Image.open(io.BytesIO(data + end + b"\xff\xd9"), formats=["JPEG"]) for end in (b"", b"\x55" * 4096)
    )
    for one in (image, other):
        one.draft(None, target)
    if image.tobytes() != other.tobytes():
        raise Refused("damaged")
    return image


def has_every_scan(data: bytes) -> bool:
    """True if the scans of a JPEG hold everything of every component: a progressive one may be cut between two."""
    components = 0
    known: set[tuple[int, int]] = set()
    at = 0
    while found := _MARKER.search(data, at):
        marker, at = found[1][0], found.end()
        length = int.from_bytes(data[at : at + 2], "big")
        segment = data[at + 2 : at + length]
        if marker < 0xDA and marker not in (0xC4, 0xC8, 0xCC):
            components = segment[5]
        elif marker == 0xDA:
            count = segment[0]
            first, last, precision = segment[-3:]
            if precision & 15 == 0:
                known.update(
                    (segment[1 + 2 * number], term)
                    for number in range(count)
                    for term in range(first, last + 1)
                )
        at += length
    return components > 0 and len(known) == components * 64


def beginning_of(image: Image.Image) -> Image.Image:
    """The part of a long image that a small form can show: its top, or its left."""
    width, height = image.size
    return image.crop((0, 0, min(width, height * _MAX_RATIO), min(height, width * _MAX_RATIO)))


def orientation(image: Image.Image) -> int:
    """Orientation of EXIF; 1 if that is missing or invalid. (In HEIC the container says it, and libheif obeys.)"""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        # A photo is not refused for broken EXIF, which is thrown away anyway.
        traceback.print_exc()
        return 1


def plain(image: Image.Image) -> Image.Image:
    """In a mode that can be resized well: L, RGB, RGBA or CMYK, with eight bits."""
    if image.mode.startswith("I;16"):
        # convert() alone would cut every value above 255.
        return image.point(lambda value: value / 256).convert("L")
    if image.mode in ("L", "RGB", "RGBA", "CMYK") and "transparency" not in image.info:
        return image
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "I", "F") else "RGB")


def opaque(image: Image.Image) -> Image.Image:
    """On white, where it is transparent."""
    if image.mode != "RGBA":
        return image
    ground = Image.new("RGB", image.size, "white")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The colours that the profile means, in the one space that every screen shows without a profile."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(source):
                wanted = ImageCms.createProfile("sRGB")
                changed = ImageCms.profileToProfile(image, source, wanted, outputMode="RGB")
                if changed is not None:
                    return changed
        except (ImageCms.PyCMSError, OSError, ValueError):
            # A profile that is broken, or for another kind of image, is as good as none.
            traceback.print_exc()
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


if __name__ == "__main__":
    main()
