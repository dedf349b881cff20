"""The registry of open connections in Redis: at most so many a user over all processes, the oldest goes.

An entry lives for a while unless its process renews it, so those of a killed process vanish. Redis may lose the
registry at any time: every process enters its connections again at the next renewal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from datingtoday.infra.milliseconds import to_ms
from datingtoday.infra.paired import paired
from datingtoday.infra.redis import Command, RedisRole, Script

BATCH = 200
"""Commands that are sent to Redis together."""

# KEYS: the user's hash; ARGV: now in ms, life in ms, limit, id, connected at in ms. Returns the ids that must go.
_ENTER = Script(
    """
    local now, life, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
    redis.call('HSET', KEYS[1], ARGV[4], ARGV[5] .. ':' .. string.format('%d', now + life))
    redis.call('PEXPIRE', KEYS[1], life)
    local found = redis.call('HGETALL', KEYS[1])
    local open, gone = {}, {}
    for at = 1, #found, 2 do
        local since, expires = string.match(found[at + 1], '(%d+):(%d+)')
        if tonumber(expires) <= now then
            redis.call('HDEL', KEYS[1], found[at])
        else
            open[#open + 1] = {tonumber(since), found[at]}
        end
    end
    table.sort(open, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end)
    for at = 1, #open - limit do
        gone[#gone + 1] = open[at][2]
        redis.call('HDEL', KEYS[1], open[at][2])
    end
    return gone
    """
)


class Entry(NamedTuple):
    """An open connection."""

    user_id: int
    connection_id: str
    since_ms: int


class Registry:
    """Open connections of all processes.

    :param redis: the queue role. :param limit: connections of a user.
    :param life_s: how long an entry that is not renewed stays.
    """

    def __init__(self, redis: RedisRole, *, limit: int, life_s: float) -> None:
        self._redis = redis
        self._limit = limit
        self._life_ms = to_ms(life_s)

    def enter(self, entries: Sequence[Entry], now_ms: int) -> dict[int, list[str]]:
        """Enter or renew connections; returns user id → the oldest connections above the limit, which must go.

        :raises RedisDown:
        """
        gone: dict[int, list[str]] = {}
        for start in range(0, len(entries), BATCH):
            part = entries[start : start + BATCH]
            calls: list[Any] = [
                (
                    _ENTER,
                    [_key(entry.user_id)],
                    (now_ms, self._life_ms, self._limit, entry.connection_id, entry.since_ms),
                )
                for entry in part
            ]
            for entry, ids in paired(part, self._redis.round_trip_with_scripts(calls)):
                if ids:
                    gone.setdefault(entry.user_id, []).extend(each.decode() for each in ids)
        return gone

    def leave(self, entries: Sequence[Entry]) -> None:
        """Remove connections that are closed.

        :raises RedisDown: they vanish by themselves.
        """
        for start in range(0, len(entries), BATCH):
            commands: list[Command] = [
                ("HDEL", _key(entry.user_id), entry.connection_id) for entry in entries[start : start + BATCH]
            ]
            self._redis.round_trip(commands)


def _key(user_id: int) -> str:
    return f"push:connections:{user_id}"
