"""Limits of a connection and of a push process, each at its last value allowed and one beyond."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from datingtoday.protocol.errors import ParameterError
from datingtoday.push.admission import Busy, Workers, auth_params
from datingtoday.push.connections import Connection, EventPacket
from datingtoday.push.registry import Entry
from datingtoday.push.typing_events import TypingEvents
from tests.plugins.api import Api

NOBODY = 2_000_000_000


class Transport(asyncio.Transport):
    """Remembers being cut off."""

    aborted = False

    def abort(self) -> None:
        self.aborted = True


class Engine:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()


def connection_of(user_id: int = 1) -> tuple[Connection, Transport]:
    transport = Transport()
    return Connection(Entry(user_id, "c", 0), 1, "s", Engine(), transport), transport


def test_typing_reaches_fifty_people_in_two_seconds_and_each_once(api: Api) -> None:
    user = api.new_user()
    typing = TypingEvents(api.parts.chat.typing, api.parts.base.database, api.parts.base.realtime)
    connection, _ = connection_of(user.user_id)
    workers, loop = Workers(), asyncio.new_event_loop()
    now = 1000.0
    loop.time = lambda: now  # type: ignore[method-assign]

    def code_of(peer_id: int) -> int:
        answer = loop.run_until_complete(typing.receive(connection, [{"peerId": peer_id}], workers))
        return int(answer["code"])

    try:
        # Nobody has these ids: let through, they are "not accepted by the other side".
        assert {code_of(NOBODY + number) for number in range(50)} == {1401}
        assert code_of(NOBODY + 50) == 429
        now += 1.99
        assert code_of(NOBODY) == code_of(NOBODY + 50) == 429
        now += 0.01
        assert code_of(NOBODY) == code_of(NOBODY + 50) == 1401
        assert code_of(NOBODY) == 429
    finally:
        workers.close()
        loop.close()


@pytest.mark.parametrize("is_open", [True, False])
def test_a_hundred_packets_wait_for_a_client_and_one_more_cuts_it_off(is_open: bool) -> None:
    connection, transport = connection_of()
    if is_open:
        connection.open()
    packet = EventPacket("x", b"{}")
    assert all(connection.send(packet) for _ in range(100))
    assert not transport.aborted
    assert not connection.send(packet)
    assert transport.aborted


def test_work_beyond_threads_and_places_to_wait_is_refused_until_a_place_is_free() -> None:
    go_on = threading.Event()
    workers = Workers(threads=2, max_waiting=3)

    async def refused() -> list[bool]:
        tasks = [asyncio.ensure_future(workers.run("typing", lambda: go_on.wait(60))) for _ in range(6)]
        # After all six have asked.
        asyncio.get_running_loop().call_soon(go_on.set)
        first = await asyncio.gather(*tasks, return_exceptions=True)
        later = [workers.run("typing", lambda: True) for _ in range(6)]
        again = await asyncio.gather(*later, return_exceptions=True)
        return [isinstance(it, Busy) for it in (*first, *again)]

    try:
        assert asyncio.run(refused()) == ([False] * 5 + [True]) * 2
    finally:
        workers.close()


def test_a_value_of_the_auth_object_has_at_most_1024_characters() -> None:
    assert auth_params({"token": "x" * 1024}) == {"token": "x" * 1024}
    with pytest.raises(ParameterError):
        auth_params({"token": "x" * 1025})
