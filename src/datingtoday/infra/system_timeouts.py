"""Timeouts of connections to Redis and to SQL, kept by the operating system instead of Python.

Saves two calls of `poll()` a round trip: docs/decisions/speed-tricks.md.
"""

from __future__ import annotations

import _socket
import socket
import ssl
import struct
from typing import Any


def let_system_time(connection: Any, timeout_s: float) -> bool:
    """Let the operating system end a send or receive that takes too long; False where Python has to.

    Python would poll the socket before each of them, and let another thread run in between.
    """
    sock = connection._sock
    if isinstance(sock, ssl.SSLSocket) or not isinstance(sock, _socket.socket):
        # TLS needs to know which of the two it waits for; gevent's sockets never wait in the system.
        return False
    seconds, rest = divmod(timeout_s, 1)
    span = struct.pack("@ll", int(seconds), int(rest * 1e6))
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, span)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, span)
    return True
