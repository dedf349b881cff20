"""Listening sockets of the server's processes."""

from __future__ import annotations

import contextlib
import errno
import os
import socket

MAX_PORT = 65535
_BACKLOG = 2048
"""Connections that the system holds until a process accepts them."""


class PortTaken(OSError):
    """Another socket listens on this port."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    :raises PortTaken: :raises OSError: the host is unknown, not of this machine, or the port is not ours to use.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
        listener.bind(address)
        # Listening at once: until then another process could bind the same port.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(error.errno, os.strerror(error.errno)) from None
        raise
    return listener


def listen_from(host: str, wanted: int, *, tries: int) -> socket.socket:
    """A socket that listens on the first free port of so many from the wanted one on.

    :raises PortTaken: none is free. :raises OSError: as `listen`.
    """
    for port in range(wanted, min(wanted + tries, MAX_PORT + 1)):
        with contextlib.suppress(PortTaken):
            return listen(host, port)
    raise PortTaken(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
