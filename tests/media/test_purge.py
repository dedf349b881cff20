"""The purge of uploads: what goes when, and what a crash or a wrong folder cannot spoil."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from datingtoday.infra.storage.storage import StorageError, new_key
from datingtoday.media.errors import MediaNotFound
from datingtoday.media.jobs import purge, purge_rows
from datingtoday.media.models import Media, MediaGarbage, MediaUsage
from datingtoday.media.processing.inspect import Kind
from tests.accounts.at_once import at_once
from tests.media.uploads import count, make_media, row_of, stored
from tests.plugins.api import Api, User
from tests.profiles.factories import make_user

DAY = timedelta(hours=24)


def now() -> datetime:
    return datetime.now(UTC)


def usage_of(api: Api, user: User) -> tuple[int, int]:
    with api.parts.base.database.transaction(write=False) as session:
        row = session.get(MediaUsage, user.user_id)
        return (0, 0) if row is None else (row.files, row.stored_bytes)


def attach(api: Api, user: User, media_id: str, *kinds: Kind) -> Media:
    with api.parts.base.database.transaction() as session:
        return api.parts.media.service.attach(session, user.user_id, media_id, *kinds)


def detach(api: Api, media_ids: list[str], at: datetime) -> None:
    with api.parts.base.database.transaction() as session:
        api.parts.media.service.detach(session, media_ids, at)


class TestPurge:
    def test_what_nothing_shows_goes_after_a_day(self, stored_api: Api) -> None:
        api, at = stored_api, now().replace(microsecond=0)
        user = make_user(api)
        old = [make_media(api, user, unused_since=at - DAY - timedelta(seconds=n)) for n in range(1, 6)]
        young = make_media(api, user, unused_since=at - DAY)
        used = make_media(api, user, uses=1, create_time=at - 9 * DAY)
        told: list[tuple[str, int]] = []

        done = purge(
            api.parts.media.service,
            at,
            unused_for=DAY,
            batch_rows=2,
            report_progress=lambda *progress: told.append(progress),
        )

        assert (done.unused, done.objects, done.leftovers) == (5, 5, 0)
        assert told == [(what, n) for what in ("unused", "objects") for n in (2, 4, 5)]
        for row in old:
            assert row_of(api, row.id) is None
            assert stored(api, row.storage_key) == [False] * 3
        for row in (young, used):
            assert row_of(api, row.id) is not None
            assert stored(api, row.storage_key) == [True] * 3
        assert usage_of(api, user) == (2, young.stored_bytes + used.stored_bytes)
        again = purge(api.parts.media.service, at, unused_for=DAY)
        assert (again.unused, again.objects) == (0, 0)

    def test_garbage_goes_at_its_moment(self, api: Api) -> None:
        at = now().replace(microsecond=0)
        due, later = new_key(), new_key()
        with api.parts.base.database.transaction() as session:
            session.add(MediaGarbage(storage_key=due, collect_after=at))
            session.add(MediaGarbage(storage_key=later, collect_after=at + timedelta(seconds=1)))
        for moment, left in ((at, {later}), (at + timedelta(seconds=1), set())):
            purge_rows(api.parts.media.service, moment, unused_for=9 * DAY)
            with api.parts.base.database.reading() as session:
                keys = session.scalars(
                    select(MediaGarbage.storage_key).where(MediaGarbage.storage_key.in_([due, later]))
                )
                assert set(keys) == left

    def test_what_was_shown_goes_a_day_after_it_was_not(self, app_of: Callable[..., Api]) -> None:
        api, at = app_of(), now()
        user = make_user(api)
        media = make_media(api, user, create_time=at - 9 * DAY, unused_since=at - 9 * DAY)
        attach(api, user, media.id)
        assert purge(api.parts.media.service, at, unused_for=DAY).unused == 0
        detach(api, [media.id], at)
        assert purge(api.parts.media.service, at + DAY - timedelta(seconds=1), unused_for=DAY).unused == 0
        assert purge(api.parts.media.service, at + DAY + timedelta(seconds=1), unused_for=DAY).unused == 1
        assert usage_of(api, user) == (0, 0)

    def test_whoever_attaches_at_the_same_time_wins_or_is_told(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        user, at = make_user(api), now()
        rows = [make_media(api, user, unused_since=at - 2 * DAY) for _ in range(8)]

        def try_attach(media_id: str) -> bool:
            try:
                attach(api, user, media_id)
            except MediaNotFound:
                return False
            return True

        work: list[Callable[[], Any]] = [
            lambda: purge(api.parts.media.service, at, unused_for=DAY, batch_rows=1)
        ]
        work += [lambda media_id=row.id: try_attach(media_id) for row in rows]  # type: ignore[misc]
        _, *attached = at_once(work)
        for row, kept in zip(rows, attached, strict=True):
            assert (row_of(api, row.id) is not None) is kept
            assert stored(api, row.storage_key) == [kept] * 3
        assert usage_of(api, user)[0] == sum(attached)

    def test_files_of_uploads_that_died(self, app_of: Callable[..., Api]) -> None:
        api, at = app_of(), now()
        storage, database = api.parts.media.service.storage, api.parts.base.database
        dead, alive = new_key(), new_key()
        with database.transaction() as session:
            for key, started in ((dead, at - timedelta(minutes=61)), (alive, at)):
                storage.put(f"{key}.thumb", b"x", "image/jpeg")
                session.add(MediaGarbage(storage_key=key, collect_after=started + timedelta(hours=1)))
        assert purge(api.parts.media.service, at, unused_for=DAY).objects == 1
        assert (stored(api, dead), stored(api, alive)) == ([False] * 3, [False, False, True])
        assert count(api, MediaGarbage) == 1

    def test_a_store_that_is_down_is_tried_again(
        self, app_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api, at = app_of(), now()
        media = make_media(api, 7, unused_since=at - 2 * DAY)

        def down(key: str) -> None:
            raise StorageError("down")

        monkeypatch.setattr(api.parts.media.service.storage, "delete", down)
        with pytest.raises(StorageError):
            purge(api.parts.media.service, at, unused_for=DAY)
        assert row_of(api, media.id) is None
        assert stored(api, media.storage_key) == [True] * 3
        monkeypatch.undo()
        assert purge(api.parts.media.service, at, unused_for=DAY).objects == 1
        assert stored(api, media.storage_key) == [False] * 3

    def test_an_object_that_is_missing_is_no_success(self, stored_api: Api) -> None:
        api, at = stored_api, now()
        lost, found = (make_media(api, make_user(api), unused_since=at - 2 * DAY) for _ in range(2))
        api.parts.media.service.storage.delete(lost.storage_key)
        done = purge(api.parts.media.service, at, unused_for=DAY)
        assert (done.unused, done.objects, done.missing) == (2, 1, 1)
        assert stored(api, found.storage_key) == [False] * 3
        # Nothing is said of it for a day; then it is looked for again, and goes when it is there.
        assert purge(api.parts.media.service, at + timedelta(hours=23), unused_for=DAY).missing == 0
        assert purge(api.parts.media.service, at + timedelta(hours=25), unused_for=DAY).missing == 1
        api.parts.media.service.storage.put(lost.storage_key, b"x", "image/jpeg")
        done = purge(api.parts.media.service, at + timedelta(hours=50), unused_for=DAY)
        assert (done.objects, done.missing) == (1, 0)
        assert count(api, MediaGarbage) == 0

    def test_a_purge_that_was_stopped_goes_on(
        self, app_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Objects that it had deleted already are not missing."""
        api, at = app_of(), now()
        media = make_media(api, 7, unused_since=at - 2 * DAY)
        storage = api.parts.media.service.storage
        delete = storage.delete

        def stopped(key: str) -> None:
            delete(key)
            raise KeyboardInterrupt

        monkeypatch.setattr(storage, "delete", stopped)
        with pytest.raises(KeyboardInterrupt):
            purge(api.parts.media.service, at, unused_for=DAY)
        monkeypatch.undo()
        done = purge(api.parts.media.service, at, unused_for=DAY)
        assert (done.objects, done.missing) == (1, 0)
        assert stored(api, media.storage_key) == [False] * 3

    def test_unfinished_files(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        data = api.parts.base.settings.data_dir
        left = [data / "uploads" / "upload-abc", data / "media" / ".drafts" / "abc"]
        left[0].mkdir(parents=True)
        left[1].parent.mkdir(parents=True)
        left[1].write_bytes(b"half")
        assert purge(api.parts.media.service, now(), unused_for=DAY).leftovers == 0
        for path in left:
            os.utime(path, (0, 0))
        assert purge(api.parts.media.service, now(), unused_for=DAY).leftovers == 2
        assert not any(path.exists() for path in left)

    def test_of_a_person_takes_the_files_too(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        user, other = make_user(api), make_user(api)
        rows = [make_media(api, user, uses=n) for n in range(3)]
        kept = make_media(api, other)
        (keeper,) = [keeper for keeper in api.parts.base.personal_data if keeper.name == "media"]
        removed: list[int] = []
        while not removed or removed[-1]:
            with api.parts.base.database.transaction() as session:
                removed.append(keeper.remove(session, user.user_id, 2))
        assert removed == [2, 1, 1, 0]
        assert count(api, Media, user_id=user.user_id) == count(api, MediaUsage, user_id=user.user_id) == 0
        assert purge(api.parts.media.service, now(), unused_for=DAY).objects == 3
        assert [stored(api, row.storage_key) for row in rows] == [[False] * 3] * 3
        assert stored(api, kept.storage_key) == [True] * 3
        assert usage_of(api, other) == (1, kept.stored_bytes)
