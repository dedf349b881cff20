"""Sounds and films for the tests, recorded by ffmpeg from its own generators and then tampered with by hand."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from tests.media.image_samples import SECRET

PLACE = "+31.2304+121.4737/"
_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl")


def recorded(options: str, suffix: str, *words: str) -> bytes:
    """Output of `ffmpeg <options> <words> out.<suffix>`; `words` are options with spaces in them."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / f"out.{suffix}"
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", *options.split(), *words, str(target)], check=True, timeout=120
        )
        return target.read_bytes()


SOUNDS = {
    # name: (options, suffix, MIME type of what is stored)
    "m4a": ("-c:a aac", "m4a", "audio/mp4"),
    "adts": ("-c:a aac", "aac", "audio/mp4"),
    "mp3": ("-c:a libmp3lame -q:a 5", "mp3", "audio/mpeg"),
    "opus": ("-c:a libopus -b:a 32k", "ogg", "audio/ogg"),
    "vorbis": ("-c:a libvorbis", "ogg", "audio/ogg"),
}


@cache
def sound(name: str, seconds: float = 3.0, more: str = "") -> bytes:
    options, suffix, _ = SOUNDS[name]
    return recorded(f"-f lavfi -i sine=440:r=24000:d={seconds} -ac 1 {options} {more}", suffix)


@cache
def film(codec: str = "libx264", size: str = "320x180", seconds: float = 2.0, more: str = "") -> bytes:
    """A film with sound; `more` are further output options."""
    quiet = {
        "libx264": "-preset ultrafast",
        "libx265": "-preset ultrafast -x265-params log-level=none -tag:v hvc1",
    }
    return recorded(
        f"-f lavfi -i testsrc2=s={size}:d={seconds}:r=10 -f lavfi -i sine=440:r=24000:d={seconds} "
        f"-c:v {codec} {quiet.get(codec, '')} -pix_fmt yuv420p -c:a aac {more}",
        "mp4",
    )


@cache
def film_with_everything() -> bytes:
    """Places, titles, a cover, subtitles, a time code, chapters, a second sound, notes in the stream."""
    secret = SECRET.decode()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "plain.mp4").write_bytes(film())
        (folder / "cover.jpg").write_bytes(recorded("-f lavfi -i testsrc2=s=32x32 -frames:v 1", "jpg"))
        (folder / "words.srt").write_text(f"1\n00:00:00,000 --> 00:00:01,000\n{secret}\n")
        (folder / "chapters").write_text(
            f";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle={secret}\n"
        )
        tags = ("title", "comment", "artist", "com.apple.quicktime.model", "make")
        content = recorded(
            f"-i {folder}/plain.mp4 -i {folder}/words.srt -i {folder}/cover.jpg -i {folder}/chapters "
            "-map 0:v -map 0:a -map 0:a -map 1 -map 2 -map_metadata 3 -map_chapters 3 -c copy -c:s mov_text "
            "-disposition:v:1 attached_pic -timecode 01:02:03:04 -movflags use_metadata_tags "
            f"-bsf:v:0 h264_metadata=sei_user_data=086f3693-b7b3-4f2c-9653-21492feee5b8+{secret}",
            "mp4",
            *[word for tag in tags for word in ("-metadata", f"{tag}={secret}")],
            *("-metadata", f"location={PLACE}"),
            *("-metadata", f"com.apple.quicktime.location.ISO6709={PLACE}"),
            *("-metadata", "creation_time=2026-01-02T03:04:05Z"),
            *("-metadata:s:v:0", f"handler_name={secret}", "-metadata:s:a:0", f"handler_name={secret}"),
            *("-metadata:s:a:0", "language=chi"),
        )
    return content + box(b"uuid", bytes(16) + SECRET) + box(b"free", SECRET)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def boxes(content: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and content of the outermost boxes."""
    found, at = [], 0
    while at < len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        found.append((kind, content[at + 8 : at + length]))
        at += length
    return found


def changed_box(content: bytes, kind: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Every box of that kind with other content, in a film whose data stands before its header."""
    return b"".join(
        box(
            one,
            change(inside)
            if one == kind
            else changed_box(inside, kind, change)
            if one in _CONTAINERS
            else inside,
        )
        for one, inside in boxes(content)
    )


def elsewhere(content: bytes, kind: bytes, target: bytes, flags: int = 0) -> bytes:
    """The film, saying that its samples are in another file. `flags` 1 says that they are here all the same."""
    entry = box(kind, struct.pack(">I", flags) + target)
    return changed_box(content, b"dref", lambda _: struct.pack(">II", 0, 1) + entry)


def alias(path: str) -> bytes:
    """A Macintosh alias record, the form in which QuickTime writes a path."""
    name = path.rsplit("/", 1)[-1].encode()
    head = bytes(10) + bytes([len(b"volume")]) + b"volume".ljust(27, b"\0") + bytes(12)
    head += bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + struct.pack(">HH", 1, 1) + bytes(16)
    full = path.encode()
    record = struct.pack(">hH", 2, len(full)) + full + (b"\0" if len(full) % 2 else b"")
    record += struct.pack(">hH", -1, 0)
    return head + record + bytes(64)


def with_durations(content: bytes, seconds: int) -> bytes:
    """The film, whose headers claim another duration."""

    def film_header(inside: bytes) -> bytes:
        (scale,) = struct.unpack(">I", inside[12:16])
        return inside[:16] + struct.pack(">I", seconds * scale) + inside[20:]

    def track_header(inside: bytes) -> bytes:
        return inside[:20] + struct.pack(">I", seconds * 1000) + inside[24:]

    content = changed_box(content, b"mvhd", film_header)
    content = changed_box(content, b"mdhd", film_header)
    return changed_box(content, b"tkhd", track_header)


def id3(content: bytes) -> bytes:
    """An ID3v2 tag with a comment."""
    body = b"\0eng\0" + content
    frame = b"COMM" + struct.pack(">IH", len(body), 0) + body
    length = len(frame)
    return (
        b"ID3\3\0\0"
        + bytes([length >> 21 & 127, length >> 14 & 127, length >> 7 & 127, length & 127])
        + frame
    )


def kinds(content: bytes) -> Sequence[bytes]:
    return [kind for kind, _ in boxes(content)]
