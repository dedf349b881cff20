"""Processes beside the API workers that `datingtoday serve` forks and looks after: push and the background worker.

Each is forked from the parent once the application is made, so it shares the parent's memory. It ends with its parent,
however the parent ends, and is started again when it ends by itself.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

import structlog
from gunicorn.arbiter import Arbiter

from datingtoday.infra.server.embedded_redis import end_with_parent, name_process

log = structlog.get_logger(__name__)

STOP_S = 5.0
"""Time that a process may take to end after SIGTERM, before it is killed."""
MIN_PAUSE_S = 0.5
MAX_PAUSE_S = 30.0
"""Pauses before a process is started again: they double while it keeps ending within `STEADY_S`."""
STEADY_S = 60.0
_POLL_S = 0.02


class ChildProcess:
    """A process to fork.

    :param name: up to 15 ASCII characters, as process lists show it; by convention ``dt-…``.
    :param run: what the child does; it returns after SIGTERM. Heavy imports belong in here, not into the parent. SIGINT
        is ignored: Ctrl-C reaches every process of a terminal, and the parent tells the children when to end.
    """

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self.name = name
        self.run = run
        self.pid: int | None = None
        self._started_at = 0.0
        self._not_before = 0.0
        self._pause_s = MIN_PAUSE_S


class ChildProcesses:
    """Starts, restarts and stops children. Only for the parent's main thread, while it has no others.

    :param in_child: called in every child right after its fork.
    """

    def __init__(self, children: Sequence[ChildProcess], *, in_child: Callable[[], None]) -> None:
        self._children = tuple(children)
        self._in_child = in_child
        self._owner_pid = os.getpid()
        self._is_stopping = False

    def tend(self) -> None:
        """Start what does not run. To be called about once a second, and after the end of any child."""
        if self._is_stopping or os.getpid() != self._owner_pid:
            return
        for child in self._children:
            if child.pid is not None and _has_ended(child.pid):
                self._note_end(child)
            if child.pid is None and time.monotonic() >= child._not_before:
                self._fork(child)

    def request_stop(self) -> None:
        """Send SIGTERM to all; `stop` waits for them."""
        if os.getpid() != self._owner_pid:
            return
        self._is_stopping = True
        for child in self._running():
            _send(child.pid, signal.SIGTERM)

    def stop(self) -> None:
        """End all: those that do not end within `STOP_S` are killed. Does nothing in a forked child."""
        if os.getpid() != self._owner_pid:
            return
        self.request_stop()
        deadline = time.monotonic() + STOP_S
        while self._running() and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        for child in self._running():
            log.warning("child_process_killed", name=child.name, pid=child.pid)
            _send(child.pid, signal.SIGKILL)

    def _running(self) -> list[ChildProcess]:
        for child in self._children:
            if child.pid is not None and _has_ended(child.pid):
                child.pid = None
        return [child for child in self._children if child.pid is not None]

    @staticmethod
    def _note_end(child: ChildProcess) -> None:
        now = time.monotonic()
        is_steady = now - child._started_at >= STEADY_S
        child._pause_s = MIN_PAUSE_S if is_steady else min(2 * child._pause_s, MAX_PAUSE_S)
        child._not_before = now + child._pause_s
        log.error("child_process_ended", name=child.name, pid=child.pid, restart_in_s=child._pause_s)
        child.pid = None

    def _fork(self, child: ChildProcess) -> None:
        parent_pid = os.getpid()
        child._started_at = time.monotonic()
        pid = os.fork()
        if pid:
            child.pid = pid
            return
        code = 1
        try:
            self._prepare(child, parent_pid)
            child.run()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            log.exception("child_process_failed", name=child.name)
        finally:
            # Nothing of what the parent has built up may be unwound here.
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(code)

    def _prepare(self, child: ChildProcess, parent_pid: int) -> None:
        # gunicorn's handlers only note a signal for the parent's loop.
        for number in Arbiter.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # An orphan would go on with a database and a Redis that the next start owns.
        end_with_parent(parent_pid, signal.SIGKILL)
        name_process(child.name)
        self._in_child()


def _has_ended(pid: int) -> bool:
    """True if a child has ended; it is reaped here, unless gunicorn was faster."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _send(pid: int | None, number: int) -> None:
    if pid is None:
        return
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        log.debug("child_process_gone", pid=pid)
