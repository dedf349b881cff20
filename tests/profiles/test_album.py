"""The album and the avatar: the user's own photos, in the order they chose, seen by those who may see the profile."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import orjson
import pytest
from PIL import Image
from sqlalchemy import select

from datingtoday.media.moderation import Verdict
from datingtoday.media.processing.inspect import Kind
from datingtoday.profiles.enumerations import MAX_ALBUM
from datingtoday.profiles.models import UserAlbum
from datingtoday.profiles.schemas import AlbumPhotoSchema
from tests.accounts.at_once import at_once
from tests.plugins.api import Answer, Api, User
from tests.profiles.factories import judge, make_block, make_hidden, make_photo, make_user, media_row


def add(api: Api, user: User, media_id: str) -> Answer:
    return api.post("/api/album/add", user, mediaId=media_id)


def filled(api: Api, user: User, count: int) -> list[int]:
    """The photo ids of an album with so many photos."""
    for _ in range(count):
        add(api, user, make_photo(api, user)).data  # noqa: B018 - asserts success
    return ids(api, user)


def ids(api: Api, user: User) -> list[int]:
    return [photo["photo_id"] for photo in api.get("/api/album/list", user).data]


def test_adding(api: Api) -> None:
    user = make_user(api)
    first, second = make_photo(api, user), make_photo(api, user)
    assert api.get("/api/album/list", user).data == []

    told = add(api, user, first).data
    assert AlbumPhotoSchema(many=True).validate(told) == {}
    assert set(told[0]) == {"photo_id", "url", "thumb_url", "create_time"}
    told = add(api, user, second).data
    assert [first in told[0]["url"], second in told[1]["url"]] == [True, True]
    # Again: it stays where it is.
    assert [photo["photo_id"] for photo in add(api, user, first).data] == ids(api, user)
    assert len(ids(api, user)) == 2
    assert [media_row(api, media_id).uses for media_id in (first, second)] == [1, 1]
    shown = api.get("/api/user/show", user).data["album"]
    assert [photo["photo_id"] for photo in shown] == ids(api, user)
    assert set(shown[0]) == {"photo_id", "url", "thumb_url"}


def test_removing(api: Api) -> None:
    user = make_user(api)
    media_id = make_photo(api, user)
    photo_id = add(api, user, media_id).data[0]["photo_id"]
    others = filled(api, user, 2)[1:]
    told = api.post("/api/album/remove", user, photoId=photo_id).data
    assert [photo["photo_id"] for photo in told] == others == ids(api, user)
    assert (media_row(api, media_id).uses, media_row(api, media_id).unused_since is None) == (0, False)
    assert api.post("/api/album/remove", user, photoId=photo_id).code == 1204


def test_ordering(api: Api) -> None:
    user = make_user(api)
    a, b, c, d = filled(api, user, 4)
    for sent, expected in (
        ([d, c, b, a], [d, c, b, a]),
        ([a], [a, d, c, b]),
        ([c, b], [c, b, a, d]),
        ([], [c, b, a, d]),
    ):
        told = api.post("/api/album/order", user, photoIds=",".join(map(str, sent))).data
        assert [photo["photo_id"] for photo in told] == expected == ids(api, user)
    e = filled(api, user, 1)[-1]
    assert ids(api, user) == [c, b, a, d, e]


def test_it_is_full_with_thirty(api: Api) -> None:
    user = make_user(api)
    photo_ids = filled(api, user, MAX_ALBUM)
    assert len(photo_ids) == MAX_ALBUM
    one_more = make_photo(api, user)
    answer = add(api, user, one_more)
    assert answer.code == 1202
    assert str(MAX_ALBUM) in answer.msg
    assert (ids(api, user), media_row(api, one_more).uses) == (photo_ids, 0)
    api.post("/api/album/remove", user, photoId=photo_ids[0]).data  # noqa: B018 - asserts success
    assert add(api, user, one_more).code == 0


@pytest.mark.parametrize("where", ["album", "avatar"])
@pytest.mark.parametrize("what", ["another's", "an image of a chat", "refused", "nobody's"])
def test_only_photos_of_your_own(api: Api, where: str, what: str) -> None:
    user, other = make_user(api), make_user(api)
    media_id = {
        "another's": lambda: make_photo(api, other),
        "an image of a chat": lambda: make_photo(api, user, kind=Kind.IMAGE),
        "refused": lambda: make_photo(api, user, verdict=Verdict.REFUSED),
        "nobody's": lambda: "0" * 32,
    }[what]()
    before = api.get("/api/user/show", user).data
    answer = (
        add(api, user, media_id)
        if where == "album"
        else api.post("/api/user/update", user, avatar=media_id, height=200)
    )
    assert (answer.status, answer.code) == (200, 1204)
    assert api.get("/api/user/show", user).data == before
    if what != "nobody's":
        assert media_row(api, media_id).uses == 0


def test_the_albums_of_others_cannot_be_changed(api: Api) -> None:
    user, other = make_user(api), make_user(api)
    theirs, mine = filled(api, other, 2), filled(api, user, 1)
    assert api.post("/api/album/remove", user, photoId=theirs[0]).code == 1204
    sent = ",".join(map(str, [*mine, theirs[1]]))
    assert api.post("/api/album/order", user, photoIds=sent).code == 1204
    assert (ids(api, user), ids(api, other)) == (mine, theirs)


def test_albums_of_others_are_for_those_who_may_see_them(api: Api) -> None:
    viewer, peer = make_user(api), make_user(api)
    photo_ids = filled(api, peer, 2)
    told = api.get("/api/album/list", viewer, peerId=peer.user_id).data
    assert [photo["photo_id"] for photo in told] == photo_ids
    make_hidden(api, peer)
    answer = api.get("/api/album/list", viewer, peerId=peer.user_id)
    assert answer.code == 501
    assert answer.body == api.get("/api/album/list", viewer, peerId=2**31 - 1).body
    assert api.get("/api/album/list", peer, peerId=peer.user_id).code == 0


@pytest.mark.parametrize(
    ("path", "name", "sent"),
    [
        (path, name, sent)
        for path, name, bad in (
            ("add", "mediaId", [None, "", "../x", "a b", "x" * 65]),
            ("remove", "photoId", [None, "", "0", "x", "1,2", "2147483648"]),
            ("order", "photoIds", [None, "x", "1,1", ",", "1,,2", ",".join(map(str, range(1, 32)))]),
        )
        for sent in bad
    ],
)
def test_bad_parameters_are_named(api: Api, path: str, name: str, sent: str | None) -> None:
    answer = api.post(f"/api/album/{path}", make_user(api), **({} if sent is None else {name: sent}))
    assert (answer.code, name in answer.msg) == (300, True)


def test_photos_added_at_once_all_count(api: Api) -> None:
    user = make_user(api)
    filled(api, user, MAX_ALBUM - 2)
    photos = [make_photo(api, user) for _ in range(4)]
    answers = at_once([partial(add, api, user, media_id) for media_id in [*photos, photos[0]]])
    assert {answer.code for answer in answers} <= {0, 1202}
    with api.parts.base.database.transaction(write=False) as session:
        mine = UserAlbum.user_id == user.user_id
        positions = session.scalars(select(UserAlbum.position).where(mine)).all()
    assert sorted(positions) == list(range(MAX_ALBUM))
    assert sorted(media_row(api, media_id).uses for media_id in photos) == [0, 0, 1, 1]


def test_the_avatar(api: Api) -> None:
    user = make_user(api)
    first, second = make_photo(api, user), make_photo(api, user)
    for media_id in (first, first, second):
        told = api.post("/api/user/update", user, avatar=media_id).data
        assert media_id in told["avatar"]
    assert (media_row(api, first).uses, media_row(api, second).uses) == (0, 1)
    assert api.post("/api/user/update", user, avatar="").data["avatar"] is None
    assert media_row(api, second).uses == 0


def test_what_moderators_have_not_approved_only_its_owner_sees(api: Api) -> None:
    user, viewer = make_user(api), make_user(api)
    face, photo = (make_photo(api, user, verdict=Verdict.PENDING) for _ in range(2))
    api.post("/api/user/update", user, avatar=face).data  # noqa: B018 - asserts success
    add(api, user, photo).data  # noqa: B018

    def seen_by(viewer: User) -> tuple[bool, int, int]:
        told = api.get("/api/user/show", viewer, peerId=user.user_id).data
        album = api.get("/api/album/list", viewer, peerId=user.user_id).data
        (card,) = api.parts.profiles.cards.of(viewer.user_id, [user.user_id], datetime.now(UTC))
        # A card is the same for everybody, its owner included.
        is_on_card = orjson.loads(bytes(card))["avatar"] is not None
        assert is_on_card is (media_row(api, face).verdict == Verdict.APPROVED)
        return told["avatar"] is not None, len(told["album"]), len(album)

    assert (seen_by(user), seen_by(viewer)) == ((True, 1, 1), (False, 0, 0))
    judge(api, face, Verdict.APPROVED)
    judge(api, photo, Verdict.APPROVED)
    assert seen_by(viewer) == (True, 1, 1)
    judge(api, photo, Verdict.REFUSED)
    assert (seen_by(user), seen_by(viewer)) == ((True, 1, 1), (True, 0, 0))
    judge(api, face, Verdict.REFUSED)
    assert (seen_by(user), seen_by(viewer)) == ((True, 1, 1), (False, 0, 0))


@pytest.mark.parametrize(
    ("end", "seen"),
    [
        (lambda api, viewer, owner, photo_id: None, True),
        (lambda api, viewer, owner, photo_id: make_hidden(api, owner), False),
        (lambda api, viewer, owner, photo_id: make_block(api, owner, viewer), False),
        (lambda api, viewer, owner, photo_id: make_block(api, viewer, owner), False),
        (lambda api, viewer, owner, photo_id: api.post("/api/album/remove", owner, photoId=photo_id), False),
    ],
    ids=["nothing", "hidden", "blocked by", "blocked", "removed"],
)
def test_a_url_ends_with_the_right_to_see_the_profile(
    api: Api, end: Callable[[Api, User, User, int], object], seen: bool
) -> None:
    """With real files: from the upload to the bytes."""
    owner, viewer = make_user(api), make_user(api)
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(file, "JPEG")
    media_id = api.upload("/api/media/upload", owner, file.getvalue(), kind="photo").data["media_id"]
    photo_id = add(api, owner, media_id).data[0]["photo_id"]
    api.post("/api/user/update", owner, avatar=media_id, intro="x").data  # noqa: B018 - asserts success
    told = api.get("/api/user/show", viewer, peerId=owner.user_id).data
    urls = [told["avatar"], told["album"][0]["url"], told["album"][0]["thumb_url"]]
    api.post("/api/user/update", owner, avatar="").data  # noqa: B018
    for url in urls:
        assert api.send("GET", url).status == 200

    end(api, viewer, owner, photo_id)

    for url in urls:
        assert api.send("GET", url).status == (200 if seen else 404)


def test_a_photo_kept_for_moderators_is_shown_to_nobody(api: Api) -> None:
    owner, viewer = make_user(api), make_user(api)
    media_id = make_photo(api, owner)
    photo_id = add(api, owner, media_id).data[0]["photo_id"]
    assert api.post("/api/user/report", viewer, peerId=owner.user_id, reason="nudity").code == 0
    api.post("/api/album/remove", owner, photoId=photo_id).data  # noqa: B018 - asserts success
    row = media_row(api, media_id)
    assert row.uses == 1
    with api.parts.base.database.transaction(write=False) as session:
        later = datetime.now(UTC) + timedelta(seconds=1)
        assert not api.parts.profiles.album.may_see(session, viewer.user_id, row, later)
    # Until the report is closed.
    with api.parts.base.database.transaction() as session:
        (report,) = api.parts.safety.moderation.reports(session, state=None, peer_id=owner.user_id, most=5)
        assert [photo.id for photo in api.parts.safety.moderation.held_photos(session, report)] == [media_id]
        api.parts.safety.moderation.dismiss(session, report.id, "", datetime.now(UTC))
    assert media_row(api, media_id).uses == 0
