"""Photos: decoded once, in a process of their own, and written anew as JPEG without anything but the image.

What is delivered is never what was uploaded, so that nothing that hides in or behind an image (place, device,
thumbnails of the uncropped original, pages, archives) reaches anybody.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from datingtoday.media.errors import FileRefused
from datingtoday.media.processing import image_child
from datingtoday.media.processing.confined import Limits, Outcome, run_confined
from datingtoday.media.processing.inspect import FileType, Kind, damaged, refused

MIME = "image/jpeg"
MAX_SIDE_PX = 2000
"""2000 and not 2048: a 12-megapixel photo (4000 or 4032 wide) is then decoded at half its size, at a third of
the CPU time and memory."""
THUMBS: Mapping[str, int] = {"medium": 720, "thumb": 240}
"""Name → longest side in pixels; from large to small."""

MAX_PIXELS: Mapping[FileType, int] = {
    FileType.JPEG: 205_000_000,
    FileType.PNG: 50_000_000,
    FileType.WEBP: 16_000_000,
    FileType.HEIC: 52_000_000,
}
"""Abilities of the decoders within `LIMITS`: JPEG is decoded at less than its size, HEIC is read in strips."""
MAX_PROGRESSIVE_PIXELS = 50_000_000
READABLE: Mapping[str, int] = {"shortest": 1080, "max_pixels": 16_000_000, "max_side": 32_000}
"""Limits of images in chats, in pixels: screenshots of whole pages stay as wide as a phone's screen."""

LIMITS = Limits(memory_bytes=448 * 1024 * 1024, cpu_s=8, wall_s=15.0, file_bytes=16 * 1024 * 1024)
HEIC_LIMITS = Limits(memory_bytes=600 * 1024 * 1024, cpu_s=12, wall_s=20.0, file_bytes=16 * 1024 * 1024)
"""Its decoder has the planes and two copies of the whole image at once: 384 MB for 50 megapixels."""

FULL = "full"
QUALITY: Mapping[str, int] = {FULL: 85, "medium": 82, "thumb": 80}
"""Quality of the JPEGs, as Pillow counts it."""
_FORMATS = {FileType.JPEG: "JPEG", FileType.PNG: "PNG", FileType.WEBP: "WEBP", FileType.HEIC: "HEIF"}
_CHILD = str(Path(image_child.__file__).resolve())

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """One JPEG."""

    content: bytes
    width: int
    height: int
    mime: str = MIME

    @property
    def sha256(self) -> str:
        """Hex."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class ProcessedImage:
    full: EncodedImage
    thumbs: Mapping[str, EncodedImage]
    """By the names of `THUMBS`; never larger than `full`, but always there."""


def process_image(
    file: Path, file_type: FileType, kind: Kind, *, deadline: float = math.inf
) -> ProcessedImage:
    """Re-encode the image; FileRefused if it is damaged, cut, too large, or not done at ``deadline`` (monotonic clock).

    `file` must be the only thing of interest in its folder, which is used for the results. Takes 0.3 s of CPU
    for a 12-megapixel JPEG, in another process; blocks meanwhile.
    """
    sizes = [(FULL, MAX_SIDE_PX, QUALITY[FULL])]
    sizes += [(name, side, QUALITY[name]) for name, side in THUMBS.items()]
    job = {
        "file": file.name,
        "format": _FORMATS[file_type],
        "max_pixels": MAX_PIXELS[file_type],
        "max_progressive_pixels": MAX_PROGRESSIVE_PIXELS,
        "sizes": sizes,
        "readable": dict(READABLE) if kind is Kind.IMAGE else {},
    }
    limits = HEIC_LIMITS if file_type is FileType.HEIC else LIMITS
    argv = [sys.executable, "-I", _CHILD, json.dumps(job)]
    outcome = run_confined(argv, folder=file.parent, limits=limits, deadline=deadline)
    made = _answer(outcome, file_type, kind)
    images = {
        name: EncodedImage((file.parent / name).read_bytes(), width, height)
        for name, (width, height) in made.items()
    }
    return ProcessedImage(images.pop(FULL), images)


def _answer(outcome: Outcome, file_type: FileType, kind: Kind) -> dict[str, tuple[int, int]]:
    if not outcome.ok:
        # Killed for time, or by its own crash.
        _log.warning(
            "image_decoder_died",
            file_type=file_type,
            returncode=outcome.returncode,
            cut=outcome.cut,
            errors=outcome.errors[-500:].decode(errors="replace"),
        )
        raise refused(kind, "it is too complex or damaged", "文件过于复杂或已损坏")
    answer: dict[str, Any] = json.loads(outcome.output)
    if "refused" in answer:
        _log.info(
            "image_refused",
            file_type=file_type,
            reason=answer["refused"],
            errors=outcome.errors[-200:].decode(errors="replace"),
        )
        raise _refusal(answer["refused"], file_type, kind)
    return {name: (width, height) for name, (width, height) in answer["images"].items()}


def _refusal(reason: str, file_type: FileType, kind: Kind) -> FileRefused:
    if reason == "pixels":
        megapixels = MAX_PIXELS[file_type] // 1_000_000
        progressive = MAX_PROGRESSIVE_PIXELS // 1_000_000
        also = (f" ({progressive} if progressive)", f"（渐进式为 {progressive}）")
        en, zh = also if file_type is FileType.JPEG else ("", "")
        return refused(
            kind,
            f"it has too many pixels: {file_type.upper()} may have {megapixels} megapixels{en}",
            f"像素过多：{file_type.upper()} 最多 {megapixels} 百万像素{zh}",
        )
    if reason == "complex":
        return refused(kind, "it needs too much memory", "解码所需内存过多")
    return damaged(kind)
