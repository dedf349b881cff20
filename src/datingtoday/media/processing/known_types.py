"""Types that are not taken, by their first bytes: a refusal names what was sent."""

from __future__ import annotations

from datingtoday.infra.text import Text

_STARTS: tuple[tuple[bytes, Text], ...] = (
    (b"GIF8", Text("a GIF", "GIF 动图")),
    (b"BM", Text("a BMP image", "BMP 图片")),
    (b"II*\0", Text("a TIFF or a RAW photo", "TIFF 或 RAW 照片")),
    (b"MM\0*", Text("a TIFF or a RAW photo", "TIFF 或 RAW 照片")),
    (b"\xff\x0a", Text("a JPEG XL image", "JPEG XL 图片")),
    (b"\0\0\0\x0cJXL ", Text("a JPEG XL image", "JPEG XL 图片")),
    (b"\0\0\0\x0cjP  ", Text("a JPEG 2000 image", "JPEG 2000 图片")),
    (b"8BPS", Text("a Photoshop file", "Photoshop 文件")),
    (b"#!SILK_V3", Text("a SILK voice message", "SILK 语音")),
    (b"\x02#!SILK_V3", Text("a SILK voice message", "SILK 语音")),
    (b"fLaC", Text("FLAC audio", "FLAC 音频")),
    (b"caff", Text("CAF audio", "CAF 音频")),
    (b"FORM", Text("AIFF audio", "AIFF 音频")),
    (b"MThd", Text("a MIDI file", "MIDI 文件")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Text("Windows Media", "Windows Media 文件")),
    (b"FLV\x01", Text("Flash video", "FLV 视频")),
    (b"\0\0\x01\xba", Text("MPEG video", "MPEG 视频")),
    (b"G@", Text("an MPEG transport stream", "MPEG-TS 视频")),
    (b"%PDF", Text("a PDF", "PDF 文件")),
    (b"PK\x03\x04", Text("a ZIP archive or an Office file", "ZIP 压缩包或 Office 文件")),
    (b"Rar!", Text("an archive", "压缩包")),
    (b"7z\xbc\xaf", Text("an archive", "压缩包")),
    (b"#EXTM3U", Text("a playlist", "播放列表")),
)
_BRANDS = {
    b"avif": Text("an AVIF image", "AVIF 图片"),
    b"avis": Text("an AVIF animation", "AVIF 动图"),
    b"hevc": Text("a sequence of HEIC images", "HEIC 连拍"),
    b"crx ": Text("a Canon RAW photo", "佳能 RAW 照片"),
}


def named(head: bytes) -> Text | None:
    """Name of the type that begins with these bytes; None if it is not known here either."""
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return Text("an AVI video", "AVI 视频")
    if head.lstrip()[:5].lower() in (b"<svg ", b"<?xml", b"<html", b"<!doc"):
        return Text("a page or an SVG image", "网页或 SVG 图片")
    return next((text for start, text in _STARTS if head.startswith(start)), None)
