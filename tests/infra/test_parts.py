"""The end of an application: what it noted is sent, and no connection is left."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from datingtoday.infra import parts as parts_module
from datingtoday.infra.parts import make_foundation
from datingtoday.infra.realtime import Realtime
from datingtoday.infra.streams import Streams
from tests.plugins.api import settings_of
from tests.plugins.backend import Backend


def test_every_connection_is_closed(backend: Backend, tmp_path: Path) -> None:
    base = make_foundation(settings_of(backend, tmp_path))
    roles = {id(role): role for role in (base.guard_redis, base.cache_redis, base.queue_redis)}.values()
    for role in roles:
        role.execute("PING")
        role.client.ping()
    idle = [connection for role in roles for connection in role._idle]
    assert len(idle) == len(roles) and all(connection.is_connected for connection in idle)
    with base.database.reading() as session:
        session.execute(text("SELECT 1"))
    pool = base.database.engine.pool
    base.close()
    assert not any(connection.is_connected for connection in idle)
    assert all(role._idle == [] and role._client is None for role in roles)
    assert base.database.engine.pool is not pool


def test_what_was_noted_is_sent_first(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(Realtime, "flush", lambda _: calls.append("push"))
    monkeypatch.setattr(Streams, "flush", lambda _: calls.append("streams"))
    monkeypatch.setattr(parts_module, "flush_reports", lambda: calls.append("reports"))
    tracing: Any = SimpleNamespace(
        flush=lambda: calls.append("spans"), watch=lambda _: calls.append("watched")
    )
    monkeypatch.setattr(parts_module, "Tracing", lambda _: tracing)
    plain = make_foundation(settings_of(backend, tmp_path))
    plain.flush()
    assert calls == ["push", "streams", "reports"]
    traced = make_foundation(settings_of(backend, tmp_path, TRACING_OTLP_ENDPOINT="http://127.0.0.1:1"))
    calls.remove("watched")
    calls.clear()
    traced.close()
    assert calls == ["push", "streams", "spans", "reports"]


def test_roles_on_one_server_share_their_connections(backend: Backend, tmp_path: Path) -> None:
    uri = backend.redis_uri
    one = make_foundation(settings_of(backend, tmp_path, REDIS_CACHE_URI=uri, REDIS_QUEUE_URI=uri))
    assert one.guard_redis is one.cache_redis is one.queue_redis
    several = make_foundation(settings_of(backend, tmp_path, REDIS_CACHE_URI="redis://127.0.0.1:1/1"))
    assert several.cache_redis is not several.guard_redis
