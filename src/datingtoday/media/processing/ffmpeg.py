"""ffmpeg and ffprobe, run so that a file can only be what it was found to be, and reaches nothing but itself.

Three walls, each of which would do: `inspect.py` lets only whitelisted types get here; ffmpeg is told the one
demuxer and the few decoders to use, and that the only protocol is `file` (so that no playlist, no reference and
no URL inside a file is followed); it runs confined, in a folder that holds nothing else.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from datingtoday.infra.milliseconds import to_ms
from datingtoday.media.processing.confined import Limits, Outcome, run_confined
from datingtoday.media.processing.inspect import MEGABYTE, FileType

LIMITS = Limits(memory_bytes=768 * MEGABYTE, cpu_s=20, wall_s=40.0, file_bytes=32 * MEGABYTE)

_DEMUXERS = {
    FileType.MP4: "mov",
    FileType.MP3: "mp3",
    FileType.ADTS: "aac",
    FileType.OGG: "ogg",
    FileType.MOV: "mov",
    FileType.WEBM: "matroska",
    FileType.AMR: "amr",
    FileType.WAV: "wav",
}
_DEMUXER_NAMES = {
    FileType.MP4: "mov,mp4,m4a,3gp,3g2,mj2",
    FileType.MOV: "mov,mp4,m4a,3gp,3g2,mj2",
    FileType.WEBM: "matroska,webm",
}
"""Names of demuxers in what ffmpeg reports, where they differ from those that select them."""
# The accepted codecs, and those of what is often beside them and gets dropped: covers, subtitles, second audio tracks.
_DECODERS = (
    "h264,hevc,vp8,vp9,av1,libdav1d,aac,mp3,mp3float,opus,libopus,vorbis,libvorbis,amrnb,amrwb,alac,"
    "pcm_u8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_f32le,pcm_alaw,pcm_mulaw,"
    "mjpeg,png,mov_text,ac3,eac3"
)
_NOT_LISTED = re.compile(rb"Codec \(([A-Za-z0-9_.-]{1,32})\) not on whitelist")
_SHOWN = (
    "format=duration:stream=index,codec_type,codec_name,width,height,duration"
    ",color_space,color_transfer,color_primaries"
    ":stream_disposition=attached_pic:stream_side_data=rotation"
)


class FfmpegFailed(Exception):
    """ffmpeg could not read the file, or had to be ended. The message is for the log."""


class CodecNotAllowed(FfmpegFailed):
    """A stream of the file needs a decoder that is not allowed."""

    def __init__(self, codec: str) -> None:
        self.codec = codec
        super().__init__(f"codec {codec} is not allowed")


@dataclass(frozen=True, slots=True)
class Stream:
    index: int
    kind: str
    """audio, video, data, subtitle or attachment."""
    codec: str
    width: int
    height: int
    rotation: int
    """Degrees by which players turn it."""
    attached_picture: bool
    matrix: str = ""
    transfer: str = ""
    primaries: str = ""
    """Colour primaries, in ffmpeg's words; empty if the file does not say."""


@dataclass(frozen=True, slots=True)
class Probe:
    streams: Sequence[Stream]
    duration_ms: int
    """0 if the file does not say."""


@dataclass(frozen=True, slots=True)
class Ffmpeg:
    """The two programs, by absolute path."""

    ffmpeg: str
    ffprobe: str
    deadline: float = math.inf
    """Time of the monotonic clock at which a running program is killed, and fails."""

    def until(self, deadline: float) -> Self:
        """The same programs for work that ends at ``deadline``, however many runs it takes."""
        return replace(self, deadline=deadline)

    def probe(self, file: Path, file_type: FileType) -> Probe:
        """Read the file's streams from its headers; FfmpegFailed, CodecNotAllowed."""
        outcome = self._run(
            self.ffprobe, file.parent, [*_reading(file, file_type), "-show_entries", _SHOWN, "-of", "json"]
        )
        answer: dict[str, Any] = json.loads(outcome.output)
        return Probe(
            [_stream(entry) for entry in answer.get("streams", [])],
            to_ms(_number(answer.get("format", {}).get("duration"))),
        )

    def write(self, file: Path, file_type: FileType, target: Path, options: Sequence[str]) -> None:
        """Run ffmpeg from `file` to `target` (in the same folder) with the output options; FfmpegFailed."""
        self._run(
            self.ffmpeg,
            file.parent,
            ["-nostdin", "-y", *_reading(file, file_type), *options, f"file:{target.name}"],
        )
        if not target.is_file() or target.stat().st_size == 0:
            raise FfmpegFailed("it wrote nothing")

    def _run(self, program: str, folder: Path, arguments: Sequence[str]) -> Outcome:
        argv = [program, "-hide_banner", "-v", "error", *arguments]
        outcome = run_confined(argv, folder=folder, limits=LIMITS, deadline=self.deadline)
        if not outcome.ok:
            codec = _NOT_LISTED.search(outcome.errors)
            if codec is not None:
                raise CodecNotAllowed(codec[1].decode())
            said = outcome.errors[-500:].decode(errors="replace")
            raise FfmpegFailed(f"ended with {outcome.returncode}, cut: {outcome.cut}: {said}")
        return outcome


def find_ffmpeg(setting: str = "") -> Ffmpeg | None:
    """The programs in the folder that the setting names, or, without one, on PATH. None: not installed.

    ValueError, naming what is missing, if a folder is named and does not hold both.
    """
    found = [shutil.which(name, path=setting or None) for name in ("ffmpeg", "ffprobe")]
    if all(found):
        ffmpeg, ffprobe = (str(Path(str(path)).absolute()) for path in found)
        return Ffmpeg(ffmpeg, ffprobe)
    if setting:
        missing = "ffmpeg" if found[0] is None else "ffprobe"
        raise ValueError(f"there is no program {missing} in {setting}")
    return None


def _reading(file: Path, file_type: FileType) -> list[str]:
    demuxer = _DEMUXERS[file_type]
    return [
        "-protocol_whitelist",
        "file",
        "-format_whitelist",
        _DEMUXER_NAMES.get(file_type, demuxer),
        "-codec_whitelist",
        _DECODERS,
        "-threads",
        "1",
        "-f",
        demuxer,
        "-i",
        f"file:{file.name}",
    ]


def _stream(entry: dict[str, Any]) -> Stream:
    rotations = [
        int(_number(data["rotation"])) for data in entry.get("side_data_list", []) if "rotation" in data
    ]
    return Stream(
        index=int(entry["index"]),
        kind=str(entry.get("codec_type", "unknown")),
        codec=str(entry.get("codec_name", "unknown")),
        width=int(entry.get("width", 0)),
        height=int(entry.get("height", 0)),
        rotation=rotations[0] if rotations else 0,
        attached_picture=bool(entry.get("disposition", {}).get("attached_pic", 0)),
        matrix=_colour(entry.get("color_space")),
        transfer=_colour(entry.get("color_transfer")),
        primaries=_colour(entry.get("color_primaries")),
    )


def _colour(value: object) -> str:
    return "" if value in (None, "unknown", "unspecified", "reserved") else str(value)


def _number(value: object) -> float:
    """Parse a number of ffprobe, which prints it as text, and as `N/A` if unknown."""
    try:
        number = float(str(value))
    except ValueError:
        return 0.0
    # Not if it is no number at all: that is below nothing.
    return number if abs(number) < 1e9 else 0.0
