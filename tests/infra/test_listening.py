"""Listening sockets: the next free port, and what stands in the way."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from datingtoday.infra.server.listening import PortTaken, listen, listen_from
from tests.plugins.processes import Port

HERE = "127.0.0.1"


@pytest.fixture
def taken() -> Iterator[int]:
    port = Port()
    with socket.create_server((HERE, port.number)):
        yield port.number
    port.release()


def test_clients_can_connect_before_anybody_accepts() -> None:
    with listen(HERE, 0) as listener:
        clients = [socket.create_connection(listener.getsockname(), timeout=10) for _ in range(200)]
        for client in clients:
            client.close()


def test_a_port_can_be_used_again_at_once() -> None:
    """The end of a server leaves connections in TIME_WAIT."""
    listener = listen(HERE, 0)
    address = listener.getsockname()
    client = socket.create_connection(address, timeout=10)
    accepted, _ = listener.accept()
    listener.close()
    accepted.close()
    client.close()
    with listen(*address) as again:
        assert again.getsockname() == address


@pytest.mark.filterwarnings("error")
def test_a_taken_port(taken: int) -> None:
    with pytest.raises(PortTaken, match="Address already in use"):
        listen(HERE, taken)
    with pytest.raises(PortTaken):
        listen_from(HERE, taken, tries=1)
    with listen_from(HERE, taken, tries=20) as listener:
        assert taken < listener.getsockname()[1] < taken + 20


def test_so_many_ports_are_tried() -> None:
    for _ in range(20):
        with socket.create_server((HERE, 0)) as first:
            number = first.getsockname()[1]
            try:
                second = socket.create_server((HERE, number + 1))
            except OSError:
                continue
            with second, pytest.raises(PortTaken):
                listen_from(HERE, number, tries=2)
            return
    pytest.fail("no two free ports side by side")


def test_the_last_port_is_tried_and_none_beyond_it() -> None:
    with listen_from(HERE, 65535, tries=3) as listener:
        assert listener.getsockname()[1] == 65535
        with pytest.raises(PortTaken):
            listen_from(HERE, 65535, tries=3)


def test_hosts_that_are_not_of_this_machine() -> None:
    with pytest.raises(socket.gaierror):
        listen("no-such-host.invalid", 0)
    with pytest.raises(OSError, match="assign requested address") as refused:
        listen("192.0.2.1", 0)
    assert not isinstance(refused.value, PortTaken)
