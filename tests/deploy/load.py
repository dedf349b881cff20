"""People who use the API without a pause, and note every answer that is not a success."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from tests.blackbox.client import Client, Login
from tests.deploy.stack import Stack


class Load:
    """Threads with a connection each that read the hot list and write messages in turn; a context manager."""

    def __init__(self, stack: Stack, pairs: list[tuple[Login, Login]]) -> None:
        self.failures: list[Any] = []
        self.answered = 0
        self.slowest_s = 0.0
        self.sent: list[int] = []
        """Ids of the messages that were answered with success."""
        self._stack = stack
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._use, args=(number, *pair)) for number, pair in enumerate(pairs)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _use(self, number: int, me: Login, peer: Login) -> None:
        with closing(self._stack.client()) as client:
            self._use_until_stopped(client, number, me, peer)

    def _use_until_stopped(self, client: Client, number: int, me: Login, peer: Login) -> None:
        turn = 0
        while not self._stop.is_set():
            turn += 1
            words = {
                "peerId": peer.user_id,
                "type": "text",
                "clientId": f"{number}-{turn}",
                "content": f"第{turn}条",
            }
            self._note(lambda: client.call("GET", "/api/user/hot/list", me, page=1))
            sent = self._note(lambda words=words: client.call("POST", "/api/message/send", me, **words))  # type: ignore[misc]
            if sent is not None:
                with self._lock:
                    self.sent.append(sent["message_id"])

    def _note(self, request: Callable[[], Any]) -> Any:
        begun = time.monotonic()
        try:
            answer = request()
        except Exception as error:
            answer = {"status": repr(error), "code": None}
        took_s = time.monotonic() - begun
        with self._lock:
            self.answered += 1
            self.slowest_s = max(self.slowest_s, took_s)
            if (answer["status"], answer["code"]) != (200, 0):
                self.failures.append(answer)
                return None
        return answer.get("data")
