"""The registry of open connections, on Redis."""

from __future__ import annotations

import pytest

from datingtoday.infra.redis import RedisRole
from datingtoday.push.registry import Entry, Registry
from tests.plugins.backend import Backend

NOW = 1_800_000_000_000
pytestmark = pytest.mark.parametrize("backend", ["embedded"], indirect=True)


def role_of(backend: Backend) -> RedisRole:
    return RedisRole(backend.queue_uri, timeout_s=10)


def test_a_user_has_so_many_connections_and_the_oldest_goes(backend: Backend) -> None:
    registry = Registry(role_of(backend), limit=3, life_s=75)
    entries = [Entry(7, f"c{number}", NOW - number) for number in range(3)]
    assert registry.enter(entries, NOW) == {}
    assert registry.enter(entries, NOW) == {}, "renewed, not counted again"
    assert registry.enter([Entry(8, "other", 0)], NOW) == {}
    assert registry.enter([Entry(7, "new", NOW)], NOW) == {7: ["c2"]}
    registry.leave(entries[:1])
    assert registry.enter([Entry(7, "newer", NOW)], NOW) == {}
    # Of the same moment, the one with the smaller id.
    assert registry.enter([Entry(7, "a", NOW), Entry(7, "b", NOW)], NOW) == {7: ["c1", "a"]}


def test_entries_that_nobody_renews_vanish_by_themselves(backend: Backend) -> None:
    role = role_of(backend)
    registry = Registry(role, limit=1, life_s=75)
    registry.enter([Entry(7, "dead", NOW)], NOW)
    assert registry.enter([Entry(7, "dead", NOW)], NOW) == {}
    assert 74_000 < role.execute("PTTL", "push:connections:7") <= 75_000
    assert registry.enter([Entry(7, "one", NOW)], NOW + 74_999) == {7: ["dead"]}
    assert registry.enter([Entry(8, "dead", NOW)], NOW) == {}
    assert registry.enter([Entry(8, "one", NOW)], NOW + 75_000) == {}
    assert role.execute("HKEYS", "push:connections:8") == [b"one"]


def test_hundreds_are_entered_and_left(backend: Backend) -> None:
    role = role_of(backend)
    registry = Registry(role, limit=1, life_s=75)
    entries = [Entry(user_id, "c", NOW) for user_id in range(1, 402)]
    assert registry.enter(entries, NOW) == {}
    assert registry.enter([it._replace(connection_id="d", since_ms=NOW + 1) for it in entries], NOW) == {
        user_id: ["c"] for user_id in range(1, 402)
    }
    registry.leave([it._replace(connection_id="d") for it in entries])
    assert [it for it in range(1, 402) if role.execute("EXISTS", f"push:connections:{it}")] == []
