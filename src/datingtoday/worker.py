"""The background worker: runs jobs and writes streams until it is told to end."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue

import structlog

from datingtoday.app import Parts
from datingtoday.infra.db import LONG_ANSWER_S
from datingtoday.infra.jobs.leases import Leases
from datingtoday.infra.jobs.registry import Job
from datingtoday.infra.jobs.runner import JobRunner
from datingtoday.infra.jobs.status import HEARTBEAT, HEARTBEAT_S, JOB_ROWS
from datingtoday.infra.milliseconds import to_ms
from datingtoday.infra.pool_metrics import PoolGauge
from datingtoday.infra.stream_reader import StreamReader
from datingtoday.infra.tracing import wrapped_job
from datingtoday.protocol.metrics import count_push_events, count_stream_entries

log = structlog.get_logger(__name__)

STOP_S = 3.0
"""Time that jobs and batches in hand may take to come to their next commit after SIGTERM."""
_TIDY_S = 86_400
_HEAR_S = 0.5
"""A signal does not end a wait that it just precedes, or that another thread was interrupted for: after this time its
handler runs."""


class Worker:
    """One worker process; any number of them may run on any number of hosts."""

    def __init__(self, parts: Parts) -> None:
        base = parts.base
        base.database.answer_s = LONG_ANSWER_S
        self._base = base
        self.name = f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(4)}"
        lease_ms = to_ms(base.settings.worker.lease_s)
        leases = Leases(base.database, self.name, lease_ms=lease_ms)
        pool = PoolGauge(base.database, "worker")
        if base.settings.metrics.enabled:
            # In the embedded default an application was made before the fork.
            base.streams.observer = base.streams.observer or count_stream_entries
            base.realtime.observer = base.realtime.observer or count_push_events
        # A run of the heartbeat is its row.
        base.jobs.register(Job(HEARTBEAT, HEARTBEAT_S, lambda now: pool.update()))
        base.jobs.register(Job(JOB_ROWS, _TIDY_S, lambda now: leases.remove_unused()))
        tracing = base.tracing
        if tracing is not None:
            base.jobs.wrap(lambda name, run: wrapped_job(tracing, name, run))
        self._runner = JobRunner(base.jobs, leases, threads=base.settings.worker.threads)
        self._stopping = threading.Event()
        self._stop_requests = SimpleQueue[None]()
        """Not the event itself: setting it in a signal handler that interrupts the waiting for it waits for ever."""
        self._readers = [
            threading.Thread(
                target=StreamReader(base.streams, stream, self.name, idle_ms=lease_ms, tracing=tracing).run,
                args=(self._stopping,),
                name=f"stream {stream.name}",
                daemon=True,
            )
            for stream in base.streams.all()
        ]

    def run(self) -> bool:
        """Work until `stop`; returns whether everything that was begun came to its end.

        False: what is left behind goes on in this process's threads; the caller ends the process.
        """
        self._runner.start()
        for reader in self._readers:
            reader.start()
        log.info("worker_started", worker=self.name)
        self._wait_until_told()
        self._stopping.set()
        deadline = time.monotonic() + STOP_S
        is_done = self._runner.stop(STOP_S)
        for reader in self._readers:
            reader.join(max(0.0, deadline - time.monotonic()))
        is_done = is_done and not any(reader.is_alive() for reader in self._readers)
        self._base.flush()
        log.info("worker_stopped", worker=self.name, is_done=is_done)
        return is_done

    def _wait_until_told(self) -> None:
        while True:
            with suppress(Empty):
                return self._stop_requests.get(timeout=_HEAR_S)

    def stop(self) -> None:
        """Let `run` return soon; may be called from a signal handler."""
        self._stop_requests.put(None)


def run_until_told(parts: Parts) -> None:
    """Run a worker in this process until SIGTERM or, where it is not ignored, SIGINT; ends the process."""
    worker = Worker(parts)
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: worker.stop())
    if not worker.run():
        # Threads that hang would keep the interpreter from ending; what they had committed is on disk.
        os._exit(0)
