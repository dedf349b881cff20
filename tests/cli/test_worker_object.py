"""A worker in this process: what it registers, and that nothing is left when it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from datingtoday import worker as worker_module
from datingtoday.app import Parts, make_parts
from datingtoday.infra.jobs.leases import read_states
from datingtoday.infra.metric_declarations import process_registry
from datingtoday.protocol.metrics import count_push_events, count_stream_entries
from datingtoday.worker import Worker
from tests.plugins.api import settings_of
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.schema import bring_up


@pytest.fixture
def parts(backend: Backend, tmp_path: Path) -> Iterator[Parts]:
    bring_up(backend.database_uri)
    made = make_parts(settings_of(backend, tmp_path, WORKER_LEASE_S="12.5"))
    yield made
    made.base.close()


def has_beaten(parts: Parts) -> bool:
    return any(it.name == "heartbeat" and it.runs for it in read_states(parts.base.database))


@pytest.mark.parametrize("host", ["web-1", "h" * 60, "h" * 200])
def test_its_name_fits_the_row_of_a_job(parts: Parts, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    name = Worker(parts).name
    assert re.fullmatch(rf"{host[:60]}:{os.getpid()}:[0-9a-f]{{8}}", name) and len(name) <= 100


def test_what_it_does_by_itself(parts: Parts) -> None:
    worker = Worker(parts)
    jobs, now = parts.base.jobs, datetime.now(UTC)
    assert (jobs["heartbeat"].every_s, jobs["job_rows"].every_s) == (10, 86_400)
    assert worker._runner._leases.lease_ms == 12_500
    # Commands and jobs touch many rows at once.
    assert parts.base.database.answer_s == 300
    labels = {"process": "worker"}
    jobs["heartbeat"].run(now)
    assert process_registry().get_sample_value("datingtoday_database_connections_max", labels) == 20
    worker._runner._leases.ensure(["of_a_host_that_is_gone"])
    assert jobs["job_rows"].run(now) == 0


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_it_counts_what_it_reads_and_sends_unless_an_application_does(
    parts: Parts, backend: Backend, tmp_path: Path
) -> None:
    base = parts.base
    Worker(parts)
    assert (base.streams.observer, base.realtime.observer) == (count_stream_entries, count_push_events)
    for value, found in (("1", ("streams", "realtime")), ("0", ("streams", "realtime"))):
        other: Any = make_parts(settings_of(backend, tmp_path, METRICS_ENABLED=value))
        other.base.streams.observer, other.base.realtime.observer = found
        Worker(other)
        assert (other.base.streams.observer, other.base.realtime.observer) == found
        other.base.close()
    without = make_parts(settings_of(backend, tmp_path, METRICS_ENABLED="0"))
    Worker(without)
    assert (without.base.streams.observer, without.base.realtime.observer) == (None, None)
    without.base.close()


@pytest.mark.parametrize(("is_done", "left"), [(True, []), (False, [0])])
@pytest.mark.parametrize("ignored", [True, False])
def test_signals_end_it_and_what_hangs_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, is_done: bool, left: list[int], ignored: bool
) -> None:
    """A child of the server ignores Ctrl-C, which reaches every process of a terminal."""
    calls: list[Any] = []

    class Fake:
        def __init__(self, parts: Any) -> None:
            calls.append(parts)

        def run(self) -> bool:
            for number in (signal.SIGTERM, signal.SIGINT):
                handler = signal.getsignal(number)
                if callable(handler):
                    handler(number, None)
            return is_done

        def stop(self) -> None:
            calls.append("stop")

    codes: list[int] = []
    monkeypatch.setattr(worker_module, "Worker", Fake)
    monkeypatch.setattr(os, "_exit", codes.append)
    before = {it: signal.getsignal(it) for it in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parts: Any = "parts"
    try:
        worker_module.run_until_told(parts)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert calls == ["parts", *(["stop"] if ignored else ["stop", "stop"])]
    assert codes == left


def test_it_works_until_it_is_told_and_leaves_nothing_behind(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[bool] = []
    # However slow the machine is, nothing is left behind.
    monkeypatch.setattr(worker_module, "STOP_S", 60)
    worker, done = Worker(parts), list[bool]()
    thread = threading.Thread(target=lambda: done.append(worker.run()))
    thread.start()
    wait_until(lambda: has_beaten(parts), "the first beat")
    assert all(reader.is_alive() and reader.daemon for reader in worker._readers)
    assert thread.is_alive()
    monkeypatch.setattr(type(parts.base), "flush", lambda _: flushed.append(True))
    worker.stop()
    thread.join(60)
    assert done == [True]
    assert not any(reader.is_alive() for reader in worker._readers)
    assert flushed == [True], "what was noted last is sent"
    assert all(it.holder == "" for it in read_states(parts.base.database))


def test_a_thread_that_hangs_is_told_and_not_waited_for(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "STOP_S", 0.2)
    worker, may_end, done = Worker(parts), threading.Event(), list[bool]()
    hanging: Any = threading.Thread(target=may_end.wait, daemon=True)
    worker._readers = [hanging]
    thread = threading.Thread(target=lambda: done.append(worker.run()))
    thread.start()
    wait_until(lambda: has_beaten(parts), "the first beat")
    worker.stop()
    thread.join(60)
    assert done == [False]
    may_end.set()
    hanging.join(10)


def test_a_batch_in_hand_is_waited_for(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "STOP_S", 60)
    worker, is_written, done = Worker(parts), threading.Event(), list[bool]()
    worker._readers = [threading.Thread(target=is_written.wait, args=(60,), daemon=True)]
    # Not before the jobs are at their end.
    end_jobs = worker._runner.stop

    def stop(patience_s: float) -> bool:
        is_done = end_jobs(patience_s)
        threading.Timer(0.2, is_written.set).start()
        return is_done

    monkeypatch.setattr(worker._runner, "stop", stop)
    thread = threading.Thread(target=lambda: done.append(worker.run()))
    thread.start()
    wait_until(lambda: has_beaten(parts), "the first beat")
    worker.stop()
    thread.join(60)
    assert done == [True]
