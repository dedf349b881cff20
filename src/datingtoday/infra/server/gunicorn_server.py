"""gunicorn as DatingToday runs it: settings from ours, logs as JSON, and workers that end with their parent.

A production setup starts gunicorn by itself (`gunicorn datingtoday.wsgi:application`) with the settings of
`cli/deploying/templates/gunicorn.conf.py.j2`; `wsgi` calls `answer_errors_in_json`.
"""

import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gunicorn.util
import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from datingtoday.infra.config.settings import Settings
from datingtoday.infra.server.child_processes import ChildProcess, ChildProcesses
from datingtoday.infra.server.embedded_redis import end_with_parent
from datingtoday.infra.server.garbage_collector import settle_collector
from datingtoday.infra.server.gunicorn_log import JsonLog
from datingtoday.infra.server.idle_connections import PollingWorker, max_connections

log = structlog.get_logger(__name__)

GRACE_S = 15
"""Time for which a worker may finish its requests after SIGTERM."""


def answer_errors_in_json() -> None:
    """Let gunicorn answer what it refuses itself (no HTTP at all, headers too long) in the form of every answer."""
    gunicorn.util.write_error = _write_error


def _write_error(sock: socket.socket, status_int: int, reason: str, mesg: str) -> None:
    # `mesg` may quote the request: it is not sent back.
    body = f'{{"code":{int(status_int)},"msg":"{reason}"}}'.encode("ascii", errors="replace")
    head = (
        f"HTTP/1.1 {status_int} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"X-Request-Id: {secrets.token_hex(16)}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    gunicorn.util.write_nonblock(sock, head.encode("ascii", errors="replace") + body)


@dataclass(frozen=True, slots=True)
class ServerHooks:
    """Hooks of the server.

    :param on_ready: in its parent process, when requests are accepted.
    :param on_tick: in the parent, about once a second, and soon after the end of any child.
    :param in_child: in every worker and every other child, right after its fork.
    :param on_worker_exit: in every worker that ends in order, before it is gone.
    """

    on_ready: Callable[[], None]
    on_tick: Callable[[], None]
    in_child: Callable[[], None]
    on_worker_exit: Callable[[], None]


class HttpServer(BaseApplication):
    """Serves one WSGI application on one listening socket until SIGTERM, SIGINT or SIGHUP.

    :param listener: bound and listening; it is taken over.
    :param children: processes beside the workers, which run as long as this one.
    """

    def __init__(
        self,
        application: Callable[..., Any],
        settings: Settings,
        listener: socket.socket,
        hooks: ServerHooks,
        children: Sequence[ChildProcess] = (),
    ) -> None:
        self._application = application
        self._settings = settings
        self._listener_fd = listener.detach()
        self.hooks = hooks
        self.children = ChildProcesses(children, in_child=self._prepare_child)
        self.outlives_terminal = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        """Started by nohup."""
        self._arbiter: Arbiter | None = None
        super().__init__()

    def load_config(self) -> None:
        server = self._settings.server
        pid = os.getpid()

        def ignore_ctrl_c(worker: Worker) -> None:
            # Ctrl-C reaches every process of the terminal; the parent tells the workers when to go, and they
            # finish what they have begun.
            signal.signal(signal.SIGINT, signal.SIG_IGN)

        def after_fork(arbiter: Arbiter, worker: Worker) -> None:
            # The parent's handlers only note a signal for its loop; here it would be lost until the worker has
            # its own.
            for number in Arbiter.SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            ignore_ctrl_c(worker)
            self.hooks.in_child()
            # Not even a worker that hangs may outlive the parent; what it had committed is on disk.
            end_with_parent(pid, signal.SIGKILL)

        def when_ready(arbiter: Arbiter) -> None:
            self.hooks.on_ready()

        options: dict[str, Any] = {
            "bind": [f"fd://{self._listener_fd}"],
            "workers": server.workers,
            "worker_class": PollingWorker if server.worker_class == "gthread" else server.worker_class,
            "worker_connections": max_connections(),
            "threads": server.threads if server.worker_class == "gthread" else 1,
            "preload_app": True,
            "timeout": 60,
            "graceful_timeout": GRACE_S,
            "keepalive": 5,
            "limit_request_line": 8190,
            "forwarded_allow_ips": ",".join(server.trusted_proxies),
            "control_socket_disable": True,
            # A heartbeat must not wait for a disk.
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108
            "logger_class": JsonLog,
            # Starting and stopping is told by the command; what goes wrong is logged.
            "loglevel": "debug" if self._settings.log.level == "debug" else "warning",
            "post_fork": after_fork,
            "post_worker_init": ignore_ctrl_c,
            "when_ready": when_ready,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def _prepare_child(self) -> None:
        self.hooks.in_child()
        # The port is free once the parent and its workers are gone.
        for listener in self._arbiter.LISTENERS if self._arbiter is not None else ():
            listener.close()

    def load(self) -> Callable[..., Any]:
        return self._application

    def run(self) -> None:
        """Serve; ends with SystemExit, whose code is 0 after an orderly stop. Does not return in the workers."""
        answer_errors_in_json()
        settle_collector()
        self._arbiter = _Arbiter(self)
        self._arbiter.run()


class _Arbiter(Arbiter):
    """gunicorn's parent process, bound to the terminal and the data folder that it was started with."""

    app: HttpServer

    def spawn_worker(self) -> int:
        parent_pid = os.getpid()
        try:
            return super().spawn_worker()
        except SystemExit as error:
            if os.getpid() == parent_pid:
                raise
            # A worker is done here. It must not unwind what the parent has built up to this point, and taking
            # the interpreter down in order costs each worker half a second and gives nothing back.
            try:
                self.app.hooks.on_worker_exit()
            except Exception:
                log.exception("worker_exit_failed")
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(error.code if isinstance(error.code, int) else 1)

    def stop(self, graceful: bool = True) -> None:
        self.app.children.request_stop()
        super().stop(graceful)

    def manage_workers(self) -> None:
        super().manage_workers()
        self.app.hooks.on_tick()
        self.app.children.tend()

    def handle_int(self) -> None:
        """Ctrl-C: in order, like SIGTERM. A second one is in a hurry (gunicorn's own rule)."""
        self.handle_term()

    def handle_hup(self) -> None:
        """The terminal was closed."""
        if not self.app.outlives_terminal:
            self.handle_term()

    def handle_usr2(self) -> None:
        """Not for us: a second parent cannot have the same data folder."""
        log.warning("signal_ignored", signal="SIGUSR2")
