"""`datingtoday serve` with the official JavaScript client: two people talk live, on the port of the API."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.blackbox.client import Client, Login
from tests.cli.running_server import RunningServer, runs
from tests.plugins.api import APPKEY, APPSECRET, User, new_phone
from tests.plugins.backend import new_folder
from tests.plugins.polling import wait_until
from tests.push.official_clients import JavaScriptClient

pytestmark = pytest.mark.needs("socket.io-client")
Device = Callable[[str], tuple[Login, JavaScriptClient]]


@pytest.fixture(scope="module")
def server(run_folder: Path) -> Iterator[RunningServer]:
    running = RunningServer(
        new_folder(run_folder, "push") / "data",
        LIMITS_ENABLED="0",
        APP_APPKEY=APPKEY,
        APP_APPSECRET=APPSECRET,
    )
    yield running.wait_until_ready()
    running.end()


@pytest.fixture
def api(server: RunningServer) -> Client:
    return Client(server.url, APPKEY, APPSECRET)


@pytest.fixture
def device(server: RunningServer, api: Client) -> Iterator[Device]:
    """Logs a phone number in on one more device, and connects it."""
    clients: list[JavaScriptClient] = []

    def connect(phone: str) -> tuple[Login, JavaScriptClient]:
        code = api.call("POST", "/api/auth/sendsms", phone=phone)["data"]["code"]
        login = api.log_in(phone, code)
        clients.append(JavaScriptClient(User(login.user_id, login.token, phone), server.url))
        clients[-1].wait_for("sync")
        return login, clients[-1]

    yield connect
    for client in clients:
        client.close()


def test_two_people_talk_live_and_a_logout_kicks_within_a_second(api: Client, device: Device) -> None:
    his_phone, her_phone = new_phone(), new_phone()
    (he, his), (she, hers) = device(his_phone), device(her_phone)
    sent = api.call(
        "POST", "/api/message/send", he, peerId=she.user_id, type="text", clientId="1", content="在吗"
    )["data"]
    assert hers.wait_for("message")[0]["message"]["content"] == "在吗"
    assert his.wait_for("message")[0]["message"]["seq"] == 1
    hers.type_to(User(he.user_id, "", ""))
    assert his.wait_for("typing") == [{"peer_id": she.user_id}]
    api.call("POST", "/api/message/read", she, peerId=he.user_id, seq=1)
    [read] = his.wait_for("read")
    assert (read["peer_id"], read["seq"], read["by_me"]) == (she.user_id, 1, False)
    api.call("POST", "/api/message/recall", he, messageId=sent["message_id"])
    [recall] = hers.wait_for("recall")
    assert recall["message_id"] == sent["message_id"]
    # Her other device logs the first one out.
    _, tablet = device(her_phone)
    sessions = api.call("GET", "/api/auth/sessions", she)["data"]
    [own] = [session["id"] for session in sessions if session["current"]]
    code = api.call("POST", "/api/auth/sendsms", phone=her_phone)["data"]["code"]
    other = api.log_in(her_phone, code)
    asked_at = time.monotonic()
    assert api.call("POST", "/api/auth/logout", other, sessionId=own)["code"] == 0
    assert hers.wait_for("ended") == [{"code": 1101}]
    assert time.monotonic() - asked_at < 10, "at once, not by the check twice a minute"
    assert not tablet.of("ended") and not his.of("ended")


def test_only_websockets_are_handed_over(server: RunningServer) -> None:
    for query in ("EIO=4&transport=polling", "EIO=4&transport=websocket"):
        answer = requests.get(f"{server.url}/socket.io/?{query}", timeout=10)
        assert (answer.status_code, answer.json()["code"]) == (404, 404)


def test_a_killed_push_process_comes_back(server: RunningServer, api: Client, device: Device) -> None:
    _, client = device(new_phone())
    [push] = [pid for pid in server.descendants() if _name_of(pid) == "dt-push"]
    api_workers = server.workers()
    os.kill(push, signal.SIGKILL)
    wait_until(lambda: not runs(push), "its end")
    client.wait_for("disconnect")
    client.wait_for("sync", 2, deadline_s=30)
    assert not client.of("ended") and server.workers() == api_workers
    wait_until(
        lambda: re.search(r"^datingtoday_push_connections [1-9]", server.get("/metrics").text, re.MULTILINE),
        "its numbers",
    )


def _name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
