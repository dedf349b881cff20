"""Timeouts that the operating system keeps: the time that was asked for, and only on sockets that allow it."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from datingtoday.infra.system_timeouts import let_system_time


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    here, there = socket.socketpair()
    here.settimeout(30)
    yield here
    here.close()
    there.close()


def kept(sock: socket.socket, option: int) -> tuple[Any, ...]:
    return struct.unpack("@ll", sock.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("@ll")))


@pytest.mark.parametrize(
    ("timeout_s", "span"), [(0.3, (0, 300_000)), (1.0, (1, 0)), (2.5, (2, 500_000)), (10, (10, 0))]
)
def test_both_directions_end_after_this_time(
    sock: socket.socket, timeout_s: float, span: tuple[int, int]
) -> None:
    assert let_system_time(SimpleNamespace(_sock=sock), timeout_s) is True
    assert kept(sock, socket.SO_RCVTIMEO) == kept(sock, socket.SO_SNDTIMEO) == span
    assert sock.gettimeout() is None, "Python does not ask before each of them"


def test_a_read_that_takes_too_long_ends(sock: socket.socket) -> None:
    let_system_time(SimpleNamespace(_sock=sock), 0.1)
    with pytest.raises(BlockingIOError):
        sock.recv(1)


@pytest.mark.parametrize("other", [ssl.SSLSocket.__new__(ssl.SSLSocket), object()])
def test_others_are_left_to_python(other: Any) -> None:
    assert let_system_time(SimpleNamespace(_sock=other), 1.0) is False
