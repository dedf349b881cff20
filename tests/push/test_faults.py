"""Faults: Redis and processes that go, clients that do not behave."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from datingtoday.infra.realtime import PushEvent
from tests.plugins.api import Api, User
from tests.plugins.backend import Backend, new_folder
from tests.plugins.polling import wait_until
from tests.profiles.factories import make_user
from tests.push.conftest import Client, Connect
from tests.push.push_process import PushProcess
from tests.push.raw import AsyncDevice, RawSocket, frame

Start = Callable[..., PushProcess]


def auth_of(api: Api, user: User) -> dict[str, str]:
    return api.params("GET", "/socket.io", {}, user=user)


def memory_kib(push: PushProcess) -> int:
    """Memory that the process alone holds."""
    assert push.process is not None
    text = Path(f"/proc/{push.process.pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))


@pytest.fixture
def start(shared_backend: Backend, run_folder: Path) -> Iterator[Start]:
    """Starts a push process of the test's own."""
    started: list[PushProcess] = []

    def make(backend: Backend | None = None, **settings: str) -> PushProcess:
        push = PushProcess(backend or shared_backend, new_folder(run_folder, "push"), **settings)
        started.append(push)
        return push.start().wait_until_ready()

    yield make
    for push in started:
        push.close()


def end_unannounced(api: Api, user: User) -> None:
    """End a user's sessions in SQL, behind the back of the service that announces it."""
    with api.parts.base.database.transaction() as session:
        for row in api.parts.accounts.sessions.live(session, user.user_id, datetime.now(UTC)):
            row.ended_at = datetime.now(UTC)


def test_a_kick_that_was_lost_is_made_up_for(api: Api, start: Start) -> None:
    push = start(PUSH_RECHECK_S="0.5")
    user = api.new_user()
    client = Client(api, user, push.url).connect()
    end_unannounced(api, user)
    assert client.wait_for("kick", deadline_s=5) == [{"code": 1101}]
    client.close()


def test_sessions_are_looked_at_again_after_any_failure(api: Api, start: Start) -> None:
    """A statement that fails, as while a table is being changed, must not be the last."""
    push = start(PUSH_RECHECK_S="0.5")
    user = api.new_user()
    client = Client(api, user, push.url).connect()
    with api.parts.base.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE user_session RENAME TO user_session_aside")
    try:
        wait_until(lambda: "_failed" in push.printed, f"a failed look: {push.printed}", deadline_s=20)
    finally:
        with api.parts.base.database.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE user_session_aside RENAME TO user_session")
    assert client.sio.connected
    end_unannounced(api, user)
    assert client.wait_for("kick", deadline_s=20) == [{"code": 1101}]
    client.close()


def test_messages_that_are_none_harm_nobody(api: Api, connect: Connect) -> None:
    """Redis may be shared with another program, or with another version of this one."""
    user = api.new_user()
    client = connect(user)
    for message in (b"kick {", b"kick []", b"", b"message", b"\xff {}", b"message \xff"):
        assert api.parts.base.queue_redis.execute("PUBLISH", f"push:{user.user_id}", message) == 1
        client.events.clear()
        assert api.parts.base.realtime.publish([PushEvent(user.user_id, "probe", b"{}")]) == [1]
        client.wait_for("probe", deadline_s=10)
        assert [name for name, _ in client.events] == ["probe"], message


def test_a_client_that_reads_nothing_is_cut_and_delays_nobody(
    api: Api, start: Start, connect: Connect
) -> None:
    push = start()
    slow_one, other = api.new_user(), api.new_user()
    slow = RawSocket(push.port, receive_buffer=4096)
    assert slow.upgrade() == 101
    slow.connect(auth_of(api, slow_one))
    healthy = connect(other, push)
    before_kib = memory_kib(push)
    payload = b'"' + b"x" * 2000 + b'"'
    delays_s = []
    for round_number in range(40):
        api.parts.base.realtime.publish([PushEvent(slow_one.user_id, "probe", payload)] * 500)
        sent_at = time.monotonic()
        api.parts.base.realtime.publish([PushEvent(other.user_id, "probe", b"{}")])
        healthy.wait_for("probe", round_number + 1)
        delays_s.append(time.monotonic() - sent_at)
    assert memory_kib(push) - before_kib < 8 * 1024
    assert api.parts.base.realtime.publish([PushEvent(slow_one.user_id, "probe")]) == [0]
    assert sorted(delays_s)[len(delays_s) // 2] < 2
    assert slow.wait_for_end()
    slow.close()


@pytest.mark.parametrize("count", [120, pytest.param(500, marks=pytest.mark.long)])
def test_connections_that_never_authenticate_are_limited_and_closed(
    api: Api, pushes: list[PushProcess], count: int
) -> None:
    """A hundred for each address."""
    push = pushes[0]
    opened_at = time.monotonic()
    silent = [RawSocket(push.port) for _ in range(count)]
    sockets = [RawSocket(push.port) for _ in range(count)]
    statuses = [opened.upgrade() for opened in sockets]
    assert statuses.count(101) == 100 and statuses.count(429) == count - 100
    for opened in (*silent, *sockets):
        assert opened.wait_for_end()
        opened.close()
    assert 4 < time.monotonic() - opened_at < 30
    # And there is room again.
    Client(api, api.new_user(), push.url).connect().close()


@pytest.mark.parametrize(
    "data",
    [
        frame(b"4" + b"x" * 17_000),
        frame(b"x" * 100, fin=False) + frame(b"x" * 17_000, 0),
        frame(b"", 9) * 200,
        frame(b"", 0, fin=False) * 200,
        frame(b"5") * 200,
        b"\xff" * 50,
    ],
    ids=["16 KiB", "16 KiB in parts", "pings", "empty parts", "upgrades", "no frame"],
)
def test_a_connection_that_breaks_the_rules_is_cut(api: Api, pushes: list[PushProcess], data: bytes) -> None:
    bad = RawSocket(pushes[0].port)
    assert bad.upgrade() == 101
    bad.connect(auth_of(api, api.new_user()))
    bad.sock.sendall(data)
    assert bad.wait_for_end()
    bad.close()


def test_a_second_auth_changes_nothing(api: Api, pushes: list[PushProcess]) -> None:
    user, other = api.new_user(), api.new_user()
    twice = RawSocket(pushes[0].port)
    twice.upgrade()
    twice.connect(auth_of(api, user))
    twice.send("40" + json.dumps(auth_of(api, other)))
    assert api.parts.base.realtime.publish([PushEvent(user.user_id, "probe", b"1")]) == [1]
    received = b""
    while b'["probe",1]' not in received:
        received += twice.sock.recv(4096)
    assert api.parts.base.realtime.publish([PushEvent(other.user_id, "probe")]) == [0]
    twice.close()
    wait_until(lambda: api.parts.base.realtime.publish([PushEvent(user.user_id, "probe")]) == [0], "its end")


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense\r\n\r\n",
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nHost: a\r\n\r\n",
    ],
)
def test_what_is_no_websocket_is_refused_in_json(pushes: list[PushProcess], head: bytes) -> None:
    raw = RawSocket(pushes[0].port)
    raw.sock.sendall(head)
    answer = b""
    while part := raw.sock.recv(4096):
        answer += part
    assert answer.startswith(b"HTTP/1.1 4") and b"application/json" in answer and b'{"code":4' in answer
    assert b"X-Request-Id" in answer or b"x-request-id" in answer
    assert b"ebsockets" not in answer.split(b"\r\n\r\n")[0] and b"ython" not in answer
    raw.close()


def test_sigterm_ends_in_order_whatever_clients_do(api: Api, start: Start) -> None:
    push = start()
    user, slow_one = api.new_user(), api.new_user()
    client = Client(api, user, push.url).connect()
    slow = RawSocket(push.port, receive_buffer=4096)
    slow.upgrade()
    slow.connect(auth_of(api, slow_one))
    api.parts.base.realtime.publish([PushEvent(slow_one.user_id, "probe", b'"' + b"x" * 10_000 + b'"')] * 80)
    assert push.process is not None
    push.process.send_signal(signal.SIGTERM)
    told_at = time.monotonic()
    assert push.process.wait(timeout=30) == 0
    # The promise is 5 s; the slow client alone would hold it for 20.
    assert time.monotonic() - told_at < 12
    assert client.disconnected.wait(20)
    assert api.parts.base.queue_redis.execute("EXISTS", f"push:connections:{user.user_id}") == 0
    slow.close()
    client.close()


def _storm(api: Api, push: PushProcess, count: int) -> list[AsyncDevice]:
    """Number of devices at once, all of which must connect and receive an event."""
    users = [make_user(api) for _ in range(-(-count // 5))]

    async def work() -> list[AsyncDevice]:
        devices = [
            AsyncDevice(push.port, partial(auth_of, api, users[number % len(users)]))
            for number in range(count)
        ]
        try:
            await asyncio.gather(*(device.connect_as_documented() for device in devices))
            await asyncio.to_thread(
                api.parts.base.realtime.publish, [PushEvent(user.user_id, "probe", b"{}") for user in users]
            )
            async with asyncio.timeout(30):
                for device in devices:
                    await device.has_received.wait()
            assert all("probe" in device.received[0] for device in devices)
        finally:
            for device in devices:
                await device.close()
        return devices

    return asyncio.run(work())


def test_a_storm_of_connections(api: Api, pushes: list[PushProcess]) -> None:
    assert len(_storm(api, pushes[0], 60)) == 60


@pytest.mark.long
def test_a_storm_of_a_thousand_connections(api: Api, start: Start) -> None:
    push = start(PUSH_WAITING_PER_ADDRESS="1000")
    for _ in range(2):
        assert len(_storm(api, push, 1000)) == 1000
