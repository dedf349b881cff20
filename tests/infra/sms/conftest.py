"""Every test here runs behind two guards: what is contacted, and what is written down."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from datingtoday.infra.sms import provider
from tests.infra.sms.vendors import Aliyun, Tencent, Vendor

PHONE = "+8618922986865"
CODE = "49302718"
_SENSITIVE = (PHONE.lstrip("+"), PHONE.removeprefix("+86"), CODE, *Aliyun.secrets, *Tencent.secrets)


class Contacts:
    """The ports on 127.0.0.1 that may be contacted, and attempts at anything else."""

    def __init__(self) -> None:
        self.allowed: set[int] = set()
        self.strayed: list[object] = []
        self.connects = 0

    def check(self, address: object) -> None:
        if not (isinstance(address, tuple) and address[0] == "127.0.0.1" and address[1] in self.allowed):
            self.strayed.append(address)
            raise ConnectionRefusedError("not in this test")


@pytest.fixture(autouse=True)
def contacts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Contacts]:
    """Refuse every connection and every name that a test has not allowed; fail the test if there was one."""
    found = Contacts()

    def guarded(original: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
        def connect(self: socket.socket, address: Any) -> Any:
            found.check(address)
            found.connects += 1
            return original(self, address)

        return connect

    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        found.check((host, port))
        return resolve(host, port, *args, **options)

    monkeypatch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield found
    assert found.strayed == []


@pytest.fixture(autouse=True)
def logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Any]]:
    """The structured log of the test. Afterwards: no number, code or secret in any log, on any level."""
    caplog.set_level(logging.DEBUG)
    # Another test of this process may have configured logging, and the module's logger remembers that.
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    monkeypatch.setattr(provider, "_log", structlog.get_logger())
    with structlog.testing.capture_logs() as events:
        yield events
    if before is not None:
        structlog.configure(**before)
    written = "".join([caplog.text, *capfd.readouterr(), *map(repr, events)])
    assert [secret for secret in _SENSITIVE if secret in written] == []


@pytest.fixture(params=[Aliyun, Tencent], ids=["aliyun", "tencent"])
def vendor(request: pytest.FixtureRequest, contacts: Contacts) -> Iterator[Vendor]:
    found: Vendor = request.param()
    contacts.allowed.add(found.stand_in.port)
    yield found
    found.stand_in.close()


@pytest.fixture
def aliyun(contacts: Contacts) -> Iterator[Aliyun]:
    found = Aliyun()
    contacts.allowed.add(found.stand_in.port)
    yield found
    found.stand_in.close()


@pytest.fixture
def tencent(contacts: Contacts) -> Iterator[Tencent]:
    found = Tencent()
    contacts.allowed.add(found.stand_in.port)
    yield found
    found.stand_in.close()
