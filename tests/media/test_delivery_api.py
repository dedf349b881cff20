"""GET /api/media/<media_id>: to whom, what, and with nothing left open."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from datingtoday.infra.storage.storage import StorageError
from datingtoday.media.models import Media
from datingtoday.media.processing.inspect import Kind
from tests.media.uploads import make_media, row_of, set_media, upload
from tests.plugins.api import Answer, Api, User
from tests.profiles.factories import ban, delete, make_block, make_follow, make_hidden, make_user, set_row

CONTENT = bytes(range(256)) * 1000
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


def url_for(api: Api, media: Media, viewer: User | int, **more: Any) -> str:
    """A URL as the server makes them, for any viewer."""
    expires = int(datetime.now(UTC).timestamp()) + 600
    viewer_id = viewer if isinstance(viewer, int) else viewer.user_id
    return api.parts.media.service.signer.url(media.id, viewer_id=viewer_id, **{"expires": expires, **more})


def is_not_found(answer: Answer) -> bool:
    """The 404 that every unknown URL gets, so that nobody learns why."""
    assert answer.headers["Content-Type"] == "application/json"
    assert "ETag" not in answer.headers
    return (answer.status, answer.code) == (404, 404)


@pytest.fixture
def avatar(api: Api) -> tuple[User, Media]:
    """A user with a photo that everybody who sees the profile sees."""
    user = make_user(api)
    media = make_media(api, user, content=CONTENT)
    api.post("/api/user/update", user, avatar=media.id).data  # noqa: B018 - asserts success
    return user, media


class TestBytes:
    def test_of_every_form(self, stored_api: Api) -> None:
        api, user = stored_api, make_user(stored_api)
        media = make_media(api, user, content=CONTENT)
        full = api.send("GET", url_for(api, media, user))
        assert (full.status, full.body) == (200, CONTENT)
        expected = {
            **SECURITY,
            "Content-Type": "image/jpeg",
            "Content-Length": str(len(CONTENT)),
            "Accept-Ranges": "bytes",
            "ETag": f'"{media.sha256}"',
            "Content-Disposition": 'inline; filename="media.jpg"',
        }
        assert {name: full.headers[name] for name in expected} == expected
        assert full.headers["Cache-Control"].startswith("private, max-age=")
        assert 590 <= int(full.headers["Cache-Control"].rpartition("=")[2]) <= 600
        assert "Set-Cookie" not in full.headers
        for size in ("medium", "thumb"):
            answer = api.send("GET", url_for(api, media, user, size=size))
            assert (answer.status, answer.body) == (200, f"{size} {media.id}".encode())

    @pytest.mark.parametrize(
        ("asked", "status", "body", "told"),
        [
            ("bytes=0-9", 206, CONTENT[:10], "bytes 0-9/256000"),
            ("bytes=255990-", 206, CONTENT[-10:], "bytes 255990-255999/256000"),
            ("bytes=-5", 206, CONTENT[-5:], "bytes 255995-255999/256000"),
            ("bytes=70000-200000", 206, CONTENT[70000:200001], "bytes 70000-200000/256000"),
            ("bytes=256000-", 416, b"", "bytes */256000"),
            ("bytes=0-1,5-6", 200, CONTENT, None),
            ("lines=1-2", 200, CONTENT, None),
        ],
    )
    def test_of_a_range(
        self, stored_api: Api, asked: str, status: int, body: bytes, told: str | None
    ) -> None:
        api, user = stored_api, make_user(stored_api)
        media = make_media(api, user, "video", content=CONTENT)
        answer = api.send("GET", url_for(api, media, user), headers={"Range": asked})
        assert (answer.status, answer.body) == (status, body)
        assert answer.headers["Content-Length"] == str(len(body))
        assert answer.headers.get("Content-Range") == told
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    def test_that_the_client_has_already(self, api: Api) -> None:
        user = make_user(api)
        media = make_media(api, user)
        answer = api.send("GET", url_for(api, media, user), headers={"If-None-Match": f'"{media.sha256}"'})
        assert (answer.status, answer.body) == (304, b"")
        assert "Content-Type" not in answer.headers

    def test_a_head_request_opens_nothing(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        user = make_user(api)
        media = make_media(api, user, content=CONTENT)

        def never(*_: Any) -> None:
            raise AssertionError("opened")

        monkeypatch.setattr(api.parts.media.service.storage, "open_range", never)
        answer = api.send("HEAD", url_for(api, media, user))
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["Content-Length"] == str(len(CONTENT))
        assert answer.headers["Content-Type"] == "image/jpeg"

    def test_a_sound_has_no_thumb(self, api: Api) -> None:
        user = make_user(api)
        media = make_media(api, user, "audio")
        assert api.send("GET", url_for(api, media, user)).headers["Content-Type"] == "audio/mp4"
        assert is_not_found(api.send("GET", url_for(api, media, user, size="thumb")))

    def test_by_nginx(self, app_of: Callable[..., Api]) -> None:
        api = app_of(STORAGE_X_ACCEL="/_media/")
        user = make_user(api)
        media = make_media(api, user)
        answer = api.send("GET", url_for(api, media, user, size="thumb"))
        assert (answer.status, answer.body) == (200, b"")
        key = media.storage_key
        assert answer.headers["X-Accel-Redirect"] == f"/_media/{key[:2]}/{key[2:4]}/{key}.thumb"
        assert {name: answer.headers[name] for name in SECURITY} == SECURITY
        assert is_not_found(api.send("GET", url_for(api, media, make_user(api))))


class TestUrl:
    def test_that_was_changed(self, api: Api) -> None:
        user, other = make_user(api), make_user(api)
        media, another = make_media(api, user), make_media(api, other)
        good = url_for(api, media, user, size="thumb")
        assert api.send("GET", good).status == 200
        for bad in (
            good.replace(media.id, another.id),
            good.replace("size=thumb", "size=medium"),
            good.replace("size=thumb", "size=full"),
            good.replace("size=thumb&", ""),
            good.replace("expires=1", "expires=2"),
            good.replace("expires=", "expires=0"),
            good[:-1],
            good + "A",
            good.partition("&signature")[0],
            good.partition("?")[0],
            good.replace(media.id, media.id.upper()) if media.id.upper() != media.id else good[:-2],
            f"/api/media/{'0' * 5000}",
            "/api/media/%00",
            "/api/media/%E7%85%A7",
        ):
            assert is_not_found(api.send("GET", bad)), bad

    def test_that_has_expired(self, api: Api) -> None:
        user = make_user(api)
        media = make_media(api, user)
        now = int(datetime.now(UTC).timestamp())
        assert is_not_found(api.send("GET", url_for(api, media, user, expires=now - 1)))
        assert api.send("GET", url_for(api, media, user, expires=now + 60)).status == 200

    def test_in_chinese(self, api: Api) -> None:
        answer = api.send("GET", "/api/media/none", headers={"Accept-Language": "zh"})
        assert (answer.status, answer.code) == (404, 404)
        assert "地址" in answer.msg

    def test_of_what_was_removed(self, api: Api) -> None:
        user = make_user(api)
        media = make_media(api, user)
        url = url_for(api, media, user)
        with api.parts.base.database.transaction() as session:
            session.delete(session.get_one(Media, media.id))
        assert is_not_found(api.send("GET", url))

    def test_of_a_file_that_the_store_lost(self, api: Api) -> None:
        user = make_user(api)
        media = make_media(api, user)
        api.parts.media.service.storage.delete(media.storage_key)
        assert is_not_found(api.send("GET", url_for(api, media, user)))
        assert api.send("GET", url_for(api, media, user, size="thumb")).status == 200

    def test_while_the_store_is_down(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        user = make_user(api)
        media = make_media(api, user)

        def down(*_: Any) -> None:
            raise StorageError("down")

        monkeypatch.setattr(api.parts.media.service.storage, "open_range", down)
        answer = api.send("GET", url_for(api, media, user))
        assert (answer.status, answer.code) == (503, 503)
        assert answer.headers["Retry-After"]

    def test_other_methods(self, api: Api) -> None:
        user = make_user(api)
        url = url_for(api, make_media(api, user), user)
        assert api.send("POST", url).status == 405
        client = api.app.test_client()
        assert client.get("/api/media/upload").status_code == 405


class TestWhoSees:
    def test_everybody_who_sees_the_profile(self, api: Api, avatar: tuple[User, Media]) -> None:
        user, media = avatar
        viewer = make_user(api)
        shown = api.get("/api/user/show", viewer, peerId=user.user_id).data["avatar"]
        assert api.send("GET", shown).body == f"medium {media.id}".encode()
        assert api.send("GET", url_for(api, media, viewer)).body == CONTENT

    @pytest.mark.parametrize(
        "change",
        [
            lambda api, user, viewer: make_hidden(api, user),
            lambda api, user, viewer: set_row(api, user, authority=2),
            lambda api, user, viewer: make_block(api, user, viewer),
            lambda api, user, viewer: make_block(api, viewer, user),
            lambda api, user, viewer: ban(api, user),
            lambda api, user, viewer: delete(api, user),
        ],
        ids=["hidden", "followed only", "blocked", "blocks", "banned", "deleted"],
    )
    def test_nobody_else(
        self, api: Api, avatar: tuple[User, Media], change: Callable[[Api, User, User], None]
    ) -> None:
        user, media = avatar
        viewer = make_user(api)
        urls = [url_for(api, media, viewer, size=size) for size in (None, "medium", "thumb")]
        assert [api.send("GET", url).status for url in urls] == [200] * 3
        change(api, user, viewer)
        assert all(is_not_found(api.send("GET", url)) for url in urls)
        assert api.send("GET", url_for(api, media, user)).status == 200, "the owner still does"

    def test_whom_the_owner_follows(self, api: Api, avatar: tuple[User, Media]) -> None:
        user, media = avatar
        viewer = make_user(api)
        set_row(api, user, authority=2)
        make_follow(api, user, viewer)
        assert api.send("GET", url_for(api, media, viewer)).status == 200

    def test_nobody_what_is_not_shown_any_more(self, api: Api, avatar: tuple[User, Media]) -> None:
        user, media = avatar
        url = url_for(api, media, make_user(api))
        api.post("/api/user/update", user, avatar="").data  # noqa: B018 - asserts success
        assert is_not_found(api.send("GET", url))
        assert api.send("GET", url_for(api, media, user)).status == 200

    def test_nobody_what_was_never_shown(self, api: Api) -> None:
        user = make_user(api)
        media_id = upload(api, user).data["media_id"]
        media = row_of(api, media_id)
        assert media is not None
        assert is_not_found(api.send("GET", url_for(api, media, make_user(api))))

    @pytest.mark.parametrize("verdict", ["pending", "refused"])
    def test_only_the_owner_what_is_not_approved(
        self, api: Api, avatar: tuple[User, Media], verdict: str
    ) -> None:
        user, media = avatar
        viewer = make_user(api)
        set_media(api, media.id, verdict=verdict)
        assert is_not_found(api.send("GET", url_for(api, media, viewer)))
        assert api.send("GET", url_for(api, media, user)).body == CONTENT
        set_media(api, media.id, verdict="approved")
        assert api.send("GET", url_for(api, media, viewer)).body == CONTENT

    def test_whoever_the_authoriser_of_the_kind_lets(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        owner, friend, stranger = make_user(api), make_user(api), make_user(api)
        media, unused = make_media(api, owner, "image", uses=1), make_media(api, owner, "image")
        asked = []

        def authoriser(_session: Any, viewer_id: int, row: Media, now: datetime, /) -> bool:
            asked.append((viewer_id, row.id, row.user_id, datetime.now(UTC) - now < timedelta(minutes=1)))
            return viewer_id == friend.user_id

        api.parts.media.delivery.withdraw_authoriser(Kind.IMAGE)
        assert is_not_found(api.send("GET", url_for(api, media, friend)))
        api.parts.media.delivery.register_authoriser(Kind.IMAGE, authoriser)
        with pytest.raises(ValueError, match="image has an authoriser"):
            api.parts.media.delivery.register_authoriser(Kind.IMAGE, authoriser)

        assert api.send("GET", url_for(api, media, friend)).status == 200
        assert is_not_found(api.send("GET", url_for(api, media, stranger)))
        assert asked == [(viewer.user_id, media.id, owner.user_id, True) for viewer in (friend, stranger)]
        assert api.send("GET", url_for(api, media, owner)).status == 200
        assert is_not_found(api.send("GET", url_for(api, unused, friend)))
        assert len(asked) == 2, "nobody is asked about owners and about what nothing shows"


class TestNothingStaysOpen:
    def test_while_it_streams(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        user = make_user(api)
        media = make_media(api, user, content=CONTENT)
        pool: Any = api.parts.base.database.engine.pool

        response = stream(api, url_for(api, media, user))
        assert len(open_files(api)) == 1
        assert pool.checkedout() == 0
        chunk = next(iter(response.response))
        assert 0 < len(chunk) < len(CONTENT)
        response.close()
        assert open_files(api) == []

    def test_when_it_was_read(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        user = make_user(api)
        media = make_media(api, user, content=CONTENT)
        url = url_for(api, media, user)
        for headers in ({}, {"Range": "bytes=5-70000"}, {"Range": "bytes=999999-"}, {"If-None-Match": "*"}):
            stream(api, url, headers=headers).get_data()
            assert open_files(api) == [], headers


def stream(api: Api, url: str, **options: Any) -> TestResponse:
    return api.app.test_client().get(url, buffered=False, **options)


def open_files(api: Api) -> list[str]:
    """Files of the store that this process has open."""
    root = str(api.parts.base.settings.data_dir / "media")
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(link)
        except FileNotFoundError:
            continue  # The one that the listing itself had open.
        if target.startswith(root):
            found.append(target)
    return found
