"""Devices that are connected to push, and connect again whatever happens to it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from typing import Any

import socketio.exceptions

from tests.plugins.api import Api, User
from tests.push.conftest import Client

_PAUSE_S = 0.2


class Listener:
    """One device of a user; keeps what was pushed to it.

    :param urls: of the push processes, tried in turn.
    """

    def __init__(self, api: Api, user: User, urls: Sequence[str], ended: threading.Event) -> None:
        self.user_id = user.user_id
        self._kept: list[tuple[str, Any]] = []
        self._client: Client | None = None
        self._api, self._user, self._ended = api, user, ended
        self._urls = itertools.cycle(urls)

    @property
    def pushed(self) -> list[tuple[str, Any]]:
        """Name and payload of everything that came."""
        client = self._client
        return [*self._kept, *(client.events if client is not None else ())]

    def run(self) -> None:
        """Listen until it is over."""
        for url in self._urls:
            if self._ended.is_set():
                return
            client = self._client = Client(self._api, self._user, url)
            try:
                client.connect()
                while not (self._ended.is_set() or client.disconnected.wait(_PAUSE_S)):
                    pass
            except socketio.exceptions.ConnectionError:
                # The process is away, or what it asks is.
                self._ended.wait(_PAUSE_S)
            finally:
                client.close()
                self._client = None
                self._kept += client.events
