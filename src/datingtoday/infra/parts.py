"""The foundation of every feature: settings, database, Redis roles, cache, limits and events."""

from __future__ import annotations

from dataclasses import dataclass

from datingtoday.infra.cache import ReadyCache
from datingtoday.infra.config.settings import Settings
from datingtoday.infra.db import Database
from datingtoday.infra.events import Events
from datingtoday.infra.jobs.registry import Jobs
from datingtoday.infra.personal_data import PersonalData
from datingtoday.infra.ratelimit import RateLimits
from datingtoday.infra.realtime import Realtime
from datingtoday.infra.redis import RedisRole
from datingtoday.infra.streams import Streams


@dataclass(frozen=True)
class Foundation:
    """Services below all features; opens no connection until it is used."""

    settings: Settings
    secret_key: bytes
    database: Database
    guard_redis: RedisRole
    cache_redis: RedisRole
    """The guard's own connections where both roles are one server."""
    queue_redis: RedisRole
    """The guard's own connections where both roles are one server."""
    cache: ReadyCache
    limits: RateLimits
    events: Events
    personal_data: PersonalData
    jobs: Jobs
    streams: Streams
    realtime: Realtime

    def close(self) -> None:
        """Send what is recorded, and close every connection of this process."""
        self.streams.flush()
        self.guard_redis.close()
        self.cache_redis.close()
        self.queue_redis.close()
        self.database.dispose()


def make_foundation(settings: Settings) -> Foundation:
    """Make the foundation from the settings."""
    database = Database(
        settings.database.uri, pool_size=settings.database.pool_size, timeout_s=settings.database.timeout_s
    )
    guard = RedisRole(settings.redis.uri, timeout_s=settings.redis.timeout_s)
    cache = _role(settings, settings.redis.cache_uri, guard)
    queue = _role(settings, settings.redis.queue_uri, guard)
    return Foundation(
        settings=settings,
        secret_key=bytes.fromhex(settings.security.secret_key),
        database=database,
        guard_redis=guard,
        cache_redis=cache,
        queue_redis=queue,
        cache=ReadyCache(cache, database),
        limits=RateLimits(guard),
        events=Events(),
        personal_data=PersonalData(),
        jobs=Jobs(settings.data_dir),
        streams=Streams(queue, database),
        realtime=Realtime(queue),
    )


def _role(settings: Settings, uri: str, guard: RedisRole) -> RedisRole:
    if uri in ("", settings.redis.uri):
        return guard
    return RedisRole(uri, timeout_s=settings.redis.timeout_s)
