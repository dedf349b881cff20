"""The one way in: what it takes, what it hands on, and what it leaves behind."""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from datingtoday.media.errors import FileRefused
from datingtoday.media.parts import shares_of
from datingtoday.media.processing.ffmpeg import Ffmpeg, find_ffmpeg
from datingtoday.media.processing.images import ProcessedImage, process_image
from datingtoday.media.processing.inspect import MAX_BYTES, Kind
from datingtoday.media.processing.prepare import Form, MediaPreparer, Prepared
from datingtoday.protocol.errors import Unavailable
from tests.media.av_samples import film, sound
from tests.media.heic_sample import heic
from tests.media.image_samples import photo, saved
from tests.plugins.polling import wait_until

BETWEEN = datetime(2020, 1, 1, tzinfo=UTC)
NEEDS_FFMPEG = pytest.mark.needs("ffmpeg")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


@pytest.fixture
def preparer(folder: Path) -> MediaPreparer:
    return MediaPreparer(folder, find_ffmpeg(), parallel=2, waiting=2)


def content_of(form: Form) -> bytes:
    return form.content if isinstance(form.content, bytes) else form.content.read_bytes()


def check(prepared: Prepared, forms: set[str]) -> None:
    assert set(prepared.thumbs) == forms
    for form in (prepared.main, *prepared.thumbs.values()):
        content = content_of(form)
        assert form.size_bytes == len(content) > 0
        assert form.sha256 == hashlib.sha256(content).hexdigest()
    for form in prepared.thumbs.values():
        assert form.mime == "image/jpeg" and form.width and form.height


@pytest.mark.parametrize("kind", [Kind.PHOTO, Kind.IMAGE])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_pictures(preparer: MediaPreparer, folder: Path, kind: Kind, image_format: str) -> None:
    with preparer.prepare(kind, io.BytesIO(saved(photo(), image_format))) as prepared:
        check(prepared, {"thumb", "medium"})
        assert prepared.kind is kind
        assert (prepared.main.mime, prepared.main.width, prepared.main.height) == ("image/jpeg", 640, 480)
        assert prepared.duration_ms is None
    assert os.listdir(folder) == []


@NEEDS_FFMPEG
def test_heic(preparer: MediaPreparer) -> None:
    with preparer.prepare(Kind.PHOTO, io.BytesIO(heic(640, 480))) as prepared:
        check(prepared, {"thumb", "medium"})


@NEEDS_FFMPEG
def test_sounds(preparer: MediaPreparer, folder: Path) -> None:
    with preparer.prepare(Kind.AUDIO, io.BytesIO(sound("m4a"))) as prepared:
        check(prepared, set())
        assert prepared.main.mime == "audio/mp4" and prepared.main.width is None
        assert prepared.duration_ms is not None and abs(prepared.duration_ms - 3000) < 120
    assert os.listdir(folder) == []


@NEEDS_FFMPEG
def test_films(preparer: MediaPreparer, folder: Path) -> None:
    with preparer.prepare(Kind.VIDEO, io.BytesIO(film())) as prepared:
        check(prepared, {"thumb", "medium"})
        assert (prepared.main.mime, prepared.main.width, prepared.main.height) == ("video/mp4", 320, 180)
        assert prepared.duration_ms is not None and abs(prepared.duration_ms - 2000) < 100
    assert os.listdir(folder) == []


def test_refusals_leave_nothing(preparer: MediaPreparer, folder: Path) -> None:
    for content in (b"", b"<html>", saved(photo(), "JPEG")[:5000]):
        with pytest.raises(FileRefused), preparer.prepare(Kind.PHOTO, io.BytesIO(content)):
            raise AssertionError("must not get here")
    assert os.listdir(folder) == []


def test_what_fails_behind_leaves_nothing(preparer: MediaPreparer, folder: Path) -> None:
    with pytest.raises(KeyError), preparer.prepare(Kind.PHOTO, io.BytesIO(saved(photo(), "JPEG"))):
        raise KeyError
    assert os.listdir(folder) == []


@pytest.mark.parametrize("kind", Kind)
def test_too_large_is_not_read_to_the_end(preparer: MediaPreparer, kind: Kind) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            assert size > 0
            self.given += size
            return bytes(size)

    endless = Endless()
    with pytest.raises(FileRefused, match="too large"), preparer.prepare(kind, endless):  # type: ignore[arg-type]
        raise AssertionError("must not get here")
    assert endless.given <= MAX_BYTES[kind] + 1024 * 1024


def test_the_largest_upload_of_a_kind_is_read_to_its_end(folder: Path) -> None:
    preparer = MediaPreparer(folder / "made" / "with the first", None, parallel=1, waiting=0)
    largest = b"#!AMR\n" + bytes(5 * 1024 * 1024 - 6)
    for content, why in ((largest, "not enabled"), (largest + b"\0", "too large")):
        with pytest.raises(FileRefused, match=why), preparer.prepare(Kind.AUDIO, io.BytesIO(content)):
            raise AssertionError("must not get here")


def test_only_so_many_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preparer = MediaPreparer(folder, None, parallel=2, waiting=2, wait_s=0.05)
    inside, leave = threading.Semaphore(0), threading.Event()

    def slow(file: Path, *rest: object, **more: object) -> ProcessedImage:
        inside.release()
        assert leave.wait(30)
        return process_image(file, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("datingtoday.media.processing.prepare.process_image", slow)
    content = saved(photo(64, 64), "JPEG")
    done: list[int] = []

    def upload() -> None:
        with preparer.prepare(Kind.PHOTO, io.BytesIO(content)) as prepared:
            done.append(prepared.main.size_bytes)

    threads = [threading.Thread(target=upload) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert inside.acquire(timeout=30)
    with pytest.raises(Unavailable), preparer.prepare(Kind.PHOTO, io.BytesIO(content)):
        raise AssertionError("must not get here")
    # What is no picture does not wait for a place.
    with pytest.raises(FileRefused), preparer.prepare(Kind.PHOTO, io.BytesIO(b"<html>")):
        raise AssertionError("must not get here")
    leave.set()
    for thread in threads:
        thread.join()
    assert len(done) == 2
    upload()  # The places are free again.
    upload()
    assert len(done) == 4 and os.listdir(folder) == []


def test_a_refusal_gives_its_place_back(folder: Path) -> None:
    preparer = MediaPreparer(folder, None, parallel=1, waiting=2, wait_s=0.05)
    whole = saved(photo(), "JPEG")
    for _ in range(2):
        with pytest.raises(FileRefused), preparer.prepare(Kind.PHOTO, io.BytesIO(whole[: len(whole) // 2])):
            raise AssertionError("must not get here")
    with preparer.prepare(Kind.PHOTO, io.BytesIO(whole)) as prepared:
        assert prepared.main.width == 640


def test_leftovers_of_killed_processes(preparer: MediaPreparer, folder: Path) -> None:
    assert preparer.remove_leftovers(BETWEEN) == 0
    names = ("upload-old", "upload-older", "upload-of-then", "upload-young", "other")
    moment = int(BETWEEN.timestamp())
    for name, at in zip(names, (moment - 1, 1, moment, moment + 1, 1), strict=True):
        (folder / name).mkdir(parents=True)
        (folder / name / "upload").write_bytes(b"x")
        os.utime(folder / name, (at, at))
    assert preparer.remove_leftovers(BETWEEN) == 2
    assert sorted(os.listdir(folder)) == ["other", "upload-of-then", "upload-young"]


def test_strangers_on_the_machine_cannot_look(preparer: MediaPreparer, folder: Path) -> None:
    with preparer.prepare(Kind.PHOTO, io.BytesIO(saved(photo(), "JPEG"))):
        assert folder.stat().st_mode & 0o077 == 0
        (work,) = folder.iterdir()
        assert work.stat().st_mode & 0o077 == 0


def test_more_than_may_wait_are_refused_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preparer = MediaPreparer(folder, None, parallel=1, waiting=1, wait_s=30)
    inside, leave = threading.Semaphore(0), threading.Event()

    def slow(file: Path, *rest: object, **more: object) -> ProcessedImage:
        inside.release()
        assert leave.wait(30)
        return process_image(file, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("datingtoday.media.processing.prepare.process_image", slow)
    content = saved(photo(64, 64), "JPEG")
    done: list[int] = []

    def upload() -> None:
        with preparer.prepare(Kind.PHOTO, io.BytesIO(content)) as prepared:
            done.append(prepared.main.size_bytes)

    threads = [threading.Thread(target=upload) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert inside.acquire(timeout=30)
    wait_until(lambda: len(os.listdir(folder)) == 2, "the second upload")
    started = time.monotonic()
    with pytest.raises(Unavailable) as refused, preparer.prepare(Kind.PHOTO, io.BytesIO(content)):
        raise AssertionError("must not get here")
    assert time.monotonic() - started < 15, "not when the others are done, which never happens before this"
    assert int(refused.value.headers["Retry-After"]) >= 1
    leave.set()
    for thread in threads:
        thread.join()
    assert len(done) == 2
    upload()


@pytest.mark.parametrize("kind", [Kind.VIDEO, Kind.AUDIO])
def test_all_decoders_of_an_upload_have_one_limit_of_time(folder: Path, tmp_path: Path, kind: Kind) -> None:
    """The first program takes most of it, and the second would take a minute."""
    streams = [{"index": 0, "codec_type": "video", "codec_name": "h264", "width": 64, "height": 64}]
    if kind is Kind.AUDIO:
        streams = [{"index": 0, "codec_type": "audio", "codec_name": "aac"}]
    ffprobe, ffmpeg = tmp_path / "ffprobe", tmp_path / "ffmpeg"
    ffprobe.write_text(f"#!/bin/sh\nsleep 0.7\necho '{json.dumps({'streams': streams})}'\n")
    ffmpeg.write_text("#!/bin/sh\nsleep 60\n")
    for program in (ffprobe, ffmpeg):
        program.chmod(0o700)
    preparer = MediaPreparer(
        folder, Ffmpeg(str(ffmpeg), str(ffprobe)), parallel=2, waiting=2, max_decoding_s=1.0
    )
    content = film() if kind is Kind.VIDEO else sound("m4a")
    started = time.monotonic()
    with pytest.raises(FileRefused, match="damaged"), preparer.prepare(kind, io.BytesIO(content)):
        raise AssertionError("must not get here")
    assert time.monotonic() - started < 30


def test_a_decoder_that_comes_late_gets_what_is_left(folder: Path) -> None:
    preparer = MediaPreparer(folder, None, parallel=2, waiting=2, max_decoding_s=0.01)
    whole = saved(photo(), "JPEG")
    with pytest.raises(FileRefused, match="too complex"), preparer.prepare(Kind.PHOTO, io.BytesIO(whole)):
        raise AssertionError("must not get here")


def test_a_jpeg_of_empty_comments_costs_nothing(preparer: MediaPreparer) -> None:
    whole = saved(photo(64, 64), "JPEG")
    comments = whole[:2] + b"\xff\xfe\0\2" * 4_900_000 + whole[2:]
    assert len(comments) < MAX_BYTES[Kind.PHOTO]
    started = time.monotonic()
    with pytest.raises(FileRefused, match="too complex"), preparer.prepare(Kind.PHOTO, io.BytesIO(comments)):
        raise AssertionError("must not get here")
    assert time.monotonic() - started < 15


def test_metadata_of_real_files_is_no_bomb(preparer: MediaPreparer) -> None:
    whole = saved(photo(64, 64), "JPEG")
    segments = whole[:2] + (b"\xff\xe2\xff\xff" + bytes(65_533)) * 300 + whole[2:]
    with preparer.prepare(Kind.PHOTO, io.BytesIO(segments)) as prepared:
        assert prepared.main.width == 64


@pytest.mark.parametrize(
    "content",
    [
        b"ID3\3\0\0\0\0\0\0" * 500_000,
        b"\xff\xd8" + b"\xff" * 5_000_000,
    ],
    ids=["tags", "fill bytes"],
)
def test_sniffing_is_bounded(preparer: MediaPreparer, content: bytes) -> None:
    started = time.process_time()
    for kind in (Kind.AUDIO, Kind.PHOTO):
        with pytest.raises(FileRefused), preparer.prepare(kind, io.BytesIO(content)):
            raise AssertionError("must not get here")
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("threads", "parallel", "decoding", "waiting"),
    [(1, 2, 1, 0), (2, 2, 1, 0), (4, 2, 2, 1), (4, 64, 2, 1), (8, 2, 2, 3), (8, 8, 4, 2), (256, 2, 2, 127)],
)
def test_shares_of_the_threads(threads: int, parallel: int, decoding: int, waiting: int) -> None:
    assert shares_of(threads, parallel) == (decoding, waiting)
    assert threads == 1 or decoding <= threads / 2
    assert threads == 1 or decoding + waiting < threads
