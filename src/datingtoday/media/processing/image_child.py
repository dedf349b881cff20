"""The program that decodes one image and writes it anew. `images.py` runs it, confined, by its path.

Reads and writes files of the current folder only. Its argument is a JSON object (see `images.py`), its answer
one on stdout: ``{"images": {name: [width, height]}}`` or ``{"refused": "<reason>"}``. Imports nothing of this
project.
"""

from __future__ import annotations

import io
import json
import sys
import traceback
import warnings
from typing import Any

from PIL import Image, ImageCms

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
    except Exception:
        # Decoders raise whatever they like on files that are not what they claim to be.
        traceback.print_exc()
        answer = {"refused": "damaged"}
    print(json.dumps(answer))


def convert(job: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """One file per size, each made from the next larger one."""
    Image.MAX_IMAGE_PIXELS = job["max_pixels"]
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    if job["format"] == "HEIF":
        import pi_heif

        pi_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
    longest = max(side for _, side, _ in job["sizes"])
    image = load(job["file"], job["format"], job["max_progressive_pixels"], longest)
    made: dict[str, tuple[int, int]] = {}
    for name, side, quality in job["sizes"]:
        size = fitted(image.size, side)
        if size != image.size:
            image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        # Pillow writes a comment that it finds here.
        image.info = {}
        image.save(name, "JPEG", quality=quality)
        made[name] = image.size
    return made


def load(file: str, image_format: str, max_progressive_pixels: int, longest: int) -> Image.Image:
    """The first frame, upright, sRGB without transparency, no larger than needed for `longest`."""
    image: Image.Image = Image.open(file, formats=[image_format])
    pixels = image.width * image.height
    if image.info.get("progressive") and pixels > max_progressive_pixels:
        raise Refused("pixels")
    target = fitted(image.size, longest)
    if image_format == "JPEG":
        # The decoder leaves out what a half, quarter or eighth of the size does not need.
        image.draft(None, target)
    turn = _TURNS.get(orientation(image))
    profile = image.info.get("icc_profile")
    image.load()
    image = plain(image)
    if image.size != target:
        image = image.resize(target, Image.Resampling.LANCZOS, reducing_gap=2.0)
    image = srgb(opaque(image), profile)
    return image if turn is None else image.transpose(turn)


def fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """The size within a square, never enlarged, never less than one pixel."""
    width, height = size
    if max(size) <= longest:
        return size
    scale = longest / max(size)
    return max(1, round(width * scale)), max(1, round(height * scale))


def orientation(image: Image.Image) -> int:
    """As EXIF has it; 1 if it has nothing sensible. (In HEIC the container says it, and libheif obeys.)"""
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
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        return image.convert("RGBA")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
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
