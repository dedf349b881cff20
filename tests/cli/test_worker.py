"""`datingtoday worker`, and the worker that `datingtoday serve` runs beside the server, from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen

import pytest

from datingtoday.app import make_parts
from datingtoday.infra.db import Database
from datingtoday.infra.jobs.leases import JobState, read_states
from datingtoday.infra.jobs.status import HEARTBEAT, HEARTBEAT_S, is_worker_alive
from datingtoday.infra.metric_declarations import process_registry
from datingtoday.worker import Worker
from tests.cli.running_server import PROGRAM, RunningServer, Start, clean_environ, runs
from tests.cli.test_production import own_servers
from tests.plugins.api import settings_of
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.processes import end, spawn, tail_of
from tests.plugins.schema import bring_up

SERVED = "dt-worker"


def states(database: Database) -> dict[str, JobState]:
    return {state.name.partition("@")[0]: state for state in read_states(database)}


def database_of(server: RunningServer) -> Database:
    return Database(f"sqlite:///{server.data / 'datingtoday.sqlite3'}")


def wait_for_worker(server: RunningServer, other_than: int = 0) -> int:
    found = wait_until(
        lambda: [pid for name, pid in server.beside().items() if name == SERVED and pid != other_than],
        "the worker",
        deadline_s=30,
    )
    return found[0]


class TestBesideTheServer:
    def test_it_runs_is_started_again_and_ends_in_order(self, start: Start) -> None:
        server = start()
        worker = wait_for_worker(server)
        database = database_of(server)
        wait_until(lambda: is_worker_alive(read_states(database)), "the first run", deadline_s=30)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not runs(worker), "its end")
        again = wait_for_worker(server, other_than=worker)
        wait_until(
            lambda: "worker_started" in server.printed.partition("child_process_ended")[2], "the start"
        )
        assert server.get("/").status_code < 500
        assert server.stop() == 0
        assert not runs(again)
        assert '"event":"worker_stopped"' in server.printed.replace('": "', '":"')
        assert states(database)[HEARTBEAT].holder == ""

    def test_it_dies_with_its_parent(self, start: Start) -> None:
        server = start()
        worker = wait_for_worker(server)
        os.kill(server.process.pid, signal.SIGKILL)
        wait_until(lambda: not runs(worker), "the worker's end")

    def test_it_can_be_left_out(self, start: Start) -> None:
        server = start(WORKER_WITH_SERVE="0")
        server.wait_for_workers(2)
        assert server.beside().get(SERVED) is None


class TestJobsCommand:
    def test_it_tells_what_the_worker_does(self, start: Start) -> None:
        server = start()
        database = database_of(server)
        wait_until(lambda: is_worker_alive(read_states(database)), "the first run", deadline_s=30)
        names = {"logins_purge", "accounts_purge", "signatures_purge", "media_purge", "media_leftovers"}
        wait_until(
            lambda: names <= {name for name, state in states(database).items() if state.runs},
            "the first runs",
            deadline_s=120,
        )
        told = subprocess.run(
            [PROGRAM, "jobs", "--check", "--data", server.data],
            capture_output=True, text=True, check=True, env=clean_environ(),
        )  # fmt: skip
        lines = told.stdout.splitlines()
        assert lines[0].split()[:3] == ["job", "last", "success"]
        assert names <= {line.split()[0].partition("@")[0] for line in lines}
        assert "worker: running" in lines
        assert any(line.startswith("stream visits: 0 entries wait") for line in lines)
        metrics = server.get("/metrics").text
        assert "datingtoday_worker_up 1.0" in metrics
        assert 'datingtoday_stream_lag_seconds{stream="visits"} 0.0' in metrics
        assert 'datingtoday_job_failures{job="media_purge"} 0.0' in metrics
        wait_until(lambda: server.get("/readyz").json()["data"]["status"] == "ready", "push")

    def test_without_a_worker_the_check_fails(self, start: Start) -> None:
        server = start(WORKER_WITH_SERVE="0")
        told = subprocess.run(
            [PROGRAM, "jobs", "--check", "--data", server.data],
            capture_output=True, text=True, check=False, env=clean_environ(),
        )  # fmt: skip
        assert told.returncode == 1
        assert "worker: none is running" in told.stdout
        wait_until(lambda: server.get("/readyz").json()["data"]["push"] == "up", "push")
        found = server.get("/readyz").json()["data"]
        assert (found["worker"], found["push"], found["status"]) == ("down", "up", "degraded")
        assert "datingtoday_worker_up 0.0" in server.get("/metrics").text


class TestCommand:
    @pytest.fixture
    def environ(self, backend: Backend, data: Path) -> dict[str, str]:
        bring_up(backend.database_uri)
        data.mkdir(parents=True)
        settings = own_servers(backend) | {"WORKER_LEASE_S": "1", "DATA": str(data)}
        return clean_environ(**{f"DATINGTODAY_{name}": value for name, value in settings.items()})

    @pytest.fixture
    def workers(self, environ: dict[str, str], data: Path) -> Iterator[list[Popen[bytes]]]:
        """Three on the same database, as on three hosts."""
        with ExitStack() as stack:
            started = []
            for number in range(3):
                log = data.parent / f"{data.name}-worker{number}.log"
                process = spawn([PROGRAM, "worker"], log=log, cwd=data, env=environ)
                stack.callback(end, process)
                started.append(process)
            yield started

    def test_three_run_until_they_are_told(
        self, workers: list[Popen[bytes]], backend: Backend, data: Path
    ) -> None:
        database = Database(backend.database_uri)
        began_ms = time.time() * 1000
        wait_until(lambda: is_worker_alive(read_states(database)), "a heartbeat", deadline_s=60)
        logs = [data.parent / f"{data.name}-worker{number}.log" for number in range(3)]
        wait_until(
            lambda: all("worker_started" in log.read_text() for log in logs), "all three", deadline_s=60
        )
        beats, now_ms = states(database)[HEARTBEAT].runs, states(database)[HEARTBEAT].now_ms
        assert beats < 2 + (now_ms - began_ms) / (HEARTBEAT_S * 1000), "three workers beat once per period"
        for worker, log in zip(workers, logs, strict=True):
            began = time.monotonic()
            assert end(worker, signal.SIGTERM) == 0, tail_of(log)
            # The promise is 5 s; a machine that stands still is forgiven.
            assert time.monotonic() - began < 12
        assert all(state.holder == "" for state in read_states(database))

    @pytest.mark.parametrize("backend", ["embedded"], indirect=True)
    def test_a_signal_that_interrupts_another_thread_is_heard(
        self, environ: dict[str, str], data: Path
    ) -> None:
        """As one does that comes just before the wait begins: nothing wakes the main thread."""
        log = data.parent / f"{data.name}-worker.log"
        process = spawn([sys.executable, "-c", _TOLD_IN_A_THREAD], log=log, cwd=data, env=environ)
        try:
            assert process.wait(timeout=60) == 0, tail_of(log)
        finally:
            end(process)
        assert "worker_stopped" in log.read_text()


_TOLD_IN_A_THREAD = """
import signal, sys, threading, time
from datingtoday.app import make_parts
from datingtoday.infra.config.settings import load_settings
from datingtoday.infra.logs import configure_logs
from datingtoday.worker import run_until_told

def tell():
    while sys._current_frames()[main].f_code.co_name != "_wait_until_told":
        time.sleep(0.01)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

main = threading.get_ident()
settings = load_settings(None, None)
configure_logs(settings.log.level)
parts = make_parts(settings)
threading.Thread(target=tell, daemon=True).start()
run_until_told(parts)
"""


def test_what_a_worker_refuses_is_in_the_metrics(backend: Backend, tmp_path: Path) -> None:
    """The worker has no application: it counts by itself, for `/metrics` of its host."""
    parts = make_parts(settings_of(backend, tmp_path))
    Worker(parts)
    labels = {"stream": "visits", "outcome": "refused"}

    def counted() -> float:
        return process_registry().get_sample_value("datingtoday_stream_entries_total", labels) or 0.0

    before = counted()
    parts.base.streams.write(parts.base.streams["visits"], [["no", "visit"]])
    assert counted() == before + 1
    parts.base.close()


def test_a_signal_handler_never_waits_for_the_thread_that_it_interrupts(
    backend: Backend, tmp_path: Path
) -> None:
    """A handler runs in the main thread, which may hold the lock of what it waits for."""
    bring_up(backend.database_uri)
    parts = make_parts(settings_of(backend, tmp_path))
    worker = Worker(parts)
    with worker._stopping._cond:  # type: ignore[attr-defined]
        handler = threading.Thread(target=worker.stop, daemon=True)
        handler.start()
        handler.join(10)
        assert not handler.is_alive()
    parts.base.close()
