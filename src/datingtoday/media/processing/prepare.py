"""From the bytes of an upload to what may be stored: the one way in, for every kind."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from datingtoday.media.processing.audio_video import process_audio, process_video
from datingtoday.media.processing.ffmpeg import Ffmpeg
from datingtoday.media.processing.images import EncodedImage, process_image
from datingtoday.media.processing.inspect import MAX_BYTES, FileType, Kind, inspect_file, refused
from datingtoday.protocol.errors import Unavailable

_PREFIX = "upload-"
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Form:
    """One object for the store."""

    content: bytes | Path = field(repr=False)
    """A path is valid inside `prepare` only."""
    mime: str
    size_bytes: int
    sha256: str
    """Hex, of `content`."""
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    kind: Kind
    main: Form
    thumbs: Mapping[str, Form]
    """`medium` and `thumb` for images and videos, nothing for audio."""
    duration_ms: int | None


class MediaPreparer:
    """Checks uploads and writes them anew. Safe in threads; processes do not know of each other."""

    def __init__(
        self,
        temp_dir: Path,
        ffmpeg: Ffmpeg | None,
        *,
        parallel: int,
        waiting: int,
        wait_s: float = 5.0,
        max_decoding_s: float = 30.0,
    ) -> None:
        """`temp_dir`: where uploads lie while they are worked on (made at the first one). `ffmpeg`: None where
        audio and video are not enabled. `parallel`: how many decoders this process runs at once; `waiting` more uploads
        wait, each for `wait_s` at most, and others are refused at once. All of them together need `parallel` times the
        memory of one. `max_decoding_s`: for all decoders of one upload together, from the start of the first.
        """
        self._temp_dir = temp_dir
        self._ffmpeg = ffmpeg
        self._admitted = threading.BoundedSemaphore(parallel + waiting)
        self._slots = threading.BoundedSemaphore(parallel)
        self._wait_s = wait_s
        self._max_decoding_s = max_decoding_s

    @contextmanager
    def prepare(self, kind: Kind, upload: IO[bytes]) -> Iterator[Prepared]:
        """Prepare what is stored instead of the upload. Raises FileRefused, or Unavailable if all decoders are busy
        and others wait for them, or if they stay busy.

        Blocks for 0.3 to some seconds, and must not be called inside a transaction. The upload counts among those that
        this process admits until the context ends.
        """
        if not self._admitted.acquire(blocking=False):
            raise Unavailable
        try:
            with self._prepared(kind, upload) as prepared:
                yield prepared
        finally:
            self._admitted.release()

    @contextmanager
    def _prepared(self, kind: Kind, upload: IO[bytes]) -> Iterator[Prepared]:
        self._temp_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=self._temp_dir) as folder:
            file = Path(folder) / "upload"
            _copy(upload, file, kind)
            file_type = inspect_file(file, kind)
            # Pillow loads one decoder for a known ending, five to try for an unknown one.
            file = file.rename(file.with_suffix(f".{file_type}"))
            if not self._slots.acquire(timeout=self._wait_s):
                raise Unavailable
            try:
                deadline = time.monotonic() + self._max_decoding_s
                prepared = self._process(kind, file, file_type, deadline)
            finally:
                self._slots.release()
            yield prepared

    def remove_leftovers(self, before: datetime) -> int:
        """Remove what uploads left behind whose process was killed before that moment; how many there were.

        Leave an hour to those that are being worked on.
        """
        removed = 0
        for folder in self._temp_dir.glob(f"{_PREFIX}*"):
            # Another process may sweep at the same time.
            with contextlib.suppress(FileNotFoundError):
                if folder.stat().st_mtime < before.timestamp():
                    shutil.rmtree(folder)
                    removed += 1
        return removed

    def _process(self, kind: Kind, file: Path, file_type: FileType, deadline: float) -> Prepared:
        ffmpeg = self._ffmpeg and self._ffmpeg.until(deadline)
        if kind is Kind.AUDIO:
            audio = process_audio(file, file_type, ffmpeg)
            return Prepared(kind, _form_of_file(audio.file, audio.mime), {}, audio.duration_ms)
        if kind is Kind.VIDEO:
            video = process_video(file, file_type, ffmpeg)
            main = _form_of_file(video.file, video.mime, video.width, video.height)
            return Prepared(kind, main, _thumbs(video.thumbs), video.duration_ms)
        image = process_image(file, file_type, kind, deadline=deadline)
        return Prepared(kind, _form(image.full), _thumbs(image.thumbs), None)


def _copy(upload: IO[bytes], target: Path, kind: Kind) -> None:
    left = MAX_BYTES[kind]
    with target.open("wb") as file:
        while chunk := upload.read(_CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise refused(kind, "it is too large", "文件过大")
            file.write(chunk)


def _form(image: EncodedImage) -> Form:
    return Form(
        content=image.content,
        mime=image.mime,
        size_bytes=len(image.content),
        sha256=image.sha256,
        width=image.width,
        height=image.height,
    )


def _form_of_file(file: Path, mime: str, width: int | None = None, height: int | None = None) -> Form:
    with file.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    return Form(file, mime, file.stat().st_size, sha256, width, height)


def _thumbs(images: Mapping[str, EncodedImage]) -> dict[str, Form]:
    return {name: _form(image) for name, image in images.items()}
