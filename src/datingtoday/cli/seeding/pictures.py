"""Drawn faces for made-up people: a pool of pictures, each of which many people show.

Everybody has an upload of their own; what lies in the store is the same for all who drew the same picture. That keeps
a million people at some megabytes of files, and loading them quick. Objects with such names are never garbage (see
`media/models.py`), so that no picture goes with another user's upload.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image, ImageDraw

from datingtoday.cli.seeding.people import PICTURES
from datingtoday.infra.storage.storage import Storage, variant_key
from datingtoday.media.models import shared_key
from datingtoday.media.processing.images import FULL, MIME, QUALITY, THUMBS

SIDE_PX = 360
_DRAWN_PX = 720
"""A multiple, so that edges are smooth when it is made smaller."""
_AT_ONCE = 8

_GROUNDS = ("#f6d6ad", "#b8d8d8", "#d5c6e0", "#c7e0b4", "#f4b6a6", "#a9c7e8", "#eee3c0", "#e3b7c8", "#9fc5b5")
_SKINS = ("#f7d7bd", "#f2c9a5", "#e8b98f", "#fbe3d0", "#dba97c")
_HAIRS = ("#1d1a19", "#2b2220", "#3b2a22", "#54392b", "#7a5337", "#474043")
_CLOTHES = ("#34495e", "#c0392b", "#2e8b70", "#8e6bb0", "#d4a017", "#f0f0ea", "#2c3e90", "#5d5d5d", "#d36c8f")

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture of the pool as the store holds it; what a row about it says."""

    key: str
    size_bytes: int
    sha256: str
    medium_bytes: int
    medium_sha256: str
    thumb_bytes: int
    thumb_sha256: str

    @property
    def stored_bytes(self) -> int:
        """Bytes of all forms together."""
        return self.size_bytes + self.medium_bytes + self.thumb_bytes


def store_pictures(storage: Storage, gender: int) -> Sequence[StoredPicture]:
    """Draw the pool of a gender and store what is not there yet; some tenths of a second.

    :param gender: 1 or 2. :raises StorageError: some may be stored then, which does no harm.
    """
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(lambda number: _store(storage, gender, number), range(PICTURES)))


def draw(gender: int, number: int) -> Image.Image:
    """A face, `SIDE_PX` wide and high; always the same for the same arguments."""
    rng = random.Random(gender * PICTURES + number)  # noqa: S311 - nothing secret
    image = Image.new("RGB", (_DRAWN_PX, _DRAWN_PX), rng.choice(_GROUNDS))
    _Face(ImageDraw.Draw(image), rng).draw(is_woman=gender == 2)
    return image.reduce(_DRAWN_PX // SIDE_PX)


class _Face:
    """One face on a canvas; lengths are in parts of its side."""

    def __init__(self, canvas: ImageDraw.ImageDraw, rng: random.Random) -> None:
        self._canvas = canvas
        self._rng = rng
        self._skin, self._hair = rng.choice(_SKINS), rng.choice(_HAIRS)
        self._half = rng.uniform(0.155, 0.185)
        """Half of the head's width."""
        self._top, self._chin = 0.24, rng.uniform(0.62, 0.66)

    def draw(self, *, is_woman: bool) -> None:
        rng = self._rng
        is_long = is_woman and rng.random() < 0.75
        if is_long:
            length = rng.uniform(0.6, 0.86)
            self._rounded((0.5 - self._half - 0.06, self._top - 0.04, 0.5 + self._half + 0.06, length), 0.2)
        self._oval((0.5 - 0.34, 0.74, 0.5 + 0.34, 1.3), rng.choice(_CLOTHES))
        self._oval((0.5 - 0.075, self._chin - 0.1, 0.5 + 0.075, 0.82), self._skin)
        for side in (-1, 1):
            x = 0.5 + side * self._half
            self._oval((x - 0.03, 0.42, x + 0.03, 0.52), self._skin)
        self._oval((0.5 - self._half, self._top, 0.5 + self._half, self._chin), self._skin)
        self._hairdo(is_woman=is_woman)
        self._features(is_woman=is_woman)

    def _hairdo(self, *, is_woman: bool) -> None:
        rng = self._rng
        width = self._half + 0.02
        depth = rng.uniform(0.2, 0.3)
        box = (0.5 - width, self._top - 0.05, 0.5 + width, self._top + depth + 0.12)
        self._chord(box, 180, 360, self._hair)
        parting = rng.choice((-0.5, 0.5, 0.0))
        if parting:
            across = 0.5 + parting * width
            self._oval((across - 0.13, self._top - 0.02, across + 0.13, self._top + 0.12), self._hair)
        if is_woman and rng.random() < 0.25:
            self._oval((0.43, self._top - 0.14, 0.57, self._top), self._hair)

    def _features(self, *, is_woman: bool) -> None:
        rng = self._rng
        apart, height = rng.uniform(0.065, 0.085), rng.uniform(0.455, 0.48)
        size = rng.uniform(0.014, 0.02)
        has_glasses = rng.random() < 0.28
        for side in (-1, 1):
            x = 0.5 + side * apart
            self._oval((x - size, height - size * 1.2, x + size, height + size * 1.2), "#241f1e")
            self._line((x - 0.032, height - 0.052, x + 0.032, height - 0.052), self._hair, 0.011)
            if has_glasses:
                self._ring((x - 0.055, height - 0.042, x + 0.055, height + 0.048), "#30343a")
            if is_woman:
                self._oval((x - 0.035, height + 0.05, x + 0.035, height + 0.085), "#f2a99b")
        self._line((0.5, height + 0.03, 0.5 - 0.008, height + 0.07), "#b98663", 0.008)
        wide = rng.uniform(0.04, 0.065)
        lips = "#c2454f" if is_woman else "#a8584b"
        mouth = (0.5 - wide, self._chin - 0.125, 0.5 + wide, self._chin - 0.06)
        if rng.random() < 0.4:
            self._chord(mouth, 0, 180, lips)
        else:
            self._canvas.arc(self._pixels(mouth), 15, 165, fill=lips, width=round(0.014 * _DRAWN_PX))

    def _oval(self, box: Box, colour: str) -> None:
        self._canvas.ellipse(self._pixels(box), fill=colour)

    def _ring(self, box: Box, colour: str) -> None:
        self._canvas.ellipse(self._pixels(box), outline=colour, width=round(0.008 * _DRAWN_PX))

    def _chord(self, box: Box, start: int, end: int, colour: str) -> None:
        self._canvas.chord(self._pixels(box), start, end, fill=colour)

    def _line(self, ends: Box, colour: str, width: float) -> None:
        self._canvas.line(self._pixels(ends), fill=colour, width=round(width * _DRAWN_PX))

    def _rounded(self, box: Box, radius: float) -> None:
        self._canvas.rounded_rectangle(self._pixels(box), radius * _DRAWN_PX, fill=self._hair)

    @staticmethod
    def _pixels(box: Box) -> Box:
        left, top, right, bottom = (value * _DRAWN_PX for value in box)
        return left, top, right, bottom


def _store(storage: Storage, gender: int, number: int) -> StoredPicture:
    image = draw(gender, number)
    forms = {FULL: _jpeg(image, FULL)}
    for name, side in THUMBS.items():
        forms[name] = _jpeg(image if side >= SIDE_PX else image.resize((side, side)), name)
    # The name says what is in it: another release of Pillow, which may draw otherwise, stores other objects.
    key = shared_key(hashlib.sha256(b"".join(forms.values())).hexdigest())
    if not storage.exists(key):
        # The full form comes last: what has it has all.
        for name in (*THUMBS, FULL):
            storage.put(key if name == FULL else variant_key(key, name), forms[name], MIME)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in forms.items()}
    return StoredPicture(
        key=key,
        size_bytes=len(forms[FULL]),
        sha256=digests[FULL],
        medium_bytes=len(forms["medium"]),
        medium_sha256=digests["medium"],
        thumb_bytes=len(forms["thumb"]),
        thumb_sha256=digests["thumb"],
    )


def _jpeg(image: Image.Image, name: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=QUALITY[name])
    return stream.getvalue()
