"""Connections that send nothing cost no thread: the server answers others, also without a proxy in front."""

from __future__ import annotations

import resource
import socket
import time
from collections import deque
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import requests

from datingtoday.infra.server.idle_connections import PollingWorker
from tests.cli.running_server import Start

IDLE = 500


def test_idle_connections_keep_nobody_out(start: Start) -> None:
    server = start(SERVER_WORKERS="1", SERVER_THREADS="2")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    address = (urlsplit(server.url).hostname, urlsplit(server.url).port)
    with ExitStack() as stack:
        for _ in range(IDLE):
            stack.enter_context(socket.create_connection(address, timeout=10))
        started = time.monotonic()
        answers = [requests.get(f"{server.url}/healthz", timeout=20).status_code for _ in range(3)]
        took_s = time.monotonic() - started
    assert answers == [200] * 3
    # Two threads that wait five seconds for each idle connection would be busy for twenty minutes.
    assert took_s < 60


def test_a_stop_waits_neither_for_kept_connections_nor_for_new_ones() -> None:
    """Each is closed by the time given, and those that end sooner then."""
    worker: Any = PollingWorker.__new__(PollingWorker)
    kept, new = (deque(SimpleNamespace(timeout=timeout) for timeout in (5.0, 100.0, 101.0)) for _ in range(2))
    worker.keepalived_conns, worker.pending_conns = kept, new
    worker._cap_keepalive(100.5)
    assert [[it.timeout for it in those] for those in (kept, new)] == [[5.0, 100.0, 100.5]] * 2
