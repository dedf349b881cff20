"""Fixtures of the tests about the protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from datingtoday.app import PARTS, create_app
from tests.plugins.api import Api, RecordingSms, settings_of
from tests.plugins.backend import Backend, new_folder
from tests.plugins.redis_server import Engine, RedisServer
from tests.plugins.servers import ENGINES
from tests.protocol.lab import Lab
from tests.protocol.probe import probe_routes

LabOn = Callable[..., Lab]


@pytest.fixture(scope="session")
def _lab_redis(run_folder: Path) -> Iterator[RedisServer]:
    server = RedisServer("embedded", new_folder(run_folder, "lab-redis"))
    yield server.start()
    server.close()


@pytest.fixture
def lab_on(run_folder: Path) -> Iterator[LabOn]:
    """``lab_on(redis_uri, **options)``: another process of the service on this Redis and one database of SQLite."""
    uri = f"sqlite:///{new_folder(run_folder, 'lab') / 'lab.sqlite3'}"
    with ExitStack() as stack:

        def make(redis_uri: str, *, database_uri: str = uri, **options: Any) -> Lab:
            lab = Lab(database_uri, redis_uri, **options).create_tables()
            stack.callback(lab.close)
            return lab

        yield make


@pytest.fixture
def lab_of(lab_on: LabOn, _lab_redis: RedisServer) -> LabOn:
    """``lab_of(**options)``: a lab on an empty Redis that other tests use after this one."""
    _lab_redis.flush()
    return lambda **options: lab_on(_lab_redis.socket_uri, **options)


@pytest.fixture
def lab(lab_of: LabOn) -> Lab:
    return lab_of()


@pytest.fixture(
    params=[pytest.param(engine, marks=[pytest.mark.real] if engine == "real" else []) for engine in ENGINES]
)
def own_redis(request: pytest.FixtureRequest, private_redis: Callable[..., RedisServer]) -> RedisServer:
    """A Redis that the test may kill, wipe and freeze; of both kinds."""
    engine: Engine = request.param
    return private_redis(engine)


@pytest.fixture(scope="session")
def _probe_api(
    _shared_api: Api, shared_backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    settings = settings_of(shared_backend, tmp_path_factory.mktemp("probe"), PROTOCOL_EXPLAIN="1")
    sms = RecordingSms()
    app = create_app(settings, sms=sms, blueprints=[probe_routes()])
    yield Api(app, sms)
    app.extensions[PARTS].base.database.dispose()
    app.extensions[PARTS].base.guard_redis.close()


@pytest.fixture
def probe(_probe_api: Api) -> Api:
    """A client of the whole application with the probe routes beside its own; on both backends."""
    return Api(_probe_api.app, _probe_api.sms)
