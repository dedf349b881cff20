"""Connections of test clients to a server: signed requests, and a proxy that drops connections."""

from __future__ import annotations

import hashlib
import random
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import requests

from tests.plugins.api import User, md5_sign

Request = Callable[[str, str, dict[str, Any]], dict[str, Any]]
FILE = "file"
"""A parameter that is not signed: the bytes to upload."""
_RESET = struct.pack("ii", 1, 0)


def requester(url: str, user: User, appkey: str, appsecret: str, *, timeout_s: float = 20) -> Request:
    """``request(method, path, parameters)`` as docs/chat.md wants it: signs anew, sends once."""
    http = requests.Session()
    http.trust_env = False
    offset_ms = 0

    def request(method: str, path: str, parameters: dict[str, Any]) -> dict[str, Any]:
        nonlocal offset_ms
        file = parameters.get(FILE)
        params = {name: str(value) for name, value in parameters.items() if name != FILE} | {
            "appkey": appkey,
            "timestamp": str(time.time_ns() // 1_000_000 + offset_ms),
            "nonce": secrets.token_hex(12),
            "userId": str(user.user_id),
            "token": user.token,
        }
        params["sign"] = md5_sign(params, appsecret)
        where = {"params": params} if method == "GET" else {"data": params}
        files = None if file is None else {"file": ("f", file)}
        response = http.request(method, url + path, timeout=timeout_s, files=files, **where)  # type: ignore[arg-type]
        if response.status_code in (500, 502, 504):
            raise OSError(f"HTTP {response.status_code}")
        try:
            answer: dict[str, Any] = response.json()
        except ValueError as error:
            raise OSError("not an answer of ours") from error
        if answer["code"] == 1001:
            offset_ms = answer["data"]["server_time"] - time.time_ns() // 1_000_000
        return answer

    return request


def upload(request: Request, kind: str, content: bytes) -> str:
    """Upload until it is stored, as often as that takes; the media id."""
    while True:
        try:
            answer = request(
                "POST",
                "/api/media/upload",
                {"kind": kind, "fileSha256": hashlib.sha256(content).hexdigest(), FILE: content},
            )
        except OSError:
            continue
        if answer["code"] == 0:
            return str(answer["data"]["media_id"])
        # 429: an upload whose answer was lost is still being worked on.
        assert answer["code"] in (429, 503, 1001), answer
        threading.Event().wait(0.3)


class DroppingProxy:
    """A TCP proxy that resets all its connections every now and then, and some the moment an answer comes back.

    :param every_s: the longest time between the first drops. :param answers_lost: share of answers that are dropped.
    """

    def __init__(self, port: int, *, every_s: float, answers_lost: float, seed: int) -> None:
        self._target = port
        self._every_s = every_s
        self._answers_lost = answers_lost
        self._random = random.Random(seed)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.drops = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        threading.Thread(target=self._drop_now_and_then, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._ended.set()
        # Wakes the thread that accepts; closing alone does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        self._drop(list(self._open))

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            for source, sink, answers in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(source, sink, answers), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(65536):
                if answers and self._random.random() < self._answers_lost:
                    self.drops += 1
                    break
                sink.sendall(data)
        except OSError:
            # The other thread has dropped it.
            pass
        self._drop([source, sink])

    def _drop_now_and_then(self) -> None:
        longest_s = self._every_s
        while not self._ended.wait(self._random.uniform(0.3, 1) * longest_s):
            # Longer and longer: on a machine so slow that a request takes longer, the client would never end.
            longest_s = min(longest_s * 1.1, 4 * self._every_s)
            with self._lock:
                some = list(self._open)
            self.drops += len(some) // 2
            self._drop(some)

    def _drop(self, some: list[socket.socket]) -> None:
        for one in some:
            with self._lock:
                self._open.discard(one)
            try:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                # The other end was quicker.
                pass
            one.close()
