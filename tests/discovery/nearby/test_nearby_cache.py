"""Cache entries may be lost, old, or out of reach: the answers stay the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from datingtoday.cli.main import run
from datingtoday.discovery.nearby.jobs import Rebuilding, Rebuilt
from datingtoday.discovery.nearby.models import Location, LocationCell
from datingtoday.infra.redis import RedisDown
from datingtoday.profiles.models import UserInfo
from tests.discovery.locations import (
    all_pages,
    crowd,
    found,
    listed,
    locate,
    moved,
    neighbour,
    new_area,
    person_at,
    place_row,
    seen_by,
    set_place,
    user_of,
)
from tests.plugins.api import Api
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.statements import statements

PrivateRedis = Callable[..., Any]


def forget_all(api: Api) -> None:
    """As if the cache had lost everything of places."""
    client = api.parts.base.cache_redis.client
    for pattern in ("place:*", "counts:*", "near:*", "card:*"):
        for key in client.scan_iter(pattern):
            client.delete(key)


class TestLost:
    def test_it_is_made_again(self, api: Api) -> None:
        here, now = new_area(), datetime.now(UTC)
        grid = api.parts.discovery.places.grid
        viewer = person_at(api, here)
        crowd(api, [neighbour(grid, here, north=number % 8) for number in range(40)])
        before = listed(api, viewer, now)
        forget_all(api)
        assert listed(api, viewer, now) == before

    def test_single_entries_may_be_evicted(self, api: Api) -> None:
        here, now = new_area(), datetime.now(UTC)
        grid = api.parts.discovery.places.grid
        viewer = person_at(api, here)
        crowd(api, [neighbour(grid, here, north=number % 8) for number in range(40)])
        before = listed(api, viewer, now)
        client = api.parts.base.cache_redis.client
        for key in list(client.scan_iter("near:*"))[::2]:
            client.delete(key)
        assert listed(api, viewer, now) == before

    def test_a_warm_list_asks_sql_for_the_viewers_rights_only(self, api: Api) -> None:
        here = new_area()
        viewer = person_at(api, here)
        crowd(api, [here] * 20)
        seen_by(api, viewer)
        with statements(api.parts.base.database) as ran:
            seen_by(api, viewer)
        texts = [it.text for it in ran]
        assert not [
            it for it in texts if "location" in it and "pending_due" not in it and "shown_until" not in it
        ]
        assert len(ran) <= 4

    def test_a_cold_list_looks_at_few_rows_whatever_the_crowd(self, api: Api) -> None:
        """A crowded cell is never read as a whole."""
        here, now = new_area(), datetime.now(UTC)
        viewer = person_at(api, here)
        crowd(api, [here] * 400)
        forget_all(api)
        with statements(api.parts.base.database) as ran:
            listed(api, viewer, now, count=10)
        limited = [it.text for it in ran if "shown_cell IN" in it.text]
        assert limited and all("lot BETWEEN" in it for it in limited)


class TestCacheDown:
    def test_sql_serves(
        self, app_of: Callable[..., Api], backend: Backend, private_redis: PrivateRedis
    ) -> None:
        redis = private_redis(backend.kind)
        api = app_of(REDIS_CACHE_URI=redis.socket_uri, DISCOVERY_NEARBY_MOVE_DELAY_S=0)
        here, now = new_area(), datetime.now(UTC)
        grid = api.parts.discovery.places.grid
        viewer = person_at(api, here)
        people = crowd(api, [neighbour(grid, here, north=number % 5) for number in range(25)], gender=[1, 2])
        before = listed(api, viewer, now)
        redis.kill()
        assert listed(api, viewer, now) == before
        assert sorted(all_pages(api, viewer, 7)) == people
        # What happens meanwhile is not forgotten when the cache is back, with all that it held before.
        set_place(api, user_of(people[0]), neighbour(grid, here, north=60), now)
        locate(api, people[1], now, hide=True)
        assert sorted(found(api, viewer, now)) == people[2:]
        redis.start()
        wait_until(lambda: _is_up(api), "the cache")
        assert sorted(found(api, viewer, now)) == people[2:]


def _is_up(api: Api) -> bool:
    try:
        return bool(api.parts.base.cache_redis.execute("PING"))
    except RedisDown:
        return False


class TestRebuilding:
    def test_puts_right_what_is_wrong(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        here, now = new_area(), datetime.now(UTC)
        viewer = person_at(api, here)
        people = crowd(api, [here] * 40, gender=[0, 1, 2])
        grid = api.parts.discovery.places.grid
        with api.parts.base.database.transaction() as session:
            # Counts that are off, one that is missing, a user who is shown and must not be, and one who is not.
            session.execute(update(LocationCell).values(men=7))
            session.execute(
                update(Location)
                .where(Location.user_id == people[0])
                .values(shown_cell=None, shown_until=None)
            )
            session.execute(update(UserInfo).where(UserInfo.id == people[1]).values(authority=0))
            session.add(LocationCell(cell=grid.cell_of(1.0, 1.0), unknown=5, men=0, women=0, changed_at=now))
        told: list[tuple[str, int]] = []
        done = rebuilt(api, now + timedelta(hours=2), lambda what, many: told.append((what, many)))
        assert (done.people, done.corrected) == (41, 2) and done.buckets >= 4
        assert {what for what, _ in told} == {"people", "cells", "entries"}
        assert sorted(found(api, viewer, now)) == [people[0], *people[2:]]
        assert listed(api, viewer, now)["total"] == 39
        assert rebuilt(api, now + timedelta(hours=2)).corrected == 0

    def test_fills_the_cache(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        here, now = new_area(), datetime.now(UTC)
        viewer = person_at(api, here)
        crowd(api, [here] * 80)
        listed(api, viewer, now)
        forget_all(api)
        rebuilt(api, now)
        with statements(api.parts.base.database) as ran:
            listed(api, viewer, now)
        # Tiles without anybody are not filled beforehand; everybody's buckets are.
        assert not [it for it in ran if "last_active" in it.text and "location" in it.text]

    def test_takes_over_another_grid(self, app_of: Callable[..., Api]) -> None:
        old = app_of()
        here, now = new_area(), datetime.now(UTC)
        viewer, other = person_at(old, here), person_at(old, moved(here, north_m=700))
        assert found(old, viewer, now) == [other.user_id]
        new = app_of(DISCOVERY_NEARBY_GRID_M=3000)
        # Until then nobody is where they are not.
        answer = new.get("/api/user/nearby/list", viewer)
        forget_all(new)
        answer = new.get("/api/user/nearby/list", viewer)
        assert answer.code == 300
        rebuilt(new, now)
        assert found(new, viewer, now) == [other.user_id]
        row = place_row(new, other)
        assert row is not None and row.cell is not None and new.parts.discovery.places.grid.knows(row.cell)

    def test_snaps_points_that_another_program_wrote(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        here, now = new_area(), datetime.now(UTC)
        viewer, (other,) = person_at(api, here), crowd(api, [here])
        exact = moved(here, north_m=432, east_m=-321)
        with api.parts.base.database.transaction() as session:
            session.execute(
                update(Location)
                .where(Location.user_id == other)
                .values(latitude=exact[0], longitude=exact[1], cell=None, shown_cell=None)
            )
        rebuilt(api, now)
        row = place_row(api, user_of(other))
        assert row is not None and (row.latitude, row.longitude) == pytest.approx(here, abs=1e-9)
        assert found(api, viewer, now) == [other]

    def test_the_command(
        self, app_of: Callable[..., Api], backend: Backend, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        api = app_of()
        crowd(api, [new_area()] * 3)
        settings = api.parts.base.settings
        monkeypatch.setenv("DATINGTODAY_DATABASE_URI", backend.database_uri)
        monkeypatch.setenv("DATINGTODAY_REDIS_URI", backend.redis_uri)
        monkeypatch.setenv("DATINGTODAY_REDIS_CACHE_URI", backend.cache_uri)
        monkeypatch.setenv("DATINGTODAY_SECURITY_SECRET_KEY", settings.security.secret_key)
        monkeypatch.setenv("LC_ALL", "C")
        assert run(["nearby", "rebuild", "--data", str(tmp_path)]) == 0
        assert "people: 3; cells: 1 (0 corrected)" in capsys.readouterr().out
        monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
        assert run(["nearby", "rebuild", "--data", str(tmp_path)]) == 0
        assert "用户：3；网格：1" in capsys.readouterr().out


def rebuilt(api: Api, now: datetime, tell: Callable[[str, int], None] = lambda what, done: None) -> Rebuilt:
    return Rebuilding(
        api.parts.base.database, api.parts.discovery.places, api.parts.base.cache, now, tell
    ).run()
