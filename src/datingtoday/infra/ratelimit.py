"""Limits that are counted in Redis: at most so many in any span of time, per key.

A sliding log: each count is a member of a sorted set with its time, so the limit holds over every span and not only
between two full hours, and a count can be given back. Only what counts is stored; refused requests are not.
"""

from __future__ import annotations

import secrets
from datetime import datetime

from datingtoday.infra.milliseconds import epoch_ms, to_ms, to_s
from datingtoday.infra.redis import RedisRole, Script

# KEYS: log; ARGV: now, span (ms), most, member ('' only looks).
# Answers 0 if there is room (and counts), else in how many ms there will be.
_HIT = Script(
    """
    local now, span, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - span)
    if redis.call('ZCARD', KEYS[1]) >= most then
        local oldest = redis.call('ZRANGE', KEYS[1], -most, -most, 'WITHSCORES')
        return math.max(1, oldest[2] + span - now)
    end
    if ARGV[4] ~= '' then
        redis.call('ZADD', KEYS[1], now, ARGV[4])
        redis.call('PEXPIRE', KEYS[1], span)
    end
    return 0
    """
)


class TooMany(Exception):
    """The limit is reached; ``retry_after_s`` says when there is room again."""

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"limit reached for {retry_after_s:.1f} s")


class RateLimits:
    """Counts events per key.

    :param redis: the guard role. :raises RedisDown: from every method; who cannot count does not let pass.
    """

    def __init__(self, redis: RedisRole) -> None:
        self._redis = redis

    def hit(self, name: str, key: str, most: int | None, *, per_s: int, now: datetime) -> str:
        """Count one if there is room; two at the same time never take the same place.

        :param most: None if the limit is switched off.
        :return: a receipt for `give_back`.
        :raises TooMany: nothing was counted.
        """
        return self._run(name, key, most, per_s=per_s, now=now, counting=True)

    def refuse_if_reached(self, name: str, key: str, most: int | None, *, per_s: int, now: datetime) -> None:
        """Only look. :raises TooMany: when there is no room."""
        self._run(name, key, most, per_s=per_s, now=now, counting=False)

    def count(self, name: str, key: str, most: int | None, *, per_s: int, now: datetime) -> None:
        """Count one, whether there is room or not; the log holds at most what the limit needs to know."""
        try:
            self._run(name, key, most, per_s=per_s, now=now, counting=True)
        except TooMany:
            # Full is all that needs to be known.
            return

    def give_back(self, name: str, key: str, receipt: str) -> None:
        """Take back a count whose event did not happen."""
        if receipt:
            self._redis.execute("ZREM", self._key(name, key), receipt)

    def forgive(self, name: str, key: str) -> None:
        """Take the oldest count out, if there is one."""
        self._redis.execute("ZPOPMIN", self._key(name, key))

    def _run(
        self, name: str, key: str, most: int | None, *, per_s: int, now: datetime, counting: bool
    ) -> str:
        if most is None:
            return ""
        receipt = secrets.token_hex(6) if counting else ""
        now_ms = epoch_ms(now)
        wait_ms = self._redis.run_script(_HIT, [self._key(name, key)], now_ms, to_ms(per_s), most, receipt)
        if wait_ms:
            raise TooMany(to_s(int(wait_ms)))
        return receipt

    @staticmethod
    def _key(name: str, key: str) -> str:
        return f"limit:{name}:{key}"
