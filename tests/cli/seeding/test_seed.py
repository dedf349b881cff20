"""Made-up people: plausible, the same for the same seed, and seen by every list."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from datingtoday.chat.models import Message
from datingtoday.cli.seeding.load import SeedLoad
from datingtoday.cli.seeding.people import CITIES, made_up_people
from datingtoday.cli.seeding.story import LEAST_FOR_A_STORY, DemoStory
from datingtoday.discovery.hot.models import HotPerson
from datingtoday.discovery.nearby.models import Location, LocationCell
from datingtoday.discovery.search.models import SearchGram, SearchName
from datingtoday.infra.config.demo import DEMO_PHONES
from datingtoday.infra.days import ServiceDays
from datingtoday.profiles.models import UserInfo, UserLabel
from datingtoday.profiles.people import age_in_years
from tests.cli.conftest import data, start  # noqa: F401 - fixtures
from tests.cli.running_server import PROGRAM, Start, clean_environ
from tests.plugins.api import Api
from tests.profiles.factories import make_user

NOW = datetime.now(UTC)


def run(folder: Path, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environ = clean_environ(**{f"DATINGTODAY_{name}": value for name, value in settings.items()})
    command = [str(PROGRAM), *options, "--data", str(folder)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)


def test_the_same_seed_makes_the_same_people() -> None:
    people = list(made_up_people(300, 7, NOW))
    assert list(made_up_people(300, 7, NOW)) == people
    assert list(made_up_people(50, 7, NOW)) == people[:50]
    assert list(made_up_people(300, 8, NOW)) != people


def test_they_are_plausible() -> None:
    people = list(made_up_people(3_000, 1, NOW))
    for person in people:
        age = age_in_years(person.birthday, NOW.date())
        assert age is not None and 18 <= age <= 56
        assert 1 <= len(person.nickname) <= 32 and len(person.intro) <= 500
        assert person.height is None or 130 <= person.height <= 210
        assert len(set(person.label_ids)) == len(person.label_ids) <= 10
        assert person.created <= person.active <= NOW
        nearest = min(abs(person.point[0] - city[0]) + abs(person.point[1] - city[1]) for city in CITIES)
        assert nearest < 3
    assert len({person.nickname for person in people}) > 1_000
    active = sum(person.active > NOW - timedelta(days=30) for person in people)
    assert 0.5 < active / len(people) < 0.98
    # Big cities have many, small ones few.
    near = [
        sum(abs(p.point[0] - c[0]) < 0.5 and abs(p.point[1] - c[1]) < 0.5 for p in people) for c in CITIES
    ]
    assert near[0] > 5 * max(1, near[-1])


def test_every_list_shows_them(app_of: Callable[..., Api]) -> None:
    api = app_of()
    viewer = make_user(api, authority=0)
    load = SeedLoad(api.parts)
    assert not load.is_empty()
    ids = load.load(400, 3, NOW, lambda done: None)
    load.make_edition(NOW)
    by_id = dict(zip(ids, made_up_people(400, 3, NOW), strict=True))
    cards = api.get("/api/user/hot/list", viewer, pageCount=50).data
    assert cards["total"] == sum(person.authority != 0 for person in by_id.values())
    for card in cards["list"]:
        person = by_id[card["user_id"]]
        assert (card["nickname"], card["gender"], card["height"]) == (
            person.nickname,
            person.gender,
            person.height,
        )
        assert card["age"] == age_in_years(
            person.birthday, ServiceDays("Asia/Shanghai").today(datetime.now(UTC))
        )
    found = api.get("/api/user/search", viewer, nickname=by_id[ids[5]].nickname, pageCount=50).data["list"]
    assert ids[5] in [card["user_id"] for card in found]
    shown = api.get("/api/user/show", viewer, peerId=cards["list"][0]["user_id"]).data
    assert len(shown["labels"]) == len(by_id[shown["user_id"]].label_ids)
    near = api.get("/api/user/nearby/list", viewer, latlng="31.23,121.47", radius=50, pageCount=50).data
    assert len(near["list"]) > 5
    api.parts.base.database.dispose()


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_an_interrupted_story_goes_on(app_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch) -> None:
    api = app_of()
    ids = SeedLoad(api.parts).load(LEAST_FOR_A_STORY, 1, NOW, lambda done: None)
    send, sent = api.parts.chat.sending.send, 0

    def interrupted(*arguments: Any, **options: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent == 5:
            raise KeyboardInterrupt
        return send(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(api.parts.chat.sending, "send", interrupted)
        with pytest.raises(KeyboardInterrupt):
            DemoStory(api.parts).tell(ids, NOW)
    for _ in range(2):
        DemoStory(api.parts).tell(ids, NOW + timedelta(seconds=9))
        with api.parts.base.database.transaction(write=False) as session:
            said = session.execute(select(Message.from_uid, Message.to_uid, Message.content)).all()
            cast = session.scalars(select(UserInfo.phone).where(UserInfo.phone.in_(DEMO_PHONES))).all()
        assert len(said) == len({*said}) > 10
        assert set(cast) == set(DEMO_PHONES)
    api.parts.base.database.dispose()


def test_what_is_derived_is_what_a_rebuilding_makes_of_it(app_of: Callable[..., Api]) -> None:
    """Bulk loading goes past the features, and must leave the same rows as they would."""
    api = app_of()
    SeedLoad(api.parts).load(150, 5, NOW, lambda done: None)
    before = _derived(api)
    api.parts.discovery.rebuild.reindex_all(lambda done: None)
    assert _derived(api) == before
    with api.parts.base.database.transaction(write=False) as session:
        counted = session.execute(select(func.sum(LocationCell.men), func.sum(LocationCell.women))).one()
        shown = (
            select(Location.gender, func.count())
            .where(Location.shown_cell.is_not(None))
            .group_by(Location.gender)
        )
        assert dict(session.execute(shown).all()) == {1: counted[0], 2: counted[1]}
        assert session.scalar(select(func.count()).select_from(UserLabel)) > 100  # type: ignore[operator]
    api.parts.base.database.dispose()


def _derived(api: Api) -> dict[str, Any]:
    with api.parts.base.database.transaction(write=False) as session:
        places = session.scalars(select(HotPerson).order_by(HotPerson.user_id))
        return {
            "places": [(row.user_id, row.shelf, round(row.score, 9)) for row in places],
            "names": session.execute(select(SearchName.user_id, SearchName.folded)).all(),
            "grams": sorted(
                tuple(row) for row in session.execute(select(SearchGram.gram, SearchGram.user_id))
            ),
        }


def test_the_first_start_is_seeded_if_wanted_and_no_other(data: Path, start: Start) -> None:  # noqa: F811
    server = start("--seed", "40")
    assert "40 made-up people" in server.printed
    server.end()
    server = start("--seed", "40")
    assert "made-up" not in server.printed
    server.end()
    assert "(100825 to 100829" in run(data, "seed", "--users", "5").stdout


def test_a_start_without_the_option_makes_nobody_up(data: Path, start: Start) -> None:  # noqa: F811
    server = start()
    assert "made-up" not in server.printed
    server.end()
    assert "(100785 to 100789" in run(data, "seed", "--users", "5").stdout


def test_the_command(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert run(folder, "db", "upgrade").returncode == 0
    first = run(folder, "seed", "--users", "30", "--seed", "2")
    assert first.returncode == 0
    assert [line for line in first.stderr.splitlines() if not line.endswith(" …")] == []
    assert "30 made-up people (100785 to 100814)" in first.stdout
    again = run(folder, "seed", "--users", "10")
    assert "(100815 to 100824" in again.stdout


@pytest.mark.parametrize("backend", ["real"], indirect=True)
def test_people_in_a_database_of_your_own_are_left_alone(app_of: Callable[..., Api], tmp_path: Path) -> None:
    api = app_of()
    make_user(api)
    own = {
        "DATABASE_URI": api.parts.base.settings.database.uri,
        "REDIS_URI": api.parts.base.settings.redis.uri,
        "APP_APPKEY": "TESTKEY1",
        "APP_APPSECRET": "5b1f0c1d2e3f4a5b6c7d8e9f00112233",
        "SECURITY_SECRET_KEY": "00" * 31 + "01",
    }
    refused = run(tmp_path, "seed", "--users", "5", **own)
    assert (refused.returncode, "--force" in refused.stderr) == (1, True)
    with api.parts.base.database.transaction(write=False) as session:
        assert session.scalar(select(func.count()).select_from(UserInfo)) == 1
    forced = run(tmp_path, "seed", "--users", "5", "--force", **own)
    assert forced.returncode == 0, forced.stderr
    api.parts.base.database.dispose()
