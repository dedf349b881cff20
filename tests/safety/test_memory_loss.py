"""Logins, bans, blocks, names and places that ended before Redis came back with older data stay ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest
import time_machine

from datingtoday.infra.redis import RedisDown
from tests.discovery.locations import area, text_of
from tests.discovery.rankings import PATH as HOT
from tests.discovery.rankings import edition
from tests.plugins.api import Api, User
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.redis_server import RedisServer
from tests.profiles.factories import ban, make_user

NEARBY = "/api/user/nearby/list"
SHOW = "/api/user/show"


@pytest.fixture(params=["one server", "two servers", "a cluster"])
def servers(request: pytest.FixtureRequest, backend: Backend) -> list[RedisServer]:
    """The servers of guard and cache."""
    if request.param == "a cluster":
        return [backend.private_redis(cluster=True)]
    return [backend.private_redis() for _ in range(2 if request.param == "two servers" else 1)]


@pytest.fixture
def process(servers: list[RedisServer], app_of: Callable[..., Api]) -> Callable[[], Api]:
    uris = {
        "REDIS_URI": servers[0].uri,
        "REDIS_CACHE_URI": servers[-1].uri,
        "REDIS_QUEUE_URI": servers[0].uri,
    }

    def begin() -> Api:
        api = app_of(LIMITS_ENABLED=0, DISCOVERY_HOT_REFRESH_S=3600, REDIS_TIMEOUT_S=2, **uris)
        # All buckets are in use, as after the first minutes of an installation: a bucket whose first use comes after
        # the loss lost nothing, and whoever meets only such ones does not look at the others.
        api.parts.protocol.replay.prepare()
        return api

    return begin


def answers(api: Api) -> bool:
    """Also to this process, which asks nothing for a moment after it found a server away."""
    base = api.parts.base
    try:
        return all(
            role.execute("EXISTS", "x") == 0
            for role in {base.guard_redis, base.cache_redis, base.queue_redis}
        )
    except RedisDown:
        return False


def names(api: Api, viewer: User, path: str) -> list[str]:
    return sorted(card["nickname"] for card in api.get(path, viewer).data["list"])


def test_nothing_comes_back_to_life(servers: list[RedisServer], process: Callable[[], Api]) -> None:
    here, there = process(), process()
    viewer = make_user(here)
    logged_out, banned, blocker, renamed, hidden = (
        make_user(here, nickname=name) for name in ("出", "禁", "拦", "旧", "藏")
    )
    with time_machine.travel(datetime.now(UTC)) as clock:
        for user in (viewer, banned, blocker, renamed, hidden):
            assert here.post("/api/user/location", user, latlng=text_of(area(0))).code == 0
        edition(here)
        for api in (here, there, here, there):
            for path in (HOT, NEARBY):
                assert {"拦", "旧", "禁", "藏"} <= set(names(api, viewer, path))
            assert api.get(SHOW, viewer, peerId=blocker.user_id).code == 0
            assert [api.get(SHOW, user).code for user in (logged_out, banned)] == [0, 0]
        files = [server.back_up() for server in servers]

        assert here.post("/api/auth/logout", logged_out).code == 0
        ban(here, banned)
        assert here.post("/api/user/block", blocker, peerId=viewer.user_id).code == 0
        assert here.post("/api/user/update", renamed, nickname="新").code == 0
        assert here.post("/api/user/location", hidden, hide=1).code == 0

        for server, backup in zip(servers, files, strict=True):
            server.kill()
            server.restore(backup)
            server.start()
        for api in (there, here, process()):
            wait_until(partial(answers, api), "the servers")
            # The memory of signatures is lost, too: what is from before that is refused.
            assert api.get(SHOW, viewer).code in (0, 1001)
            clock.shift(6)
            assert [api.get(SHOW, user).code for user in (logged_out, banned)] == [1101, 1102]
            assert api.post("/api/user/update", logged_out, nickname="写").code == 1101
            assert api.get(SHOW, viewer, peerId=blocker.user_id).code == 501
            assert "拦" not in names(api, viewer, HOT)
            assert "新" in names(api, viewer, HOT)
            assert {"旧", "禁"}.isdisjoint(names(api, viewer, HOT))
            assert names(api, viewer, NEARBY) == ["新"]
            assert api.get(SHOW, viewer, peerId=renamed.user_id).data["nickname"] == "新"


def test_an_old_edition_is_not_read(servers: list[RedisServer], process: Callable[[], Api]) -> None:
    api = process()
    make_user(api)
    make_user(api, nickname="热")
    first = edition(api)
    files = [server.back_up() for server in servers]
    for server, backup in zip(servers, files, strict=True):
        server.kill()
        server.restore(backup)
        server.start()
    wait_until(lambda: answers(api), "the servers")
    again = process()
    editions = again.parts.discovery.editions
    newest = wait_until(lambda: (found := editions.newest(datetime.now(UTC))) and found.name, "an edition")
    assert newest != first.name
