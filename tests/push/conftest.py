"""Push processes, and clients that record what they receive.

Fixtures:

    pushes      two push processes on the shared backend of a worker, for tests that only use them
    connect     makes a recording Python client of a user: ``connect(user)``, ``connect(user, pushes[1])``
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import socketio

from tests.plugins.api import Api, User, make_api
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.push.event_contract import EventContract
from tests.push.push_process import PushProcess

PATH = "/socket.io"


class Client:
    """The official Python client of one device, with everything that it received."""

    def __init__(self, api: Api, user: User, url: str, **auth: Any) -> None:
        self._api = api
        self._auth = auth
        self.user = user
        self.events: list[tuple[str, Any]] = []
        self.refusals: list[Any] = []
        self.disconnected = threading.Event()
        self.sio = socketio.Client(reconnection=False, logger=False, handle_sigint=False)
        self.sio.on("*", lambda name, *data: self.events.append((name, data[0] if data else None)))
        self.sio.on("connect_error", self.refusals.append)
        self.sio.on("disconnect", lambda *_: self.disconnected.set())
        self.url = url
        self._websocket: Any = None

    def connect(self) -> Client:
        """:raises socketio.exceptions.ConnectionError: refused."""
        try:
            self.sio.connect(self.url, transports=["websocket"], auth=self.auth, wait_timeout=10)
        finally:
            self._websocket = self.sio.eio.ws
        return self

    def auth(self) -> dict[str, Any]:
        """Made anew for each attempt."""
        return self._api.params("GET", PATH, {}, user=self.user) | self._auth

    def wait_for(self, name: str, count: int = 1, deadline_s: float = 5) -> list[Any]:
        """The payloads of an event, once there are so many."""
        return wait_until(
            lambda: found if len(found := self.of(name)) >= count else [],
            f"{count} {name}; received: {self.events}",
            deadline_s=deadline_s,
        )

    def of(self, name: str) -> list[Any]:
        return [payload for event, payload in self.events if event == name]

    def close(self) -> None:
        """Also holds what was received against the AsyncAPI document; `probe` is the tests' own event."""
        self.sio.disconnect()
        if self._websocket is not None:
            # The client leaves it open where the server has ended it.
            self._websocket.shutdown()
        document = self._api.app.test_client().get("/asyncapi.json").get_json()
        contract = EventContract(document)
        for name, payload in self.events:
            if name != "probe":
                contract.check(name, payload)


Connect = Callable[..., Client]


@pytest.fixture(scope="session")
def _push_api(shared_backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    api = make_api(shared_backend, tmp_path_factory.mktemp("data"), LIMITS_ENABLED=0)
    yield api
    api.parts.base.close()


@pytest.fixture
def api(_push_api: Api) -> Api:
    """Without limits: a device more is a code more to the same number."""
    return Api(_push_api.app, _push_api.sms)


@pytest.fixture(scope="session")
def pushes(
    shared_backend: Backend, _push_api: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[PushProcess]]:
    folder = tmp_path_factory.mktemp("push")
    started = [PushProcess(shared_backend, folder).start() for _ in range(2)]
    try:
        yield [push.wait_until_ready() for push in started]
    finally:
        for push in started:
            push.close()


@pytest.fixture
def connect(api: Api, pushes: list[PushProcess]) -> Iterator[Connect]:
    clients: list[Client] = []

    def make(user: User, push: PushProcess | None = None, **auth: Any) -> Client:
        client = Client(api, user, (push or pushes[0]).url, **auth)
        clients.append(client)
        return client.connect()

    yield make
    for client in clients:
        client.close()
