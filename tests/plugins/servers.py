"""pytest plugin: private servers for the tests, and what happens where the programs for them are missing.

Fixtures
    backend         what a test runs on, once ``embedded`` and once ``real``: a new empty database and an empty Redis
    shared_backend  the same for a whole session; for fixtures that make the tables once and then ``clear()`` rows
    private_redis   makes a Redis that the test may kill: ``private_redis("real")``; or ``backend.private_redis()``
    private_sql_server  makes a MariaDB (or MySQL, see `sql_product`) that the test may kill
    run_folder      a folder for files, in memory if possible

Markers
    real            the test needs the real servers (with ``backend[real]`` or ``private_sql_server`` it does by itself)
    browser         the test needs Chromium
    needs("ffmpeg") the test needs this tool of `tests.plugins.tools`

A test whose tools are missing is deselected, counted, and named loudly at the end. With ``REQUIRE_REAL_SERVERS=1``
a missing tool ends the run before it begins.

Under xdist the controller starts one SQL server for all workers; each has databases and Redis servers
of its own.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.backend import Address, Backend, make_backend, new_folder
from tests.plugins.processes import RunFolder
from tests.plugins.redis_server import Engine, RedisServer
from tests.plugins.sql_product import MYSQLD, TESTED
from tests.plugins.sql_server import SqlServer, wait_for
from tests.plugins.tools import SERVERS, TOOLS, problem_of

ENGINES: tuple[Engine, ...] = ("embedded", "real")

_run = pytest.StashKey[RunFolder]()
_folder = pytest.StashKey[Path]()
_sql_server = pytest.StashKey[SqlServer]()
_not_run = pytest.StashKey[Counter[str]]()


# -- the run: folder, servers, end


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(*tools): needs these programs; deselected where they are missing"
    )
    # As on a server in China: a local time that is taken for UTC, or the other way round, is eight hours off.
    os.environ["TZ"] = "CST-8"
    time.tzset()
    config.stash[_not_run] = Counter()
    if _is_worker(config):
        config.stash[_folder] = Path(config.workerinput["dt_run_folder"])  # type: ignore[attr-defined]
        return
    if MYSQLD and (problem := TOOLS[TESTED.tool].problem):
        raise pytest.UsageError(f"MYSQLD={MYSQLD}: {problem}")
    if _servers_are_required():
        problems = [tool.problem for tool in TOOLS.values() if tool.problem and not tool.is_for_root]
        if problems:
            raise pytest.UsageError("REQUIRE_REAL_SERVERS is set, but " + "; ".join(problems))
    # kill, systemd and CI end programs by SIGTERM, which Python otherwise dies of without tidying up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config.stash[_run] = RunFolder()
    config.stash[_folder] = config.stash[_run].path


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """The controller of xdist collects nothing, so it cannot know what will be needed, and begins early."""
    config = session.config
    if config.getoption("numprocesses", None) and not _is_worker(config) and not problem_of(SERVERS):
        _sql_server_of(config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["dt_run_folder"] = str(node.config.stash[_folder])
    server = node.config.stash.get(_sql_server, None)
    node.workerinput["dt_sql_server"] = server.address() if server else None


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if server := config.stash.get(_sql_server, None):
        server.close()
    if run := config.stash.get(_run, None):
        run.remove()


def _sql_server_of(config: pytest.Config) -> SqlServer:
    """The SQL server of this process: begun, not waited for."""
    if _sql_server not in config.stash:
        folder = config.stash[_folder]
        config.stash[_sql_server] = SqlServer(folder / "sql", template=folder / "sql-template")
        config.stash[_sql_server].begin()
    return config.stash[_sql_server]


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _servers_are_required() -> bool:
    return os.environ.get("REQUIRE_REAL_SERVERS", "") not in ("", "0")


# -- tests that cannot be run here


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what runs on real servers by a fixture's parameter, so that ``-m real`` chooses all that needs them."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    if any(parameters.get(name) == "real" for name in ("backend", "shared_backend")):
        item.add_marker(pytest.mark.real)


def needed_tools(item: pytest.Item) -> set[str]:
    """The names of the tools without which this test cannot be run."""
    needed = {str(name) for mark in item.iter_markers("needs") for name in mark.args}
    if item.get_closest_marker("browser"):
        needed.add("chromium")
    fixtures = getattr(item, "fixturenames", ())
    if item.get_closest_marker("real"):
        needed.update(SERVERS)
    if "private_sql_server" in fixtures:
        needed.add(TESTED.tool)
    unknown = needed - TOOLS.keys()
    if unknown:
        raise pytest.UsageError(f"{item.nodeid} needs unknown tools: {', '.join(sorted(unknown))}")
    return needed


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """After ``-m`` and ``-k``: only tests that a user wanted to run are counted."""
    possible: list[pytest.Item] = []
    impossible: list[pytest.Item] = []
    for item in items:
        problem = problem_of(needed_tools(item))
        (impossible if problem else possible).append(item)
        if problem:
            config.stash[_not_run][problem] += 1
    if impossible:
        config.hook.pytest_deselected(items=impossible)
        items[:] = possible


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _is_worker(session.config):
        not_run: Counter[str] = session.config.stash[_not_run]
        # Only plain types travel to the controller.
        session.config.workeroutput["dt_not_run"] = dict(not_run)  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # Every worker collects the same tests, so these are the same numbers again, not more of them.
    total: Counter[str] = node.config.stash[_not_run]
    total |= Counter(getattr(node, "workeroutput", {}).get("dt_not_run", {}))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    not_run = config.stash[_not_run]
    if not not_run:
        return
    terminalreporter.section("TESTS THAT COULD NOT BE RUN HERE", sep="!", red=True, bold=True)
    for problem, count in sorted(not_run.items()):
        terminalreporter.write_line(f"{count} tests: {problem}", red=True)
    terminalreporter.write_line(
        "As root on Debian or Ubuntu, `make test` installs what is missing; elsewhere: apt install "
        + " ".join(dict.fromkeys(name for tool in TOOLS.values() if tool.problem for name in tool.packages))
    )


# -- fixtures


@pytest.fixture(scope="session")
def worker_name(pytestconfig: pytest.Config) -> str:
    """``gw0``, ``gw1``, …; ``main`` without xdist."""
    workerinput = getattr(pytestconfig, "workerinput", {})
    return str(workerinput.get("workerid", "main"))


@pytest.fixture(scope="session")
def run_folder(pytestconfig: pytest.Config, worker_name: str) -> Path:
    """A folder of this worker's own; gone after the run."""
    folder = pytestconfig.stash[_folder] / worker_name
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def sql_address(pytestconfig: pytest.Config) -> Callable[[], Address]:
    """Address of the run's SQL server; waits until it answers."""

    @cache
    def address() -> Address:
        if _is_worker(pytestconfig):
            found: Address = pytestconfig.workerinput["dt_sql_server"]  # type: ignore[attr-defined]
        else:
            found = _sql_server_of(pytestconfig).address()
        wait_for(found)
        return found

    return address


@pytest.fixture(scope="session")
def _redis_of(run_folder: Path) -> Iterator[Callable[[Engine, str], RedisServer]]:
    """One running Redis of this worker for each engine and use."""
    servers: dict[tuple[Engine, str], RedisServer] = {}
    with ExitStack() as stack:

        def redis_of(engine: Engine, use: str) -> RedisServer:
            if (engine, use) not in servers:
                server = servers[engine, use] = RedisServer(engine, run_folder / f"{use}-{engine}")
                stack.callback(server.close)
                server.start()
            return servers[engine, use]

        yield redis_of


@pytest.fixture(params=ENGINES)
def backend(
    request: pytest.FixtureRequest,
    run_folder: Path,
    worker_name: str,
    sql_address: Callable[[], Address],
    _redis_of: Callable[[Engine, str], RedisServer],
) -> Iterator[Backend]:
    redis = _redis_of(request.param, "own")
    folder = new_folder(run_folder, "test")
    with make_backend(request.param, redis, folder, worker_name, sql_address) as made:
        yield made


@pytest.fixture(scope="session", params=ENGINES)
def shared_backend(
    request: pytest.FixtureRequest,
    run_folder: Path,
    worker_name: str,
    sql_address: Callable[[], Address],
    _redis_of: Callable[[Engine, str], RedisServer],
) -> Iterator[Backend]:
    redis = _redis_of(request.param, "shared")
    folder = new_folder(run_folder, "shared")
    with make_backend(request.param, redis, folder, worker_name, sql_address) as made:
        yield made


@pytest.fixture
def private_redis(run_folder: Path) -> Iterator[Callable[..., RedisServer]]:
    """``private_redis(engine="embedded", *, cluster=False)``: a running server, ended with the test."""
    with ExitStack() as stack:

        def start(engine: Engine = "embedded", *, cluster: bool = False) -> RedisServer:
            server = RedisServer(engine, new_folder(run_folder, "redis"), cluster=cluster)
            stack.callback(server.close)
            return server.start()

        yield start


@pytest.fixture
def private_sql_server(pytestconfig: pytest.Config, run_folder: Path) -> Iterator[Callable[..., SqlServer]]:
    """``private_sql_server(*options)``: a running server without databases (``create_database()``)."""
    template = pytestconfig.stash[_folder] / "sql-template"
    with ExitStack() as stack:

        def start(*options: str) -> SqlServer:
            server = SqlServer(new_folder(run_folder, "sql"), template=template, options=options)
            stack.callback(server.close)
            return server.start()

        yield start
