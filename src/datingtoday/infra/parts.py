"""The foundation of every feature: settings, database, Redis roles, cache, limits and events."""

from __future__ import annotations

from dataclasses import dataclass

from datingtoday.infra.cache import ReadyCache
from datingtoday.infra.config.settings import Settings
from datingtoday.infra.db import Database
from datingtoday.infra.error_reports import flush as flush_reports
from datingtoday.infra.events import Events
from datingtoday.infra.jobs.registry import Jobs
from datingtoday.infra.personal_data import PersonalData
from datingtoday.infra.ratelimit import RateLimits
from datingtoday.infra.realtime import Realtime
from datingtoday.infra.redis import RedisRole
from datingtoday.infra.streams import Streams
from datingtoday.infra.tracing import TracedRedisRole, Tracing


@dataclass(frozen=True, slots=True)
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
    tracing: Tracing | None
    """None where traces are off: then nothing of them is in the way of a request."""

    def flush(self) -> None:
        """Send what this process has recorded: push events, entries of streams, spans, error reports."""
        self.realtime.flush()
        self.streams.flush()
        if self.tracing is not None:
            self.tracing.flush()
        flush_reports()

    def close(self) -> None:
        """Send what is recorded, and close every connection of this process."""
        self.flush()
        self.guard_redis.close()
        self.cache_redis.close()
        self.queue_redis.close()
        self.database.dispose()


def make_foundation(settings: Settings) -> Foundation:
    """Make the foundation from the settings."""
    database = Database(
        settings.database.uri, pool_size=settings.database.pool_size, timeout_s=settings.database.timeout_s
    )
    tracing = Tracing(settings.tracing) if settings.tracing.otlp_endpoint else None
    if tracing is not None:
        tracing.watch(database.engine)
    guard = _role(settings, settings.redis.uri, tracing)
    cache, queue = (
        guard if uri in ("", settings.redis.uri) else _role(settings, uri, tracing)
        for uri in (settings.redis.cache_uri, settings.redis.queue_uri)
    )
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
        tracing=tracing,
    )


def _role(settings: Settings, uri: str, tracing: Tracing | None) -> RedisRole:
    timeout_s = settings.redis.timeout_s
    if tracing is not None:
        return TracedRedisRole(tracing, uri, timeout_s=timeout_s)
    return RedisRole(uri, timeout_s=timeout_s)
