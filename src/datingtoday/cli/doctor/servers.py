"""Connections of the checks to the configured servers; short timeouts, nothing pooled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from datingtoday.infra.config.settings import Settings
from datingtoday.infra.redis import RedisRole
from datingtoday.infra.server.embedded_redis import running_redis_uri

TIMEOUT_S = 5
_MAX_REASON_CHARS = 200


@contextmanager
def database_engine(settings: Settings) -> Iterator[Engine | None]:
    """An engine on which a connection can be made, with the isolation of the program's own; None if it cannot.

    A SQLite file that does not exist is not created.
    """
    engine = raw_engine(settings)
    if engine is None:
        yield None
        return
    try:
        engine.connect().close()
    except DBAPIError:
        yield None
    else:
        yield engine


def raw_engine(settings: Settings) -> Engine | None:
    """An engine that has not connected, and keeps no connection; None for a SQLite file that does not exist."""
    url = make_url(settings.database.uri)
    if url.get_backend_name() == "sqlite":
        if not url.database or not Path(url.database).exists():
            return None
        return create_engine(
            url, poolclass=NullPool, connect_args={"timeout": TIMEOUT_S}, hide_parameters=True
        )
    timeouts: dict[str, Any] = {"connect_timeout": TIMEOUT_S, "read_timeout": 60, "write_timeout": 60}
    return create_engine(
        url,
        poolclass=NullPool,
        isolation_level="READ COMMITTED",
        hide_parameters=True,
        connect_args={**timeouts, "init_command": "SET time_zone = '+00:00'"},
    )


def reason_of(failure: BaseException) -> str:
    """The text of a driver's or client's error on one line; it names user and host, never a password."""
    original = failure.orig if isinstance(failure, DBAPIError) and failure.orig else failure
    return " ".join(f"{original}".split())[:_MAX_REASON_CHARS] or type(original).__name__


def redis_roles(settings: Settings) -> dict[str, RedisRole]:
    """Distinct Redis servers by the roles they have: ``guard``, ``guard+cache+queues``, …; empty if none runs yet."""
    uri = settings.redis.uri or (running_redis_uri(settings.data_dir) or "")
    by_uri: dict[str, list[str]] = {}
    for role, own in (
        ("guard", ""),
        ("cache", settings.redis.cache_uri),
        ("queues", settings.redis.queue_uri),
    ):
        if chosen := own or uri:
            by_uri.setdefault(chosen, []).append(role)
    timeout_s = max(settings.redis.timeout_s, 1.0)
    return {"+".join(names): RedisRole(address, timeout_s=timeout_s) for address, names in by_uri.items()}


def ask(role: RedisRole, *command: str) -> Any:
    """Answer to a command without keys; on a cluster that of one master.

    :raises RedisError:
    """
    client: Any = role.client
    if not role.is_cluster:
        return client.execute_command(*command)
    return client.execute_command(*command, target_nodes=client.get_primaries()[0])


def redis_cli(uri: str) -> str:
    """The beginning of a command of redis-cli for this server, as its administrator, whose password it asks for."""
    parts = urlsplit(uri)
    login = " --askpass" if parts.password else ""
    if parts.scheme == "unix":
        return f"redis-cli -s {parts.path}{login}"
    tls = " --tls" if parts.scheme.startswith("rediss") else ""
    return f"redis-cli -h {parts.hostname} -p {parts.port or 6379}{tls}{login}"


def database_cli(settings: Settings, statement: str) -> str:
    """A command that runs a statement as an administrator of the database server."""
    url = make_url(settings.database.uri)
    return f'mysql -h {url.host} -P {url.port or 3306} -u root -p -e "{statement}"'
