"""Pictures for the tests, all made here: with everything that must not survive, and with every malice at hand."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache

from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

SECRET = b"SECRET-4711"
"""Stands in every kind of metadata of the samples."""
PLACE = (31.0, 13.0, 49.44)
_ORIENTATION, _MAKE, _GPS = 0x0112, 0x010F, 0x8825


def photo(width: int = 640, height: int = 480, mode: str = "RGB") -> Image.Image:
    """Something with edges and slopes, not too easy to compress."""
    noise = Image.effect_noise((64, 64), 60).resize((width, height))
    bands = {
        "R": Image.linear_gradient("L").resize((width, height)),
        "G": Image.radial_gradient("L").resize((width, height)),
        "B": noise,
        "A": Image.radial_gradient("L").resize((width, height)),
        "L": noise,
    }
    return Image.merge(mode, [bands[name] for name in mode])


def exif(orientation: int = 1) -> bytes:
    tags = Image.Exif()
    tags[_ORIENTATION] = orientation
    tags[_MAKE] = SECRET.decode()
    tags[_GPS] = {1: "N", 2: PLACE, 3: "E", 4: (121.0, 28.0, 25.0), 27: SECRET}
    return tags.tobytes()


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + SECRET + b"</x:xmpmeta>"


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def swapped_profile() -> bytes:
    """An RGB profile whose red is blue and whose blue is red: whether it was applied is plain to see."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for at in range(132, 132 + 12 * struct.unpack(">I", content[128:132])[0], 12):
        name = bytes(content[at : at + 4])
        content[at : at + 4] = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}.get(name, name)
    return bytes(content).replace("sRGB".encode("utf-16-be"), "SWAP".encode("utf-16-be"))


@cache
def jpeg_with_everything(orientation: int = 1) -> bytes:
    content = saved(
        photo(),
        "JPEG",
        exif=exif(orientation),
        xmp=XMP,
        comment=SECRET,
        icc_profile=swapped_profile(),
        dpi=(300, 300),
    )
    photoshop = b"Photoshop 3.0\0" + SECRET
    segment = b"\xff\xed" + struct.pack(">H", 2 + len(photoshop)) + photoshop
    return content[:2] + segment + content[2:]


@cache
def png_with_everything() -> bytes:
    notes = PngInfo()
    notes.add_text("Comment", SECRET.decode())
    notes.add_text("Zipped", SECRET.decode(), zip=True)
    notes.add_itxt("XML:com.adobe.xmp", XMP.decode())
    return saved(photo(), "PNG", exif=exif(6), pnginfo=notes, icc_profile=swapped_profile(), dpi=(300, 300))


@cache
def webp_with_everything() -> bytes:
    return saved(photo(), "WEBP", exif=exif(6), xmp=XMP, icc_profile=swapped_profile())


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, rows: bytes | None = None, *extra: bytes, color: int = 2) -> bytes:
    """A PNG put together by hand; without `rows` all zeros, that is a bomb if it is large."""
    if rows is None:
        squeezed = zlib.compressobj(1)
        row = bytes(1 + width * {0: 1, 2: 3, 6: 4}[color])
        rows_squeezed = b"".join(squeezed.compress(row) for _ in range(height)) + squeezed.flush()
    else:
        rows_squeezed = zlib.compress(rows)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0))
        + b"".join(extra)
        + chunk(b"IDAT", rows_squeezed)
        + chunk(b"IEND", b"")
    )


def jpeg_claiming(width: int, height: int, content: bytes | None = None) -> bytes:
    """A small JPEG whose header says other dimensions."""
    content = content or saved(photo(64, 64), "JPEG")
    at = next(content.index(mark) for mark in (b"\xff\xc0", b"\xff\xc2") if mark in content)
    return content[: at + 5] + struct.pack(">HH", height, width) + content[at + 9 :]


def webp_claiming(width: int, height: int) -> bytes:
    content = saved(photo(64, 64, "RGBA"), "WEBP", exif=exif())
    at = content.index(b"VP8X") + 12
    dimensions = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return content[:at] + dimensions + content[at + 6 :]


def endless_progressive_jpeg(scans: int) -> bytes:
    """A progressive JPEG that refines the same coefficients again and again: little data, much work."""
    content = saved(Image.new("RGB", (4800, 4800), "gray"), "JPEG", progressive=True, quality=50)
    last = content.rindex(b"\xff\xda")
    end = content.rindex(b"\xff\xd9")
    return content[:last] + content[last:end] * scans + b"\xff\xd9"


def jpeg_segments(content: bytes) -> list[int]:
    """The markers of a JPEG in their order, up to the first scan."""
    found, at = [], 2
    while content[at + 1] != 0xDA:
        assert content[at] == 0xFF
        found.append(content[at + 1])
        at += 2 + struct.unpack(">H", content[at + 2 : at + 4])[0]
    return found
