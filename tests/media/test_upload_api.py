"""POST /api/media/upload over the protocol: what is taken, what is refused, and what a failure leaves behind."""

from __future__ import annotations

import hashlib
import io
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest
from PIL import Image

from datingtoday.infra.storage.storage import StorageError
from datingtoday.media.errors import FileRefused
from datingtoday.media.jobs import purge_rows
from datingtoday.media.models import Media, MediaGarbage, MediaUsage
from datingtoday.media.processing import images
from datingtoday.media.processing.inspect import Kind
from datingtoday.media.processing.prepare import Form, Prepared
from tests.accounts.at_once import at_once
from tests.media.av_samples import film, sound
from tests.media.image_samples import SECRET, jpeg_with_everything, photo, saved
from tests.media.uploads import UPLOAD, count, row_of, small_photo, stored, upload
from tests.plugins.api import Answer, Api, User
from tests.profiles.factories import make_user

NEEDS_FFMPEG = pytest.mark.needs("ffmpeg")
MAX_FILE_BYTES = 21 * 1024 * 1024
HOUR = timedelta(hours=1)


def nothing_of(api: Api, user: User) -> bool:
    """No row and no count of this person."""
    with api.parts.base.database.transaction(write=False) as session:
        usage = session.get(MediaUsage, user.user_id)
    return not count(api, Media, user_id=user.user_id) and (
        usage is None or (usage.files, usage.stored_bytes) == (0, 0)
    )


class TestTaken:
    def test_a_photo(self, stored_api: Api) -> None:
        api, user = stored_api, make_user(stored_api)
        told = upload(api, user, jpeg_with_everything(orientation=6)).data
        assert set(told) == {"media_id", "kind", "mime", "bytes", "url", "thumb_url", "width", "height"}
        assert (told["kind"], told["mime"]) == ("photo", "image/jpeg")
        assert re.fullmatch("[0-9a-f]{32}", told["media_id"])
        full = api.send("GET", told["url"])
        assert (full.status, len(full.body)) == (200, told["bytes"])
        assert SECRET not in full.body
        with Image.open(io.BytesIO(full.body)) as image:
            assert image.size == (told["width"], told["height"])
        with Image.open(io.BytesIO(api.send("GET", told["thumb_url"]).body)) as image:
            assert max(image.size) == images.THUMBS["thumb"]
        row = row_of(api, told["media_id"])
        assert row is not None
        assert stored(api, row.storage_key) == [True, True, True]
        assert (row.uses, row.verdict, row.sha256) == (0, "approved", hashlib.sha256(full.body).hexdigest())
        assert count(api, MediaGarbage) == 0

    @NEEDS_FFMPEG
    @pytest.mark.parametrize(
        ("kind", "make", "mime", "more"),
        [
            ("image", lambda: small_photo(), "image/jpeg", {"thumb_url", "width", "height"}),
            ("audio", lambda: sound("m4a"), "audio/mp4", {"duration_ms"}),
            ("video", lambda: film(), "video/mp4", {"thumb_url", "width", "height", "duration_ms"}),
        ],
    )
    def test_of_chat(self, api: Api, kind: str, make: Callable[[], bytes], mime: str, more: set[str]) -> None:
        told = upload(api, make_user(api), make(), kind).data
        assert set(told) == {"media_id", "kind", "mime", "bytes", "url"} | more
        assert (told["kind"], told["mime"]) == (kind, mime)
        full = api.send("GET", told["url"])
        assert (full.status, len(full.body), full.headers["Content-Type"]) == (200, told["bytes"], mime)
        if "thumb_url" in told:
            assert api.send("GET", told["thumb_url"]).headers["Content-Type"] == "image/jpeg"

    def test_the_same_file_twice_is_two_uploads(self, api: Api) -> None:
        user = make_user(api)
        assert upload(api, user).data["media_id"] != upload(api, user).data["media_id"]

    def test_signed_with_md5_and_the_digest_of_the_file(self, api: Api) -> None:
        user, content = make_user(api), small_photo()
        digest = hashlib.sha256(content).hexdigest()
        assert post(api, user, content, kind="photo", fileSha256=digest).code == 0
        refused = post(api, user, content, kind="photo", fileSha256="0" * 64)
        assert (refused.code, refused.msg.split()[0]) == (300, "fileSha256")
        missing = post(api, user, content, kind="photo")
        assert (missing.code, missing.msg.split()[0]) == (300, "fileSha256")

    def test_nothing_of_sql_is_held_while_it_is_worked_on(
        self, app_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api = app_of()
        pool: Any = api.parts.base.database.engine.pool
        media, held = api.parts.media.service, []
        put, prepare = media.storage.put, media.preparer.prepare

        def watched_put(*arguments: Any) -> None:
            held.append(pool.checkedout())
            put(*arguments)

        @contextmanager
        def watched_prepare(kind: Kind, file: IO[bytes]) -> Iterator[Prepared]:
            held.append(pool.checkedout())
            with prepare(kind, file) as prepared:
                held.append(pool.checkedout())
                yield prepared

        monkeypatch.setattr(media.storage, "put", watched_put)
        monkeypatch.setattr(media.preparer, "prepare", watched_prepare)
        assert upload(api, make_user(api)).code == 0
        assert held == [0] * 5


class TestRefused:
    @pytest.mark.parametrize("kind", [None, "", "Photo", "photo ", "gif", "照片", "photo,image", "x" * 5000])
    def test_kinds(self, api: Api, kind: str | None) -> None:
        user = make_user(api)
        own = {} if kind is None else {"kind": kind}
        answer = api.upload(UPLOAD, user, small_photo(), **own)
        assert (answer.code, answer.msg.split()[0]) == (300, "kind")
        assert "one of photo (photo of the profile) image" in answer.msg
        assert nothing_of(api, user)

    @pytest.mark.parametrize("own", [{}, {"file": "text"}])
    def test_no_file(self, api: Api, own: dict[str, str]) -> None:
        answer = api.post(UPLOAD, make_user(api), kind="photo", **own)
        assert (answer.code, answer.msg.split()[0]) == (300, "file")

    def test_without_a_login(self, api: Api) -> None:
        params: dict[str, Any] = api.params(
            "POST", UPLOAD, {"kind": "photo"}, sign_method="hmac-sha256", file=small_photo()
        )
        assert api.send_file(UPLOAD, params, small_photo()).code == 504

    @pytest.mark.parametrize(
        ("kind", "content", "says"),
        [
            ("photo", b"", "allowed: JPEG"),
            ("photo", b"<html><script>alert(1)</script>", "allowed: JPEG"),
            ("photo", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "allowed: JPEG"),
            ("image", b"GIF89a" + b"\0" * 100, "allowed: JPEG"),
            ("audio", b"#EXTM3U\nhttp://127.0.0.1/x\n", "allowed: M4A"),
            ("audio", b"\xff\xd8\xff\xe0" + b"\0" * 100, "allowed: M4A"),
            ("video", b"\0\0\0\x18ftypisom", "allowed: MP4"),
        ],
    )
    def test_contents(self, api: Api, kind: str, content: bytes, says: str) -> None:
        user = make_user(api)
        answer = upload(api, user, content, kind)
        assert answer.code == 1201
        assert says in answer.msg
        assert nothing_of(api, user)

    def test_a_cut_photo_in_chinese(self, api: Api) -> None:
        user = make_user(api)
        answer = api.upload(UPLOAD, user, saved(photo(), "JPEG")[:-2000], kind="photo", lang="zh")
        assert answer.code == 1201
        assert answer.msg.startswith("文件被拒绝")
        assert nothing_of(api, user)

    def test_more_than_any_kind_may_have(self, api: Api) -> None:
        user = make_user(api)
        answer = upload(api, user, b"\xff\xd8\xff" + b"\0" * MAX_FILE_BYTES)
        assert (answer.status, answer.code) == (413, 413)
        assert str(MAX_FILE_BYTES) in answer.msg
        just_too_large = upload(api, user, b"\xff\xd8\xff" + b"\0" * (20 * 1024 * 1024))
        assert just_too_large.code == 1201
        assert "too large" in just_too_large.msg
        assert nothing_of(api, user)

    def test_sound_and_film_where_ffmpeg_is_missing(
        self, app_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        api = app_of()
        user = make_user(api)
        for kind in ("audio", "video"):
            content = b"ID3\x04\0\0\0\0\0\0" + (b"\xff\xfb\x90\x00" + b"\0" * 413) * 3
            if kind == "video":
                content = b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x08moov\0\0\0\x08mdat"
            answer = upload(api, user, content, kind)
            assert answer.code == 1201, kind
        assert upload(api, user).code == 0


class TestQuota:
    def test_files(self, app_of: Callable[..., Api]) -> None:
        api = app_of(MEDIA_USER_FILES=2)
        user = make_user(api)
        assert [upload(api, user).code for _ in range(3)] == [0, 0, 1201]
        assert "(2 / 2, 0 / 5120 MB)" in upload(api, user).msg
        assert "2 / 2" in upload(api, user, b"no photo").msg, "without a look at the file"
        assert upload(api, make_user(api)).code == 0
        assert count(api, Media, user_id=user.user_id) == 2

    def test_bytes_of_all_forms(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        user = make_user(api)
        row = row_of(api, upload(api, user).data["media_id"])
        assert row is not None and row.stored_bytes > row.size_bytes
        api = app_of(MEDIA_USER_BYTES=2 * row.stored_bytes - 1)
        answer = upload(api, user)
        assert answer.code == 1201
        assert "storage is full" in answer.msg
        assert count(api, Media, user_id=user.user_id) == 1
        assert count(api, MediaGarbage) == 0
        assert files_in_store(api) == 3, "what was stored before the count is deleted again"
        api = app_of(MEDIA_USER_BYTES=2 * row.stored_bytes)
        assert upload(api, user).code == 0

    def test_uploads_at_the_same_time(self, app_of: Callable[..., Api]) -> None:
        api = app_of(MEDIA_USER_FILES=3, LIMITS_UPLOADS_AT_ONCE=6, SERVER_THREADS=32, MEDIA_PARALLEL=6)
        user = make_user(api)
        answers: list[Answer] = at_once([lambda: upload(api, user) for _ in range(6)])
        assert sorted(answer.code for answer in answers) == [0, 0, 0, 1201, 1201, 1201]
        with api.parts.base.database.transaction(write=False) as session:
            usage = session.get_one(MediaUsage, user.user_id)
        rows = [row_of(api, answer.data["media_id"]) for answer in answers if answer.code == 0]
        assert (usage.files, usage.stored_bytes) == (3, sum(row.stored_bytes for row in rows if row))
        assert count(api, MediaGarbage) == 0
        assert files_in_store(api) == 9

    def test_that_are_counted_at_the_same_moment(
        self, app_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All of them are stored before the first is counted."""
        api = app_of(MEDIA_USER_FILES=4, LIMITS_UPLOADS_AT_ONCE=8)
        user, media = make_user(api), api.parts.media.service
        form = Form(b"sound", "audio/mp4", 5, hashlib.sha256(b"sound").hexdigest())
        all_stored = threading.Barrier(8)
        put = media.storage.put

        @contextmanager
        def prepare(kind: Kind, file: IO[bytes]) -> Iterator[Prepared]:
            yield Prepared(kind, form, {}, 1000)

        def put_and_wait(*arguments: Any) -> None:
            put(*arguments)
            all_stored.wait(30)

        monkeypatch.setattr(media.preparer, "prepare", prepare)
        monkeypatch.setattr(media.storage, "put", put_and_wait)

        def taken() -> bool:
            try:
                media.upload(user.user_id, Kind.AUDIO, io.BytesIO(), datetime.now(UTC))
            except FileRefused:
                return False
            return True

        assert sorted(at_once([taken] * 8)) == [False] * 4 + [True] * 4
        with api.parts.base.database.transaction(write=False) as session:
            usage = session.get_one(MediaUsage, user.user_id)
        assert (usage.files, usage.stored_bytes) == (4, 20)
        assert (count(api, Media), count(api, MediaGarbage), files_in_store(api)) == (4, 0, 4)


class TestFailures:
    @pytest.mark.parametrize(("took_s", "is_taken"), [(1800.0, True), (1800.1, False)])
    def test_storing_takes_half_an_hour_at_most(
        self, api: Api, monkeypatch: pytest.MonkeyPatch, took_s: float, is_taken: bool
    ) -> None:
        """The purge may take the files for garbage after an hour."""
        user, clock = make_user(api), iter([0.0, took_s])
        monkeypatch.setattr("datingtoday.media.service.time", SimpleNamespace(monotonic=lambda: next(clock)))
        assert (upload(api, user).status == 200) is is_taken
        assert count(api, Media, user_id=user.user_id) == is_taken

    @pytest.mark.parametrize("puts_before", [0, 1, 2])
    def test_of_the_store(
        self, app_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch, puts_before: int
    ) -> None:
        api = app_of()
        user, storage = make_user(api), api.parts.media.service.storage
        put = storage.put
        done: list[str] = []

        def failing(key: str, *rest: Any) -> None:
            if len(done) == puts_before:
                raise StorageError("disk full")
            put(key, *rest)
            done.append(key)

        monkeypatch.setattr(storage, "put", failing)
        answer = upload(api, user)
        assert (answer.status, answer.code) == (503, 503)
        assert nothing_of(api, user)
        assert count(api, MediaGarbage) == 0
        assert files_in_store(api) == 0
        monkeypatch.undo()
        assert upload(api, user).code == 0

    def test_a_purge_leaves_an_upload_alone_that_is_being_stored(
        self, app_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """For an hour from its beginning; the upload whose files were taken nevertheless is refused."""
        api = app_of()
        user, media = make_user(api), api.parts.media.service
        put, age = media.storage.put, timedelta(minutes=59)

        def put_and_purge(*arguments: Any) -> None:
            put(*arguments)
            purge_rows(media, datetime.now(UTC) + age, unused_for=timedelta(days=1))

        monkeypatch.setattr(media.storage, "put", put_and_purge)
        assert upload(api, user).code == 0
        assert files_in_store(api) == 3
        age = timedelta(minutes=61)
        assert upload(api, user).status == 503
        assert count(api, Media, user_id=user.user_id) == 1

    def test_of_a_store_that_cannot_delete_either(
        self, app_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Files left are written down, so that the purge finds them; see test_purge.py."""
        api = app_of()
        user, storage = make_user(api), api.parts.media.service.storage
        put = storage.put

        def failing(key: str, *rest: Any) -> None:
            if "." not in key:
                raise StorageError("disk full")
            put(key, *rest)

        def stuck(key: str) -> None:
            raise StorageError("read-only")

        monkeypatch.setattr(storage, "put", failing)
        monkeypatch.setattr(storage, "delete", stuck)
        assert upload(api, user).status == 503
        assert nothing_of(api, user)
        assert count(api, MediaGarbage) == 1
        assert files_in_store(api) == 2

    def test_of_the_database_at_the_end(
        self, app_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api = app_of()
        user = make_user(api)

        def failing(*_: Any) -> None:
            raise RuntimeError("lost")

        monkeypatch.setattr(api.parts.media.service, "_keep", failing)
        assert upload(api, user).status == 500
        assert nothing_of(api, user)
        assert files_in_store(api) == 0

    def test_when_it_took_so_long_that_the_purge_may_come(
        self, app_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api = app_of()
        user = make_user(api)
        monkeypatch.setattr("datingtoday.media.service.MAX_STORING_TIME", -HOUR)
        assert upload(api, user).status == 503
        assert nothing_of(api, user)
        assert files_in_store(api) == 0


def files_in_store(api: Api) -> int:
    """Files of a local store, drafts included."""
    root = api.parts.base.settings.data_dir / "media"
    return sum(path.is_file() for path in root.rglob("*"))


def post(api: Api, user: User, content: bytes, **own: Any) -> Answer:
    """An upload that is signed with md5."""
    params: dict[str, Any] = api.params("POST", UPLOAD, own, user=user)
    return api.send_file(UPLOAD, params, content)
