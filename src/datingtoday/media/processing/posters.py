"""Options of ffmpeg that make a poster of a video's first frame, in the colours that players show."""

from __future__ import annotations

from collections.abc import Sequence

from datingtoday.media.processing.ffmpeg import Stream

POSTER_SIDE_PX = 1280
_HD_LINES = 720
"""From here on players take a video that does not say so for one in the colours of HD television."""
_HDR = frozenset({"arib-std-b67", "smpte2084"})
_WIDE = frozenset({"bt2020", "smpte431", "smpte432"})
"""BT.2020, and both kinds of P3."""
_WHITE_NITS = 203
"""Luminance of paper in an HDR video (ITU-R BT.2408), shown as white by a screen without HDR."""
_MATRICES = {"bt470bg": "bt601", "smpte170m": "bt601", "bt2020nc": "bt2020", "bt2020c": "bt2020"}
"""ffprobe's names, where the filter `scale` has others."""


def poster_options(video: Stream) -> Sequence[str]:
    """Options for the output: one PNG in sRGB."""
    filters = _hdr(video) if video.transfer in _HDR or video.primaries in _WIDE else _plain(video)
    return (
        *("-map", "0:v:0", "-frames:v", "1", "-filter_threads", "1"),
        *("-vf", filters, "-c:v", "png", "-f", "image2pipe"),
    )


def _fitted() -> str:
    return rf"scale=min({POSTER_SIDE_PX}\,iw):min({POSTER_SIDE_PX}\,ih):force_original_aspect_ratio=decrease"


def _plain(video: Stream) -> str:
    return f"{_fitted()}:in_color_matrix={_matrix(video, _MATRICES)}:out_range=pc,format=rgb24"


def _matrix(video: Stream, names: dict[str, str]) -> str:
    lines = min(video.width, video.height)
    matrix = video.matrix if video.matrix not in ("", "gbr") else ""
    matrix = matrix or ("bt709" if lines >= _HD_LINES else "smpte170m")
    return names.get(matrix, matrix)


def _hdr(video: Stream) -> str:
    """Through linear light: the colours of the wide space in those of sRGB, bright lights rolled off."""
    # Players take every other video for one of an ordinary screen: its greys stay as they are.
    transfer = video.transfer if video.transfer in _HDR else "iec61966-2-1"
    given = (
        f"setparams=colorspace={video.matrix or 'bt2020nc'}:color_trc={transfer}"
        f":color_primaries={video.primaries or 'bt2020'}"
    )
    chain = [_fitted(), given, f"zscale=transfer=linear:npl={_WHITE_NITS}", "format=gbrpf32le"]
    chain.append("zscale=primaries=bt709")
    if video.transfer in _HDR:
        chain.append("tonemap=mobius:param=0.8:desat=0")
    return ",".join([*chain, "zscale=transfer=iec61966-2-1:matrix=gbr:range=full", "format=rgb24"])
