"""Audio and video: the packets of one audio and one video stream move into a new container, nothing else does.

No video is transcoded (a phone records what a phone can play, and a minute of it would cost minutes of CPU), and audio
only where no browser plays it, so quality stays, and places, devices, titles, covers, subtitles, data streams and
chapters stay behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from datingtoday.media.errors import FileRefused
from datingtoday.media.processing.ffmpeg import CodecNotAllowed, Ffmpeg, FfmpegFailed, Probe, Stream
from datingtoday.media.processing.images import EncodedImage, process_image
from datingtoday.media.processing.inspect import FileType, Kind, damaged, refused
from datingtoday.media.processing.posters import poster_options

MAX_AUDIO_MS = 60_000
_TOLERANCE_MS = 500
"""Encoders pad the beginning and the end; a recorder that stops at a minute writes a little more."""
_CUT_AFTER_S = MAX_AUDIO_MS // 1000 + 2
MAX_VIDEO_SIDE_PX = 4096
MAX_VIDEO_PIXELS = 9_500_000
"""4K, in either orientation."""

_M4A = ("audio/mp4", ("-f", "ipod", "-movflags", "+faststart"))
_MP3 = ("audio/mpeg", ("-f", "mp3", "-id3v2_version", "0"))
_OGG = ("audio/ogg", ("-f", "ogg"))
_STORED_AS = {"audio/mp4": FileType.MP4, "audio/mpeg": FileType.MP3, "audio/ogg": FileType.OGG}
# Codec of the audio → type of what is stored and how: players take these as they are.
_COPIED_AUDIO_CODECS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "aac": _M4A,
    "mp3": _MP3,
    "opus": _OGG,
    "vorbis": _OGG,
}
_ENCODED_AUDIO_CODECS = frozenset(
    {
        *(
            "alac",
            "amr_nb",
            "amr_wb",
            "pcm_u8",
            "pcm_s16le",
            "pcm_s16be",
            "pcm_s24le",
            "pcm_s24be",
            "pcm_s32le",
        ),
        *("pcm_f32le", "pcm_alaw", "pcm_mulaw"),
    }
)
"""Formats that recorders and cameras write and no browser plays."""
_AAC = ("-c:a", "aac", "-b:a", "96k", "-ac", "2")
_AAC_SPEECH = ("-c:a", "aac", "-b:a", "32k")
_SPEECH = frozenset({"amr_nb", "amr_wb"})
# The units of the stream itself that hold notes (SEI: encoder settings, on some devices places). Video with HDR
# says so in the container as well. Codecs of WebM have none.
_WITHOUT_NOTES = {
    "h264": "filter_units=remove_types=6",
    "hevc": "filter_units=remove_types=39-40",
    "vp8": "null",
    "vp9": "null",
    "av1": "filter_units=remove_types=5",
}
_WEBM_VIDEO_CODECS = frozenset({"vp8", "vp9", "av1"})
_WEBM_AUDIO_CODECS = frozenset({"opus", "vorbis"})
_BARE = (
    *("-c", "copy"),
    *("-map_metadata", "-1", "-map_metadata:s", "-1", "-map_chapters", "-1"),
    *("-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"),
)
# A second output that only decodes: what cannot be played is not stored. Real recordings may have a bad frame.
_DECODED = ("-max_error_rate", "0.1")
_NOWHERE = ("-f", "null", "-")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessedAudio:
    file: Path
    """In the folder of the upload; gone when that goes."""
    mime: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class ProcessedVideo:
    file: Path
    mime: str
    width: int
    height: int
    """Size as shown, that is after rotation."""
    duration_ms: int
    thumbs: Mapping[str, EncodedImage]
    """Thumbnails of the first frame, by the names of `images.THUMBS`."""


def process_audio(file: Path, file_type: FileType, tools: Ffmpeg | None) -> ProcessedAudio:
    """Take the audio out of a file that `inspect_file` knew; FileRefused. About 0.3 s, in other processes."""
    tools = _enabled(tools)
    kind = Kind.AUDIO
    try:
        found = tools.probe(file, file_type)
        if any(stream.kind == "video" and not stream.attached_picture for stream in found.streams):
            raise refused(kind, "it is a video, not audio", "这是视频，不是音频")
        stream = _only(found, "audio")
        if stream is None:
            raise refused(kind, _codec_en(stream), _codec_zh(stream))
        mime, options = _audio_output(stream, file_type)
        target = file.with_name("audio")
        # The header may lie about the duration: what counts is what is there, of which no more is copied.
        chosen = ("-map", f"0:{stream.index}", "-t", str(_CUT_AFTER_S))
        tools.write(file, file_type, target, [*_DECODED, *chosen, *_NOWHERE, *_BARE, *chosen, *options])
        duration_ms = tools.probe(target, _STORED_AS[mime]).duration_ms
    except FfmpegFailed as error:
        raise _failed(kind, file_type, error) from error
    if duration_ms <= 0:
        raise damaged(kind)
    if duration_ms > MAX_AUDIO_MS + _TOLERANCE_MS:
        raise refused(kind, "it is longer than 60 seconds", "时长超过 60 秒")
    return ProcessedAudio(target, mime, min(duration_ms, MAX_AUDIO_MS))


def _audio_output(stream: Stream, file_type: FileType) -> tuple[str, tuple[str, ...]]:
    """MIME type and options of what is stored. :raises FileRefused: of another codec."""
    if stream.codec in _COPIED_AUDIO_CODECS:
        mime, options = _COPIED_AUDIO_CODECS[stream.codec]
        bare = ("-bsf:a", "aac_adtstoasc") if file_type is FileType.ADTS else ()
        return mime, (*bare, *options)
    if stream.codec in _ENCODED_AUDIO_CODECS:
        mime, options = _M4A
        return mime, (*(_AAC_SPEECH if stream.codec in _SPEECH else _AAC), *options)
    raise refused(Kind.AUDIO, _codec_en(stream), _codec_zh(stream))


def process_video(file: Path, file_type: FileType, tools: Ffmpeg | None) -> ProcessedVideo:
    """Take video and audio out of a file that `inspect_file` knew; FileRefused. About 0.7 s, elsewhere."""
    tools = _enabled(tools)
    kind = Kind.VIDEO
    try:
        found = tools.probe(file, file_type)
        video, audio = _only(found, "video"), _only(found, "audio")
        if video is None or video.codec not in _WITHOUT_NOTES:
            raise refused(kind, _codec_en(video), _codec_zh(video))
        check_size(video)
        target = file.with_name("video")
        stored_type, options = _video_output(video, audio, file_type)
        tools.write(file, file_type, target, options)
        stored = tools.probe(target, stored_type)
        poster = file.with_name("poster.png")
        tools.write(target, stored_type, poster, poster_options(_only(stored, "video") or video))
    except FfmpegFailed as error:
        raise _failed(kind, file_type, error) from error
    if stored.duration_ms <= 0:
        raise damaged(kind)
    turned = video.rotation % 180 != 0
    width, height = (video.height, video.width) if turned else (video.width, video.height)
    thumbs = process_image(poster, FileType.PNG, kind, deadline=tools.deadline).thumbs
    mime = "video/webm" if stored_type is FileType.WEBM else "video/mp4"
    return ProcessedVideo(target, mime, width, height, stored.duration_ms, thumbs)


def _video_output(video: Stream, audio: Stream | None, file_type: FileType) -> tuple[FileType, list[str]]:
    """The type of what is stored, and the options that write it.

    :raises FileRefused: the audio is of a codec that nothing here makes sense of.
    """
    options = [*_BARE, "-map", f"0:{video.index}", "-bsf:v", _WITHOUT_NOTES[video.codec]]
    if video.codec == "hevc":
        options += ["-tag:v", "hvc1"]  # Apple plays H.265 under this name only.
    in_webm = file_type is FileType.WEBM and video.codec in _WEBM_VIDEO_CODECS
    if audio is not None:
        options += ["-map", f"0:{audio.index}"]
        kept = _WEBM_AUDIO_CODECS if in_webm else frozenset({"aac"})
        if audio.codec not in kept:
            if in_webm or audio.codec not in _ENCODED_AUDIO_CODECS | _COPIED_AUDIO_CODECS.keys():
                raise refused(Kind.VIDEO, _codec_en(audio), _codec_zh(audio))
            options += _AAC
    if in_webm:
        return FileType.WEBM, [*options, "-f", "webm"]
    return FileType.MP4, [*options, "-f", "mp4", "-movflags", "+faststart"]


def _enabled(tools: Ffmpeg | None) -> Ffmpeg:
    if tools is None:
        raise FileRefused(
            "audio and video are not enabled on this server; allowed: photos and images",
            "此服务器未启用音频和视频；允许：照片和图片",
        )
    return tools


def _only(found: Probe, kind: str) -> Stream | None:
    """The first stream of the kind that is not a cover."""
    return next((one for one in found.streams if one.kind == kind and not one.attached_picture), None)


def check_size(video: Stream) -> None:
    sides = video.width, video.height
    if min(sides) < 1:
        raise damaged(Kind.VIDEO)
    if max(sides) > MAX_VIDEO_SIDE_PX or video.width * video.height > MAX_VIDEO_PIXELS:
        raise refused(
            Kind.VIDEO,
            f"its picture is too large ({video.width}x{video.height}; at most 4K)",
            f"画面过大（{video.width}x{video.height}，最大 4K）",
        )


def _codec_en(stream: Stream | None) -> str:
    return "it has no such stream" if stream is None else f"its {stream.kind} is coded as {stream.codec}"


def _codec_zh(stream: Stream | None) -> str:
    return "其中没有所需的流" if stream is None else f"其编码为 {stream.codec}"


def _failed(kind: Kind, file_type: FileType, error: FfmpegFailed) -> FileRefused:
    _log.info("ffmpeg_failed", kind=kind, file_type=file_type, error=str(error))
    if isinstance(error, CodecNotAllowed):
        return refused(kind, f"it is coded as {error.codec}", f"其编码为 {error.codec}")
    return damaged(kind)
