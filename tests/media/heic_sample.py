"""HEIC files, put together by hand: nothing that is free to install writes them without a GPL encoder inside.

ffmpeg encodes a picture as one H.265 frame in an MP4; its configuration and its data move into the boxes of an
image file.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from functools import cache

Item = tuple[bytes, bool, list[int], bytes]
"""Kind, whether hidden, numbers of its properties, data."""


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full_box(kind: bytes, content: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, bytes([version]) + flags.to_bytes(3, "big") + content)


@cache
def encoded_frame(width: int, height: int, source: str = "testsrc2") -> tuple[bytes, bytes]:
    """Decoder configuration (a whole hvcC box) and data of one H.265 picture."""
    command = (
        f"ffmpeg -v error -f lavfi -i {source}=s={width}x{height}:d=1:r=1 -frames:v 1 -pix_fmt yuv420p "
        "-c:v libx265 -x265-params log-level=none:keyint=1 -tag:v hvc1 -f ismv -movflags empty_moov pipe:1"
    )
    film = subprocess.run(command.split(), check=True, capture_output=True).stdout
    at = film.index(b"hvcC") - 4
    configuration = film[at : at + struct.unpack(">I", film[at : at + 4])[0]]
    start = film.index(b"mdat") - 4
    data = film[start + 8 : start + struct.unpack(">I", film[start : start + 4])[0]]
    return configuration, data


def heic(
    width: int,
    height: int,
    *,
    tile: int = 0,
    exif: bytes = b"",
    quarter_turns: int = 0,
    claimed: tuple[int, int] | None = None,
) -> bytes:
    """A HEIC image.

    `tile`: made of equal square tiles of that many pixels, as phones do it (width and height are multiples).
    `quarter_turns`: to be shown turned counter-clockwise that often. `claimed`: dimensions that the header lies.
    """
    coded = (tile, tile) if tile else (width, height)
    configuration, data = encoded_frame(*coded)
    columns, rows = (width // tile, height // tile) if tile else (1, 1)
    shown = claimed or (width, height)

    properties = [configuration, full_box(b"ispe", struct.pack(">II", *(coded if tile else shown)))]
    primary_properties = [1, 2]
    if tile:
        properties.append(full_box(b"ispe", struct.pack(">II", *shown)))
        primary_properties = [3]
    if quarter_turns:
        properties.append(box(b"irot", bytes([quarter_turns])))
        primary_properties.append(len(properties))

    # Items: the primary one first, then tiles, then EXIF; (kind, hidden, properties, data).
    items: list[Item]
    if tile:
        grid = struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, *shown)
        items = [(b"grid", False, primary_properties, grid)]
        items += [(b"hvc1", True, [1, 2], data)] * (rows * columns)
    else:
        items = [(b"hvc1", False, primary_properties, data)]
    if exif:
        items.append((b"Exif", False, [], struct.pack(">I", 0) + exif))

    information, associations = _described(items)
    references = b""
    if tile:
        numbers = range(2, 2 + rows * columns)
        references += box(b"dimg", struct.pack(f">HH{len(numbers)}H", 1, len(numbers), *numbers))
    if exif:
        references += box(b"cdsc", struct.pack(">HHH", len(items), 1, 1))
    return _file(items, properties, information, associations, references)


def _described(items: Sequence[Item]) -> tuple[bytes, bytes]:
    """The boxes that describe the items: what each is, and which properties it has."""
    information = b"".join(
        full_box(b"infe", struct.pack(">HH4s", number, 0, kind) + b"\0", version=2, flags=int(hidden))
        for number, (kind, hidden, _, _) in enumerate(items, 1)
    )
    association = b"".join(
        struct.pack(">HB", number, len(of_item)) + bytes(0x80 | index for index in of_item)
        for number, (_, _, of_item, _) in enumerate(items, 1)
        if of_item
    )
    associated = sum(bool(of_item) for _, _, of_item, _ in items)
    return (
        full_box(b"iinf", struct.pack(">H", len(items)) + information),
        full_box(b"ipma", struct.pack(">I", associated) + association),
    )


def _file(
    items: Sequence[Item],
    properties: Sequence[bytes],
    information: bytes,
    associations: bytes,
    references: bytes,
) -> bytes:
    """Header, descriptions and data. Equal tiles share their bytes, so that a large image is a small file."""
    store = b""
    places: dict[bytes, int] = {}
    for _, _, _, content in items:
        if content not in places:
            places[content] = len(store)
            store += content

    def meta(offset: int) -> bytes:
        locations = b"".join(
            struct.pack(">HHHII", number, 0, 1, offset + places[content], len(content))
            for number, (_, _, _, content) in enumerate(items, 1)
        )
        return full_box(
            b"meta",
            full_box(b"hdlr", struct.pack(">I4s12x", 0, b"pict") + b"\0")
            + full_box(b"pitm", struct.pack(">H", 1))
            + information
            + (full_box(b"iref", references) if references else b"")
            + box(b"iprp", box(b"ipco", b"".join(properties)) + associations)
            + full_box(b"iloc", struct.pack(">BBH", 0x44, 0x00, len(items)) + locations),
        )

    head = box(b"ftyp", b"heic" + struct.pack(">I", 0) + b"mif1heic")
    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", store)
