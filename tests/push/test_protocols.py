"""The connections' limits that the operating system keeps."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from uvicorn.server import ServerState

from datingtoday.push.protocols import PushHttp
from tests.plugins.polling import wait_until


def test_a_client_that_is_gone_is_given_up_by_the_system() -> None:
    """A phone out of reach acknowledges nothing: what was sent to it must not wait for the quarter of an hour that TCP
    would try.
    """

    async def ask_about_a_connection() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        config = uvicorn.Config(lambda: None, log_config=None)
        config.load()
        made: list[PushHttp] = []

        def make() -> PushHttp:
            made.append(PushHttp(config, ServerState(), {}))
            return made[-1]

        server = await loop.create_server(make, "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()):
            await asyncio.to_thread(wait_until, lambda: made and made[0].transport, "the connection")
            accepted = made[0].transport.get_extra_info("socket")
            told = (
                accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
                accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            )
            made[0].transport.abort()
        server.close()
        return told

    timeout_ms, keeps_alive = asyncio.run(ask_about_a_connection())
    assert (timeout_ms, keeps_alive) == (20_000, 1)
