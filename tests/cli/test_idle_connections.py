"""Connections that send nothing cost no thread: the server answers others, also without a proxy in front."""

from __future__ import annotations

import resource
import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import requests

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
