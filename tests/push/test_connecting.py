"""Connecting: who is admitted, how others are refused, and what a connection receives."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import socketio

from datingtoday.infra.realtime import PushEvent
from tests.plugins.api import Api
from tests.plugins.polling import wait_until
from tests.push.conftest import Client, Connect
from tests.push.push_process import PushProcess


def test_an_event_reaches_every_device_of_its_user(
    api: Api, pushes: list[PushProcess], connect: Connect
) -> None:
    user, other = api.new_user(), api.new_user()
    phone, tablet, stranger = connect(user), connect(user, pushes[1]), connect(other)
    received = api.parts.base.realtime.publish([PushEvent(user.user_id, "probe", b'{"pos":1}')])
    assert received == [2]
    assert phone.wait_for("probe") == tablet.wait_for("probe") == [{"pos": 1}]
    api.parts.base.realtime.publish([PushEvent(other.user_id, "probe", b'{"pos":1}')])
    assert stranger.wait_for("probe") and stranger.events == [("probe", {"pos": 1})]


def test_nobody_is_subscribed_to_after_the_last_device_has_left(
    api: Api, pushes: list[PushProcess], connect: Connect
) -> None:
    user = api.new_user()
    first, second = connect(user), connect(user)
    first.close()
    assert api.parts.base.realtime.publish([PushEvent(user.user_id, "probe")]) == [1]
    second.wait_for("probe")
    second.close()
    wait_until(
        lambda: api.parts.base.realtime.publish([PushEvent(user.user_id, "probe")]) == [0],
        "an unused channel",
    )


@pytest.mark.parametrize(
    ("auth", "code", "word"),
    [
        ({"sign": "0" * 32}, 500, "signature"),
        ({"timestamp": "1000000000"}, 1001, "expired"),
        ({"appkey": "UNKNOWN1"}, 1003, "appkey"),
        ({"token": "0" * 32}, 500, "signature"),
        ({"peerId": "7"}, 300, "auth.peerId"),
        ({"nonce": None}, 300, "auth.nonce"),
        ({"nonce": True}, 300, "auth.nonce"),
        ({"nonce": "x" * 2000}, 300, "auth.nonce"),
        ({"lang": "zh", "sign": "0" * 32}, 500, "签名"),
    ],
)
def test_a_refusal_says_why(
    api: Api, pushes: list[PushProcess], auth: dict[str, Any], code: int, word: str
) -> None:
    client = Client(api, api.new_user(), pushes[0].url, **auth)
    with pytest.raises(socketio.exceptions.ConnectionError):
        client.connect()
    [refusal] = client.refusals
    assert refusal["data"]["code"] == code and word in refusal["data"]["msg"]
    assert refusal["message"] == refusal["data"]["msg"]
    client.close()


def test_an_auth_is_good_once(api: Api, pushes: list[PushProcess], connect: Connect) -> None:
    user = api.new_user()
    params = api.params("GET", "/socket.io", {}, user=user)
    connect(user, **params)
    client = Client(api, user, pushes[1].url, **params)
    with pytest.raises(socketio.exceptions.ConnectionError):
        client.connect()
    assert client.refusals[0]["data"]["code"] == 1002
    client.close()


def test_hmac_and_integers_are_taken(api: Api, connect: Connect) -> None:
    user = api.new_user()
    auth: dict[str, Any] = dict(api.params("GET", "/socket.io", {}, user=user, sign_method="hmac-sha256"))
    connect(user, **auth | {"userId": user.user_id, "timestamp": int(auth["timestamp"])})


@pytest.mark.parametrize(
    "query", ["EIO=4&transport=polling", "", "EIO=4&transport=websocket", "EIO=3&transport=polling"]
)
@pytest.mark.parametrize("path", ["/socket.io/", "/socket.io", "/", "/api/user/show", "/healthz/"])
def test_anything_but_a_websocket_is_unknown(pushes: list[PushProcess], path: str, query: str) -> None:
    answer = requests.get(f"{pushes[0].url}{path}?{query}", timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (404, 404)
    assert answer.headers["X-Request-Id"] and "server" not in answer.headers
    assert requests.post(f"{pushes[0].url}{path}?{query}", data=b"x" * 100, timeout=10).status_code == 404
