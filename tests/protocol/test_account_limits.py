"""Limits of an account over all its devices: requests in any minute, and different people in an hour and a day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import time_machine

from datingtoday.infra.redis import RedisDown, RedisRole
from datingtoday.protocol.account_limits import PeopleShown
from datingtoday.protocol.call import GUARD
from datingtoday.protocol.endpoint import declared_endpoint
from tests.accounts.conftest import AppWith, app_with, clock
from tests.plugins.api import Answer, Api, User
from tests.profiles.factories import make_user

__all__ = ["app_with", "clock"]

Clock = time_machine.Traveller
LIST, SHOW, ALBUM = "/api/user/hot/list", "/api/user/show", "/api/album/list"
MINUTE, HOUR, DAY = 60, 3600, 86_400


def at(clock: Clock, second: float) -> None:
    """Move on to a second of the next minute."""
    clock.shift(MINUTE - datetime.now(UTC).timestamp() % MINUTE + second)


def other_device(api: Api, user: User) -> User:
    with api.parts.base.database.transaction() as session:
        token, _ = api.parts.accounts.sessions.begin(
            session, user.user_id, device="other", now=datetime.now(UTC)
        )
    return User(user.user_id, token, user.phone)


def wait_s(answer: Answer) -> int:
    assert (answer.status, answer.code) == (429, 429), answer.json
    assert answer.headers["Retry-After"] == str(answer.json["data"]["retry_after_s"])
    return int(answer.json["data"]["retry_after_s"])


class TestRequests:
    @pytest.fixture
    def api(self, app_with: AppWith) -> Api:
        return app_with(LIMITS_PER_USER_PER_MINUTE=10)

    def test_devices_share_a_limit(self, api: Api, clock: Clock) -> None:
        user = make_user(api)
        devices = [user, *(other_device(api, user) for _ in range(4))]
        at(clock, 0)
        answers = [api.get(SHOW, device) for _ in range(4) for device in devices]
        assert [answer.status for answer in answers] == [200] * 10 + [429] * 10
        assert api.get(SHOW, make_user(api)).code == 0

    def test_a_minute_slides(self, api: Api, clock: Clock) -> None:
        user = make_user(api)
        at(clock, 50)
        assert [api.get(SHOW, user).status for _ in range(10)] == [200] * 10
        # The next fixed minute begins, but the ten are seconds ago.
        at(clock, 0.5)
        # 10 of the minute before, of which 59.5 s are left, and this one: room for it when less than 9 of them count.
        assert 5 <= wait_s(api.get(SHOW, user)) <= 6
        clock.shift(30)
        assert api.get(SHOW, user).code == 0
        at(clock, 59)
        assert [api.get(SHOW, user).status for _ in range(9)] == [200] * 9

    def test_whoever_waits_as_told_is_served(self, api: Api, clock: Clock) -> None:
        user = make_user(api)
        at(clock, 10)
        for _ in range(10):
            assert api.get(SHOW, user).code == 0
        for _ in range(3):
            clock.shift(wait_s(api.get(SHOW, user)) + 1)
        assert api.get(SHOW, user).status in (200, 429)
        clock.shift(2 * MINUTE)
        assert api.get(SHOW, user).code == 0

    def test_nobody_uses_up_the_limit_of_another(self, api: Api) -> None:
        user, attacker = make_user(api), make_user(api)
        forged = User(user.user_id, attacker.token, "")
        assert {api.get(SHOW, forged).code for _ in range(30)} == {504}
        assert api.get(SHOW, user).code == 0

    def test_every_process_counts_on(self, app_with: AppWith, clock: Clock) -> None:
        here, there = (app_with(LIMITS_PER_USER_PER_MINUTE=4) for _ in range(2))
        user = make_user(here)
        at(clock, 0)
        answers = [api.get(SHOW, user).status for _ in range(3) for api in (here, there)]
        assert answers == [200] * 4 + [429] * 2


def count_shown(api: Api) -> None:
    """Let what was shown be counted now."""
    api.app.extensions[GUARD].limits.people.flush()


class TestPeople:
    @pytest.fixture
    def api(self, app_of: Callable[..., Api]) -> Api:
        return app_of(LIMITS_CARDS_PER_HOUR=100, LIMITS_PROFILES_PER_HOUR=10, DISCOVERY_HOT_REFRESH_S=1)

    def browse(self, api: Api, viewer: User, pages: int) -> list[int]:
        """HTTP statuses of the first pages of the hot list."""
        statuses = []
        for page in range(1, pages + 1):
            statuses.append(api.get(LIST, viewer, page=page, pageCount=50).status)
            count_shown(api)
        return statuses

    def test_different_people_are_counted_over_all_devices(self, api: Api, clock: Clock) -> None:
        viewer = make_user(api)
        device = other_device(api, viewer)
        people = [make_user(api) for _ in range(160)]
        assert people
        # The same people again and again are no more people.
        for _ in range(5):
            assert self.browse(api, viewer, 1) == [200]
        assert self.browse(api, viewer, 4) == [200, 200, 200, 429]
        assert 1 <= wait_s(api.get(LIST, device)) <= 20 * MINUTE
        # Everything else goes on.
        assert api.get(SHOW, viewer).code == 0
        assert api.get(SHOW, viewer, peerId=people[0].user_id).code == 0
        assert self.browse(api, make_user(api), 1) == [200]
        clock.shift(HOUR + 20 * MINUTE)
        assert api.get(LIST, device).code == 0

    def test_profiles_and_albums_have_a_limit_of_their_own(self, api: Api) -> None:
        viewer, people = make_user(api), [make_user(api) for _ in range(12)]
        for number, person in enumerate(people[:11]):
            path = ALBUM if number % 2 else SHOW
            assert api.get(path, viewer, peerId=person.user_id).code == 0
            assert api.get(path, viewer, peerId=person.user_id).code == 0
            count_shown(api)
        wait_s(api.get(SHOW, viewer, peerId=people[11].user_id))
        wait_s(api.get(ALBUM, viewer, peerId=people[0].user_id))
        assert api.get(SHOW, viewer).code == 0, "the own profile"
        assert api.get(LIST, viewer).code == 0

    def test_a_day(self, app_of: Callable[..., Api], clock: Clock) -> None:
        api = app_of(LIMITS_PROFILES_PER_HOUR=10, LIMITS_PROFILES_PER_DAY=12)
        viewer = make_user(api)
        for number in range(13):
            assert api.get(SHOW, viewer, peerId=make_user(api).user_id).code == 0
            count_shown(api)
            clock.shift(2 * HOUR if number == 6 else 0)
        refused = api.get(SHOW, viewer, peerId=make_user(api).user_id)
        assert 1 <= wait_s(refused) <= 8 * HOUR

    def test_a_heavy_normal_user_never_meets_it(self, app_of: Callable[..., Api]) -> None:
        """As shipped, an hour without a pause: a page of ten every twelve seconds, a profile every ten."""
        api = app_of()
        viewer, person = make_user(api), make_user(api)
        people: PeopleShown = api.app.extensions[GUARD].limits.people
        now = datetime.now(UTC).timestamp()
        for page in range(300):
            people.add("cards", viewer.user_id, frozenset(range(page * 10, page * 10 + 10)), now)
        people.add("profiles", viewer.user_id, frozenset(range(360)), now)
        count_shown(api)
        assert api.get(LIST, viewer).code == 0
        assert api.get(SHOW, viewer, peerId=person.user_id).code == 0

    def test_a_loss_of_redis_locks_nobody_out(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        viewer, people = make_user(api), [make_user(api) for _ in range(12)]
        for person in people:
            assert api.get(SHOW, viewer, peerId=person.user_id).code == 0
        with monkeypatch.context() as patch:

            def down(*_: object) -> list[object]:
                raise RedisDown("gone")

            patch.setattr(RedisRole, "round_trip", down)
            count_shown(api)
        assert api.get(SHOW, viewer, peerId=people[0].user_id).code == 0
        for person in people:
            assert api.get(SHOW, viewer, peerId=person.user_id).code == 0
        count_shown(api)
        wait_s(api.get(SHOW, viewer, peerId=people[0].user_id))
        # All of its memory is gone: what was seen is not known any more, and nobody is over.
        for key in api.parts.base.guard_redis.client.scan_iter("shown:*"):
            api.parts.base.guard_redis.client.delete(key)
        assert api.get(SHOW, viewer, peerId=people[0].user_id).code == 0


def test_every_endpoint_that_shows_people_is_counted(api: Api) -> None:
    """Lists of cards and profiles of others, but for the contacts, of whom each was met before."""
    shown = {
        rule.rule
        for rule in api.app.url_map.iter_rules()
        if (declared := declared_endpoint(api.app.view_functions[rule.endpoint])) and declared.shows
    }
    assert shown == {
        LIST,
        SHOW,
        ALBUM,
        "/api/user/search",
        "/api/user/nearby/list",
        "/api/user/follow/list",
        "/api/user/fans/list",
        "/api/visitor/list",
    }
