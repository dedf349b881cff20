"""gunicorn's worker of threads, in which a connection takes a thread only once there is something to read.

gunicorn's own waits for the first bytes of a new connection in a thread, for up to five seconds: a few hundred
connections that send nothing would keep everybody else out. Here they wait where kept-alive ones do, in the poller.
"""

from __future__ import annotations

import errno
import resource
import socket
import time
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

_MAX_CONNECTIONS = 8_000
"""Limit of one worker; each connection costs a few kilobytes."""
_OTHER_FILES = 256
"""Descriptors left for everything else."""


class PollingWorker(ThreadWorker):
    """Idle connections cost a descriptor, and no thread."""

    def accept(self, listener: socket.socket) -> None:
        """Take one connection and wait for its first bytes without a thread."""
        try:
            client, address = listener.accept()
        except OSError as error:
            # None is waiting any more, or no descriptor is free: others end soon.
            if error.errno not in (
                errno.EAGAIN,
                errno.ECONNABORTED,
                errno.EWOULDBLOCK,
                errno.EMFILE,
                errno.ENFILE,
            ):
                raise
            return
        self.nr_conns += 1
        client.setblocking(False)
        connection: Any = TConn(self.cfg, client, address, listener.getsockname())
        connection.timeout = time.monotonic() + self.cfg.keepalive
        self.pending_conns.append(connection)
        self.poller.register(client, EVENT_READ, partial(self.on_pending_socket_readable, connection))

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)  # type: ignore[misc]
        pending: Any = self.pending_conns
        for connection in pending:
            connection.timeout = min(connection.timeout, deadline)


def max_connections() -> int:
    """Number of connections a worker may hold, after raising this process's limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_CONNECTIONS + _OTHER_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(100, min(_MAX_CONNECTIONS, soft - _OTHER_FILES))
