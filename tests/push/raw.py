"""WebSockets without a Socket.IO client: many of them, slow ones, and ones that break the rules."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import socket
from collections.abc import Callable
from typing import Any


class RawSocket:
    """A WebSocket at the level of bytes; reads only when it is told to."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self.sock = socket.socket()
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(20)
        self.sock.connect(("127.0.0.1", port))

    def upgrade(self, path: str = "/socket.io/?EIO=4&transport=websocket") -> int:
        """Open the WebSocket; the status of the answer."""
        self.sock.sendall(head(path))
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = self.sock.recv(1)
            if not part:
                break
            answer += part
        return int(answer.split(b" ")[1]) if answer else 0

    def send(self, text: str) -> None:
        self.sock.sendall(frame(text.encode()))

    def connect(self, auth: dict[str, Any]) -> None:
        """Authenticate, and read until the answer is there."""
        self.send("40" + json.dumps(auth))
        received = b""
        while b"40{" not in received and b"44{" not in received:
            received += self.sock.recv(4096)
        assert b"40{" in received, received

    def wait_for_end(self) -> bool:
        """Read until the other side ends the connection; False if it did not within 20 s."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self.sock.close()


def head(path: str) -> bytes:
    """The request that opens a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def frame(payload: bytes, opcode: int = 1, *, fin: bool = True) -> bytes:
    """A masked frame."""
    first = bytes([(0x80 if fin else 0) | opcode])
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return first + length + bytes(4) + payload


class AsyncDevice:
    """A minimal client for tests with hundreds of connections in one process; counts what it receives."""

    def __init__(self, port: int, auth: Callable[[], dict[str, Any]]) -> None:
        self._port = port
        self._auth = auth
        self.received: list[str] = []
        self.has_received = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """:raises ConnectionError: refused."""
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(head("/socket.io/?EIO=4&transport=websocket"))
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in answer:
            raise ConnectionError(answer)
        await self._text(reader)
        self._writer.write(frame(("40" + json.dumps(self._auth())).encode()))
        answer_text = await self._text(reader)
        if not answer_text.startswith("40"):
            self._writer.close()
            raise ConnectionError(answer_text)
        self._reading = asyncio.create_task(self._read(reader))

    async def connect_as_documented(self) -> None:
        """Like a client of docs/push.md: a refusal with 503 is followed by another attempt after about a second."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await self.connect()
            except ConnectionError as error:
                if '"code":503' not in str(error):
                    raise
            pause = loop.create_future()
            loop.call_later(random.uniform(0.5, 1.5), pause.set_result, None)
            await pause

    async def _read(self, reader: asyncio.StreamReader) -> None:
        assert self._writer is not None
        while True:
            text = await self._text(reader)
            if text == "2":
                self._writer.write(frame(b"3"))
            else:
                self.receive(text)

    def receive(self, text: str) -> None:
        self.received.append(text)
        self.has_received.set()

    @staticmethod
    async def _text(reader: asyncio.StreamReader) -> str:
        _, size = await reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await reader.readexactly(8), "big")
        return (await reader.readexactly(size)).decode(errors="replace")

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
