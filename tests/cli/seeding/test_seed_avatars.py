"""Drawn avatars of made-up people: an upload of their own each, of pictures that many show."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby

import pytest
from PIL import Image, ImageChops
from sqlalchemy import func, select

from datingtoday.accounts.models import UserAuth
from datingtoday.cli.seeding.load import SeedLoad
from datingtoday.cli.seeding.people import PICTURES, made_up_people
from datingtoday.cli.seeding.pictures import SIDE_PX, draw, store_pictures
from datingtoday.infra.storage.local import LocalStorage
from datingtoday.media.jobs import purge
from datingtoday.media.models import Media, MediaGarbage, MediaUsage, is_shared, keys_of
from datingtoday.profiles.models import UserInfo
from tests.media.uploads import make_media
from tests.plugins.api import Api, User
from tests.profiles.factories import delete, make_user

NOW = datetime.now(UTC)
PEOPLE = 260


@pytest.fixture
def seeded(app_of: Callable[..., Api]) -> Iterator[Api]:
    api = app_of()
    SeedLoad(api.parts).load(PEOPLE, 3, NOW, lambda done: None)
    yield api
    api.parts.base.database.dispose()


def rows(api: Api) -> list[Media]:
    with api.parts.base.database.transaction(write=False) as session:
        return list(session.scalars(select(Media).order_by(Media.user_id)))


def log_in(api: Api, user_id: int) -> User:
    """Nobody can, with a code; so without."""
    with api.parts.base.database.transaction() as session:
        session.add(UserAuth(user_id=user_id, open_id=f"test-{user_id}", create_time=NOW))
        token, _ = api.parts.accounts.sessions.begin(session, user_id, device="test", now=datetime.now(UTC))
    return User(user_id, token, "")


def two_with_the_same_picture(api: Api) -> tuple[int, int]:
    by_key = sorted(rows(api), key=lambda row: row.storage_key)
    for _, group in groupby(by_key, lambda row: row.storage_key):
        some = list(group)
        if len(some) > 1:
            return some[0].user_id, some[1].user_id
    raise AssertionError("no two people have the same picture")


def avatar_of(api: Api, viewer: User, user_id: int) -> str | None:
    shown: str | None = api.get("/api/user/show", viewer, peerId=user_id).data["avatar"]
    return shown


def is_delivered(api: Api, url: str) -> bool:
    answer = api.send("GET", url)
    if answer.status != 200:
        return False
    with Image.open(io.BytesIO(answer.body)) as image:
        image.load()
        return image.format == "JPEG" and image.size == (SIDE_PX, SIDE_PX)


def test_pictures_are_the_same_again_and_differ_from_each_other() -> None:
    pictures = [draw(gender, number) for gender in (1, 2) for number in range(PICTURES)]
    assert {picture.size for picture in pictures} == {(SIDE_PX, SIDE_PX)}
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    assert ImageChops.difference(pictures[5], draw(1, 5)).getbbox() is None


def test_most_people_have_one_of_their_gender_and_the_same_for_the_same_seed(seeded: Api) -> None:
    people = list(made_up_people(PEOPLE, 3, NOW))
    pools = {gender: store_pictures(seeded.parts.media.service.storage, gender) for gender in (1, 2)}
    assert 0.85 < sum(person.picture is not None for person in people) / PEOPLE < 0.99
    with seeded.parts.base.database.transaction(write=False) as session:
        found = session.execute(
            select(UserInfo.avatar, Media.storage_key)
            .outerjoin(Media, Media.id == UserInfo.avatar)
            .order_by(UserInfo.id)
        ).all()
    assert [key for _, key in found] == [
        None if person.picture is None else pools[person.gender][person.picture].key for person in people
    ]
    assert len({media_id for media_id, _ in found if media_id}) == len(rows(seeded))


def test_a_card_and_a_profile_show_it_through_the_ordinary_delivery(seeded: Api) -> None:
    SeedLoad(seeded.parts).make_edition(NOW)
    viewer = make_user(seeded)
    cards = seeded.get("/api/user/hot/list", viewer, pageCount=30).data["list"]
    urls = [card["avatar"] for card in cards if card["avatar"]]
    assert len(urls) > 20
    assert all(is_delivered(seeded, url) for url in urls)
    shown = next(card for card in cards if card["avatar"])
    url = avatar_of(seeded, viewer, shown["user_id"])
    assert url is not None and is_delivered(seeded, url)
    # Whose it is cannot be changed, nor can it be used by others.
    (row,) = (row for row in rows(seeded) if row.user_id == shown["user_id"])
    assert seeded.post("/api/user/update", viewer, avatar=row.id).code != 0


def test_every_form_is_what_its_row_says(seeded: Api) -> None:
    storage = seeded.parts.media.service.storage
    for row in {row.storage_key: row for row in rows(seeded)}.values():
        assert is_shared(row.storage_key)
        sizes = [storage.size(key) for key in keys_of(row.storage_key)]
        assert sizes == [row.size_bytes, row.medium_bytes, row.thumb_bytes]
        assert (row.width, row.height) == (SIDE_PX, SIDE_PX)


def test_usage_counts_them_and_the_purge_of_uploads_leaves_them(seeded: Api) -> None:
    own = {row.user_id: (1, row.stored_bytes) for row in rows(seeded)}
    with seeded.parts.base.database.transaction(write=False) as session:
        usage = {row.user_id: (row.files, row.stored_bytes) for row in session.scalars(select(MediaUsage))}
    assert usage == own
    purged = purge(seeded.parts.media.service, NOW + timedelta(days=400), unused_for=timedelta(hours=1))
    assert (purged.unused, purged.objects) == (0, 0)
    assert len(rows(seeded)) == len(own)


def test_a_user_who_leaves_takes_only_the_own_upload_along(seeded: Api) -> None:
    parts = seeded.parts
    gone, stays = two_with_the_same_picture(seeded)
    delete(seeded, User(gone, "", ""))
    later = datetime.now(UTC) + timedelta(days=31)
    assert parts.safety.deletion.purge(parts.base.database, later) == 1
    purge(parts.media.service, later, unused_for=timedelta(hours=1))
    assert gone not in {row.user_id for row in rows(seeded)}
    with parts.base.database.transaction(write=False) as session:
        assert session.get(MediaUsage, gone) is None
        assert session.scalar(select(func.count()).select_from(MediaGarbage)) == 0
    url = avatar_of(seeded, make_user(seeded), stays)
    assert url is not None and is_delivered(seeded, url)


def test_whoever_takes_it_off_takes_it_off_nobody_else(seeded: Api) -> None:
    parts = seeded.parts
    changes, stays = two_with_the_same_picture(seeded)
    user, viewer = log_in(seeded, changes), make_user(seeded)
    photo = make_media(seeded, user)
    seeded.post("/api/user/update", user, avatar=photo.id).data  # noqa: B018 - asserts success
    purged = purge(parts.media.service, datetime.now(UTC) + timedelta(days=2), unused_for=timedelta(days=1))
    assert (purged.unused, purged.objects) == (1, 0)
    assert [row.id for row in rows(seeded) if row.user_id == changes] == [photo.id]
    with parts.base.database.transaction(write=False) as session:
        usage = session.get_one(MediaUsage, changes)
        assert (usage.files, usage.stored_bytes) == (1, photo.stored_bytes)
    url = avatar_of(seeded, viewer, stays)
    assert url is not None and is_delivered(seeded, url)


def test_an_export_holds_it(seeded: Api) -> None:
    user_id = log_in(seeded, rows(seeded)[0].user_id).user_id
    with seeded.parts.base.database.transaction(write=False) as session:
        keepers = seeded.parts.base.personal_data
        told = {keeper.name: keeper.export(session, user_id, datetime.now(UTC)) for keeper in keepers}
    (upload,) = told["media"]["uploads"]
    assert upload["media_id"] == rows(seeded)[0].id
    assert seeded.send("GET", upload["url"]).status == 200


def test_more_people_store_no_more_pictures(seeded: Api) -> None:
    storage = seeded.parts.media.service.storage
    assert isinstance(storage, LocalStorage)
    files = {path: path.stat().st_mtime_ns for path in storage.root.rglob("*") if path.is_file()}
    assert 2 * PICTURES < len(files) <= 2 * PICTURES * 3
    SeedLoad(seeded.parts).load(PEOPLE, 4, NOW, lambda done: None)
    assert {path: path.stat().st_mtime_ns for path in storage.root.rglob("*") if path.is_file()} == files
