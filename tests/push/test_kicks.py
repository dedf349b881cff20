"""Kicks: a connection ends with its login, within a second, and with the sixth connection of its user."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import socketio

from tests.plugins.api import Api, User, new_phone
from tests.plugins.polling import wait_until
from tests.push.conftest import Client, Connect
from tests.push.push_process import PushProcess


def log_in(api: Api, user: User) -> User:
    """One more device."""
    other = Api(api.app, api.sms)
    data = other.post("/api/auth/login", phone=user.phone, code=other.new_code(user.phone)).data
    return User(user.user_id, data["token"], user.phone)


def ban(api: Api, user: User, now: datetime) -> None:
    with api.parts.base.database.transaction() as session:
        api.parts.safety.moderation.ban(
            session, user.user_id, until=now + timedelta(days=1), reason="spam", now=now
        )


def leave(api: Api, user: User) -> None:
    code = api.new_code(user.phone, "delete")
    api.post("/api/user/delete", user, code=code).data  # noqa: B018 - asserts success


def change_phone(api: Api, user: User) -> None:
    phone = new_phone()
    api.post("/api/user/phone", user, phone=phone, code=api.new_code(phone, "phone")).data  # noqa: B018


def push_out(api: Api, user: User) -> None:
    for _ in range(5):
        log_in(api, user)


ENDS: dict[str, tuple[Callable[[Api, User], object], int]] = {
    "logout": (lambda api, user: api.post("/api/auth/logout", user), 1101),
    "logout of all": (lambda api, user: api.post("/api/auth/logout", log_in(api, user), all=1), 1101),
    "ban": (lambda api, user: ban(api, user, datetime.now(UTC)), 1102),
    "deletion": (leave, 1101),
    "changed phone": (lambda api, user: change_phone(api, log_in(api, user)), 1101),
    "newer devices": (push_out, 1101),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_connection_ends_with_its_login(
    api: Api, pushes: list[PushProcess], connect: Connect, end: str
) -> None:
    user = api.new_user()
    clients = [connect(user, push) for push in pushes]
    act, code = ENDS[end]
    act(api, user)
    ended_at = time.monotonic()
    for client in clients:
        [kick] = client.wait_for("kick")
        assert client.disconnected.wait(20)
        assert kick["code"] == code and set(kick) <= {"code", "data"}
        assert code != 1102 or kick["data"]["reason"] == "spam"
    # Promised within a second. A machine that stands still is forgiven; without the push it takes half a minute.
    assert time.monotonic() - ended_at < 10


def test_only_the_device_that_ended_is_kicked(api: Api, connect: Connect) -> None:
    phone = api.new_user()
    tablet = log_in(api, phone)
    first, second = connect(phone), connect(tablet)
    api.post("/api/auth/logout", phone).data  # noqa: B018
    first.wait_for("kick")
    assert first.disconnected.wait(20)
    assert not second.of("kick") and second.sio.connected


def test_the_oldest_of_six_connections_goes(api: Api, pushes: list[PushProcess], connect: Connect) -> None:
    user = api.new_user()
    clients = [connect(user, pushes[number % 2]) for number in range(7)]
    for client in clients[:2]:
        assert client.wait_for("kick") == [{"code": 1103}]
        assert client.disconnected.wait(20)
    assert [client.sio.connected for client in clients] == [False] * 2 + [True] * 5
    # One that left makes room.
    clients[-1].close()
    registry = f"push:connections:{user.user_id}"
    wait_until(lambda: api.parts.base.queue_redis.execute("HLEN", registry) == 4, "room for another")
    connect(user)
    assert all(client.sio.connected and not client.of("kick") for client in clients[2:6])


def test_a_login_that_ended_is_not_admitted(api: Api, pushes: list[PushProcess]) -> None:
    user = api.new_user()
    api.post("/api/auth/logout", user).data  # noqa: B018
    client = Client(api, user, pushes[0].url)
    with pytest.raises(socketio.exceptions.ConnectionError):
        client.connect()
    assert client.refusals[0]["data"]["code"] == 1101
    client.close()
