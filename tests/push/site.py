"""One connection to an ASGI application, over the protocols of push, without a network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from datingtoday.push.protocols import PushHttp, PushWebSocket
from tests.push.raw import head
from tests.push.skipping_time import Wire, wait


class Site:
    """The connection; what the application received, and the scope that it was given.

    :param app: by default one that accepts and records.
    :param config: of another server.
    """

    def __init__(self, app: Any = None, config: uvicorn.Config | None = None) -> None:
        self.received: list[Any] = []
        self.scope: dict[str, Any] = {}
        self.state = ServerState()
        self._config = config or uvicorn.Config(
            app or self._serve,
            ws=PushWebSocket,
            http=PushHttp,
            log_config=None,
            ws_max_size=16_384,
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            lifespan="off",
            interface="asgi3",
        )
        self._config.load()
        self.wire = Wire()
        self.begin()

    def begin(self) -> None:
        """The connection is made, on ``wire``."""
        self.http = PushHttp(self._config, self.state, {})
        self.protocol: PushHttp | PushWebSocket = self.http
        self.wire.set_protocol = self._switch  # type: ignore[method-assign]
        self.http.connection_made(self.wire)

    def _switch(self, protocol: Any) -> None:
        self.protocol = protocol

    async def _serve(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        self.scope = scope
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while True:
            self.received.append(await receive())

    async def open(self) -> PushWebSocket:
        """Open the WebSocket, and forget what the server wrote for it."""
        self.protocol.data_received(head("/socket.io/?EIO=4&transport=websocket"))
        await wait(0.01)
        answer, end, rest = self.wire.written.partition(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 ") and end
        self.wire.written = rest
        assert isinstance(self.protocol, PushWebSocket)
        return self.protocol
