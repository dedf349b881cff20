"""The official clients with the code of docs/push.md: JavaScript in Node, and Python."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datingtoday.infra.realtime import PushEvent
from tests.plugins.api import APPKEY, APPSECRET, Api, User
from tests.plugins.backend import Backend, new_folder
from tests.plugins.polling import wait_until
from tests.push.official_clients import JavaScriptClient, python_example
from tests.push.push_process import PushProcess

JavaScript = Callable[..., JavaScriptClient]
needs_node = pytest.mark.needs("socket.io-client")


@pytest.fixture
def javascript(pushes: list[PushProcess]) -> Iterator[JavaScript]:
    clients: list[JavaScriptClient] = []

    def make(user: User, url: str | None = None, **options: Any) -> JavaScriptClient:
        clients.append(JavaScriptClient(user, url or pushes[0].url, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@needs_node
def test_javascript_receives_and_is_kicked_for_good(api: Api, javascript: JavaScript) -> None:
    user = api.new_user()
    client = javascript(user)
    client.wait_for("sync")
    text = '你好 \\ " \u2028 😀'
    payload = (
        b'{"pos":1,"epoch":1,"message":{"content":"' + text.replace("\\", "\\\\").replace('"', '\\"').encode()
    )
    api.parts.base.realtime.publish([PushEvent(user.user_id, "probe", payload + b'"}}')])
    [received] = client.wait_for("probe")
    assert received["message"]["content"] == text
    api.post("/api/auth/logout", user).data  # noqa: B018
    assert client.wait_for("ended", deadline_s=1) == [{"code": 1101}]
    client.wait_for("disconnect")
    assert len(client.of("sync")) == 1


@needs_node
def test_javascript_is_told_why_it_is_refused(api: Api, javascript: JavaScript) -> None:
    user = api.new_user()
    api.post("/api/auth/logout", user).data  # noqa: B018
    assert javascript(user).wait_for("ended") == [{"code": 1101, "data": {}}]


@needs_node
def test_javascript_sets_its_clock(api: Api, javascript: JavaScript) -> None:
    client = javascript(api.new_user(), clockSkewMs=-3_600_000)
    client.wait_for("sync")
    assert not client.of("ended")


@needs_node
@pytest.mark.long
def test_javascript_comes_back_with_a_new_signature(
    api: Api, shared_backend: Backend, run_folder: Path, javascript: JavaScript
) -> None:
    push = PushProcess(shared_backend, new_folder(run_folder, "push")).start().wait_until_ready()
    try:
        user = api.new_user()
        client = javascript(user, push.url)
        client.wait_for("sync")
        push.kill()
        client.wait_for("disconnect")
        push.start().wait_until_ready()
        client.wait_for("sync", 2)
        assert not client.of("ended")
        assert api.parts.base.realtime.publish([PushEvent(user.user_id, "probe")]) == [1]
        client.wait_for("probe")
    finally:
        push.close()


def test_python_receives_and_is_kicked_for_good(api: Api, pushes: list[PushProcess]) -> None:
    user = api.new_user()
    told: list[Any] = []
    client = python_example()["connect_push"](
        pushes[0].url,
        APPKEY,
        APPSECRET,
        user.user_id,
        user.token,
        sync=lambda: told.append("sync"),
        receive=lambda name, payload: told.append((name, payload)),
        ended=lambda code, data: told.append(code),
    )
    wait_until(lambda: "sync" in told, "the connection")
    api.parts.base.realtime.publish([PushEvent(user.user_id, "probe", b'{"pos":1}')])
    wait_until(lambda: ("probe", {"pos": 1}) in told, "the event")
    ended_at = time.monotonic()
    api.post("/api/auth/logout", user).data  # noqa: B018
    wait_until(lambda: 1101 in told, "the kick")
    assert time.monotonic() - ended_at < 10, "at once, not by the check twice a minute"
    wait_until(lambda: not client.connected, "the end")
