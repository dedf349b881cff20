"""gunicorn as it is set up here: its settings, its signals, its answers, and what it logs."""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import logging
import os
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gunicorn.util
import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config

from datingtoday.infra.config.settings import Settings, load_settings
from datingtoday.infra.server import gunicorn_server, idle_connections
from datingtoday.infra.server.garbage_collector import settle_collector
from datingtoday.infra.server.gunicorn_log import JsonLog
from datingtoday.infra.server.gunicorn_server import HttpServer, ServerHooks, answer_errors_in_json
from datingtoday.infra.server.idle_connections import PollingWorker, max_connections


class Told:
    """Hooks that write down what is called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.hooks = ServerHooks(
            *(lambda name=name: self.calls.append(name) for name in ("ready", "tick", "in_child", "exit"))
        )


@pytest.fixture
def told() -> Told:
    return Told()


def settings(folder: Path, **environ: str) -> Settings:
    return load_settings("/dev/null", folder, {f"DATINGTODAY_{name}": it for name, it in environ.items()})


def server_of(told: Told, folder: Path, **environ: str) -> HttpServer:
    listener = socket.create_server(("127.0.0.1", 0))
    made = HttpServer(lambda *_: [], settings(folder, **environ), listener, told.hooks)
    socket.close(made._listener_fd)
    return made


class TestSettings:
    def test_threads_poll_and_the_parent_logs_what_goes_wrong(self, told: Told, tmp_path: Path) -> None:
        cfg = server_of(told, tmp_path, SERVER_WORKERS="3", SERVER_THREADS="7").cfg
        assert (cfg.workers, cfg.threads, cfg.worker_class) == (3, 7, PollingWorker)
        assert cfg.preload_app, "workers share the memory of the parent"
        assert (cfg.loglevel, cfg.logger_class) == ("warning", JsonLog)
        assert cfg.worker_connections == max_connections()
        assert cfg.limit_request_line == 8190, "docs/errors.md promises a 414 for what is longer"
        assert told.calls == []

    @pytest.mark.parametrize("worker_class", ["sync", "gevent"])
    def test_other_workers_have_one_thread(self, told: Told, tmp_path: Path, worker_class: str) -> None:
        cfg = server_of(told, tmp_path, SERVER_WORKER_CLASS=worker_class, LOG_LEVEL="debug").cfg
        assert (cfg.settings["worker_class"].value, cfg.threads) == (worker_class, 1)
        assert cfg.loglevel == "debug"

    def test_the_terminal_that_is_closed_ends_it_unless_it_was_started_by_nohup(
        self, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for handler, outlives in ((signal.SIG_DFL, False), (signal.SIG_IGN, True)):
            before = signal.signal(signal.SIGHUP, handler)
            try:
                server = server_of(told, tmp_path)
            finally:
                signal.signal(signal.SIGHUP, before)
            assert called(monkeypatch, server, "handle_hup") == ([] if outlives else ["handle_term"])


def called(monkeypatch: pytest.MonkeyPatch, app: Any, method: str) -> list[str]:
    """Calls of gunicorn's own methods, of the hooks and of the children that a method of ours leads to."""
    calls: list[str] = []
    with monkeypatch.context() as patched:
        for name in ("stop", "manage_workers", "handle_term"):
            patched.setattr(
                Arbiter, name, lambda _, *given, name=name: calls.append(" ".join([name, *map(str, given)]))
            )
        arbiter = gunicorn_server._Arbiter.__new__(gunicorn_server._Arbiter)
        arbiter.app = app
        if hasattr(app, "calls"):
            app.calls = calls
        getattr(arbiter, method)()
    return calls


def test_a_new_worker_has_its_own_signals_and_dies_with_its_parent(told: Told, tmp_path: Path) -> None:
    cfg = server_of(told, tmp_path).cfg
    reading, writing = os.pipe()
    noted = {it: signal.signal(it, lambda *_: None) for it in (signal.SIGTERM, signal.SIGHUP)}
    try:
        pid = os.fork()
        if pid == 0:
            cfg.post_fork(None, None)
            handlers = [signal.getsignal(it) for it in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
            with_parent = ctypes.c_int()
            ctypes.CDLL(None).prctl(2, ctypes.byref(with_parent), 0, 0, 0)
            names = [signal.Handlers(it).name for it in handlers if isinstance(it, int)]
            os.write(writing, " ".join([*told.calls, *names, str(with_parent.value)]).encode())
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        for number, handler in noted.items():
            signal.signal(number, handler)
    assert os.read(reading, 1_000) == b"in_child SIG_DFL SIG_DFL SIG_IGN 9"
    os.close(reading)
    os.close(writing)
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        cfg.post_worker_init(None)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN, "gunicorn sets its own before"
    finally:
        signal.signal(signal.SIGINT, interrupt)
    cfg.when_ready(None)
    assert told.calls == ["ready"]


def test_serving_begins_with_what_is_for_all_workers(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(gunicorn_server, "answer_errors_in_json", lambda: calls.append("errors"))
    monkeypatch.setattr(gunicorn_server, "settle_collector", lambda: calls.append("settle"))
    monkeypatch.setattr(Arbiter, "run", lambda _: calls.append("run"))
    monkeypatch.setattr(Arbiter, "setup", lambda arbiter, app: setattr(arbiter, "app", app))
    server = server_of(told, tmp_path)
    server.run()
    assert calls == ["errors", "settle", "run"]
    assert server._arbiter is not None and server._arbiter.app is server
    assert server.load()(None, None) == []


def test_children_are_told_first_and_looked_after_last(monkeypatch: pytest.MonkeyPatch) -> None:
    app: Any = SimpleNamespace(calls=[], outlives_terminal=False)
    app.hooks = SimpleNamespace(on_tick=lambda: app.calls.append("on_tick"))
    app.children = SimpleNamespace(
        request_stop=lambda: app.calls.append("request_stop"), tend=lambda: app.calls.append("tend")
    )
    assert called(monkeypatch, app, "stop") == ["request_stop", "stop True"]
    assert called(monkeypatch, app, "manage_workers") == ["manage_workers", "on_tick", "tend"]
    assert called(monkeypatch, app, "handle_int") == ["handle_term"]


def test_a_child_gives_up_the_port(told: Told, tmp_path: Path) -> None:
    server = server_of(told, tmp_path)
    server._prepare_child()
    assert told.calls == ["in_child"]
    closed: list[str] = []
    listener = SimpleNamespace(close=lambda: closed.append("closed"))
    server._arbiter = SimpleNamespace(LISTENERS=[listener, listener])  # type: ignore[assignment]
    server._prepare_child()
    assert (told.calls, closed) == (["in_child", "in_child"], ["closed", "closed"])


def test_a_refusal_of_gunicorn_itself_is_an_answer_like_every_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gunicorn.util, "write_error", gunicorn.util.write_error)
    answer_errors_in_json()
    here, there = socket.socketpair()
    with closing(here), closing(there):
        gunicorn.util.write_error(there, 400, "Bad Request", "GET /?token=secret")
        there.shutdown(socket.SHUT_WR)
        head, _, body = here.makefile("rb").read().partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert first == "HTTP/1.1 400 Bad Request"
    assert json.loads(body) == {"code": 400, "msg": "Bad Request"}
    assert (headers["Content-Type"], headers["Connection"]) == ("application/json", "close")
    assert int(headers["Content-Length"]) == len(body)
    assert len(headers["X-Request-Id"]) == 32 and int(headers["X-Request-Id"], 16) >= 0


def test_what_exists_before_the_first_request_is_never_looked_through_again() -> None:
    thresholds = gc.get_threshold()
    cycle: list[Any] = []
    cycle.append(cycle)
    try:
        settle_collector()
        assert gc.get_freeze_count() > 1_000
        assert gc.get_threshold() == (10_000, 20, 20)
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


class TestPollingWorker:
    @pytest.fixture
    def worker(self) -> Iterator[Any]:
        made: Any = PollingWorker.__new__(PollingWorker)
        made.cfg = Config()
        made.cfg.set("keepalive", 5)
        made.nr_conns, made.pending_conns = 0, deque()
        made.poller = selectors.DefaultSelector()
        yield made
        made.poller.close()
        for connection in made.pending_conns:
            connection.sock.close()

    def test_a_new_connection_waits_without_a_thread(self, worker: Any) -> None:
        with (
            closing(socket.create_server(("127.0.0.1", 0))) as listener,
            closing(socket.create_connection(listener.getsockname())) as client,
        ):
            before = time.monotonic()
            worker.accept(listener)
            after = time.monotonic()
            (connection,) = worker.pending_conns
            assert worker.nr_conns == 1
            assert not connection.sock.getblocking()
            assert before + 5 <= connection.timeout <= after + 5
            assert worker.poller.select(0) == []
            client.sendall(b"G")
            ((key, _),) = worker.poller.select(10)
            assert key.fileobj is connection.sock

    def test_nobody_there_is_no_fault_and_a_broken_listener_is_one(self, worker: Any) -> None:
        def listener(number: int) -> Any:
            def accept() -> None:
                raise OSError(number, "no connection")

            return SimpleNamespace(accept=accept)

        for number in (errno.EAGAIN, errno.ECONNABORTED, errno.EMFILE, errno.ENFILE):
            worker.accept(listener(number))
        with pytest.raises(OSError, match="no connection"):
            worker.accept(listener(errno.EBADF))
        assert (worker.nr_conns, len(worker.pending_conns)) == (0, 0)

    @pytest.mark.parametrize(
        ("soft", "hard", "raised_to", "connections"),
        [
            (1_024, 1_048_576, 8_256, 8_000),
            (1_024, -1, 8_256, 8_000),
            (1_024, 4_096, 4_096, 3_840),
            (8_255, 8_256, 8_256, 8_000),
            (8_256, 8_256, None, 8_000),
            (65_536, 65_536, None, 8_000),
            (256, 300, 300, 100),
        ],
    )
    def test_as_many_connections_as_files_may_be_open(
        self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised_to: int | None, connections: int
    ) -> None:
        limits: list[tuple[int, int]] = []
        system = SimpleNamespace(
            RLIM_INFINITY=-1,
            RLIMIT_NOFILE=7,
            getrlimit=lambda _: (soft, hard),
            setrlimit=lambda _, both: limits.append(both),
        )
        monkeypatch.setattr(idle_connections, "resource", system)
        assert max_connections() == connections
        assert limits == ([] if raised_to is None else [(raised_to, hard)])


class TestLog:
    @pytest.fixture
    def lines(self) -> Iterator[list[str]]:
        """Messages that reach the root logger."""
        found: list[str] = []

        class Note(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                found.append(record.getMessage())

        root, handler = logging.getLogger(), Note()
        error_log = logging.getLogger("gunicorn.error")
        before = list(error_log.handlers), error_log.propagate, error_log.level, list(error_log.filters)
        root.addHandler(handler)
        yield found
        root.removeHandler(handler)
        error_log.handlers[:], error_log.propagate, level, error_log.filters[:] = before
        error_log.setLevel(level)

    def test_messages_go_on_and_end_where_they_quote_a_request(self, lines: list[str]) -> None:
        log = JsonLog(Config())
        assert log.error_log.handlers == []
        log.error_log.setLevel(logging.INFO)
        log.info("Listening at: %s", "http://127.0.0.1:8000")
        log.warning("Invalid request from ip=%s: %s", "::1", "Invalid HTTP request line: 'GET /?token=1'")
        log.error("Error handling request %s %s", "/api/user/show?token=1", 7)
        try:
            raise ValueError("its own text")
        except ValueError:
            log.info("failed for %s", "/x?token=1", exc_info=True)
        assert lines == [
            "Listening at: http://127.0.0.1:8000",
            "Invalid request from ip=::1: Invalid HTTP request line: …",
            "Error handling request /api/user/show 7",
            "failed for /x",
        ]
