"""Deployments of a running service: people log in, talk and pay through nginx, and notice no reload or restart."""

from __future__ import annotations

import itertools
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.blackbox.client import Client, Login, code_on_terminal
from tests.deploy.conftest import DOMAIN, Certificate
from tests.deploy.load import Load
from tests.deploy.stack import Stack
from tests.plugins.api import User, new_phone
from tests.plugins.backend import Backend, new_folder
from tests.plugins.polling import wait_until
from tests.push.official_clients import JavaScriptClient

pytestmark = [
    pytest.mark.needs("nginx", "supervisor", "openssl", "socket.io-client"),
    pytest.mark.parametrize("backend", ["real"], indirect=True),
]


@pytest.fixture(params=[1])
def stack(
    request: pytest.FixtureRequest,
    backend: Backend,
    run_folder: Path,
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stack]:
    # Of the Socket.IO client.
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(certificate.file))
    made = Stack(backend, new_folder(run_folder, "stack"), certificate, request.param)
    try:
        yield made.start()
    finally:
        made.close()


class Device:
    """A person's phone: logged in, connected, with a copy of the conversations."""

    def __init__(self, stack: Stack) -> None:
        self.api: Client = stack.client()
        self.phone = new_phone()
        assert self.api.call("POST", "/api/auth/sendsms", phone=self.phone)["code"] == 0
        code = code_on_terminal(stack.logs / "api.log", self.phone)
        self.login: Login = self.api.log_in(self.phone, code)
        self.push = JavaScriptClient(User(self.login.user_id, self.login.token, self.phone), stack.url)
        self.push.wait_for("sync")

    @property
    def connects(self) -> int:
        """Number of push connections until now."""
        return len(self.push.of("sync"))

    def call(self, verb: str, path: str, **own: object) -> Any:
        answer = self.api.call(verb, path, self.login, **own)
        assert (answer["status"], answer["code"]) == (200, 0), answer
        return answer.get("data")

    def write_to(self, other: Device, text: str) -> int:
        words = {
            "peerId": other.login.user_id,
            "type": "text",
            "clientId": secrets.token_hex(8),
            "content": text,
        }
        return int(self.call("POST", "/api/message/send", **words)["message_id"])

    def pushed(self) -> dict[int, str]:
        """Id and text of the messages that were pushed."""
        messages = [payload["message"] for payload in self.push.of("message")]
        return {message["message_id"]: message["content"] for message in messages}

    def synced(self) -> set[int]:
        """Ids of all messages that a sync from the beginning finds."""
        found: set[int] = set()
        page: dict[str, Any] = {"next": 0, "has_next": True}
        while page["has_next"]:
            page = self.call("GET", "/api/message/sync", since=page["next"])
            found |= {event["message"]["message_id"] for event in page["list"] if event["kind"] == "message"}
        return found

    def close(self) -> None:
        self.push.close()
        self.api.close()


@pytest.fixture
def device(stack: Stack) -> Iterator[Callable[[], Device]]:
    devices: list[Device] = []

    def make() -> Device:
        devices.append(Device(stack))
        return devices[-1]

    yield make
    for made in devices:
        made.close()


def reload_api(stack: Stack) -> None:
    """A release: HUP, until only new workers are there."""
    old = stack.api_workers()
    stack.control("signal", "HUP", "datingtoday-api")
    wait_until(
        lambda: (now := stack.api_workers()) and not now & old, "new API workers", deadline_s=120, every_s=0.1
    )


def test_people_notice_nothing_of_deployments(stack: Stack, device: Callable[[], Device]) -> None:
    he, she = device(), device()
    _people_talk_and_pay(stack, he, she)
    _the_api_is_reloaded(stack, he, she)
    _settings_that_are_wrong_change_nothing(stack, he)
    _push_and_worker_are_restarted(stack, he, she)
    _logs_hold_no_secrets(stack, [he, she])
    _everything_ends(stack)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stack", [2], indirect=True)
def test_ten_reloads_in_a_row_lose_nothing(stack: Stack, device: Callable[[], Device]) -> None:
    devices = [device() for _ in range(4)]
    pairs = [(me.login, peer.login) for me, peer in itertools.permutations(devices, 2)]
    connects = [made.connects for made in devices]
    with Load(stack, pairs) as load:
        for _ in range(10):
            before = load.answered
            reload_api(stack)
            wait_until(lambda before=before: load.answered > before + 50, "load", deadline_s=120)  # type: ignore[misc]
    assert load.failures == []
    assert [made.connects for made in devices] == connects, "push connections stay"
    synced = set.union(*(made.synced() for made in devices))
    assert set(load.sent) <= synced


def _people_talk_and_pay(stack: Stack, he: Device, she: Device) -> None:
    redirect = requests.get(
        f"http://127.0.0.1:{stack.http_port}/api/x?a=1", allow_redirects=False, timeout=10
    )
    assert (redirect.status_code, redirect.headers["Location"]) == (
        308,
        f"https://{DOMAIN}:{stack.https_port}/api/x?a=1",
    )
    assert "list" in he.call("GET", "/api/user/hot/list", page=1)
    he.write_to(she, "在吗")
    wait_until(lambda: "在吗" in she.pushed().values(), "the push")
    product = he.call("GET", "/api/product/list")[0]
    order = he.call(
        "POST", "/api/order/create", productId=product["product_id"], channel="sandbox", clientId="order-1"
    )
    assert order["pay_params"]["pay_url"].startswith(f"{stack.url}/")
    paid = requests.post(order["pay_params"]["pay_url"], verify=str(stack.certificate.file), timeout=30)
    assert paid.ok
    assert he.call("GET", "/api/order/show", orderId=order["order_id"])["state"] == "paid"
    assert he.call("GET", "/api/vip/show")["vip"]


def _the_api_is_reloaded(stack: Stack, he: Device, she: Device) -> None:
    connects = (he.connects, she.connects)
    with Load(stack, [(he.login, she.login), (she.login, he.login)] * 2) as load:
        wait_until(lambda: load.answered > 20, "some load", deadline_s=60)
        reload_api(stack)
        after = load.answered
        wait_until(lambda: load.answered > after + 20, "load on the new workers", deadline_s=60)
    assert load.failures == []
    assert (he.connects, she.connects) == connects, "push connections stay"
    wait_until(lambda: set(load.sent) <= she.pushed().keys(), "all messages as pushes", deadline_s=60)


def _settings_that_are_wrong_change_nothing(stack: Stack, he: Device) -> None:
    before = stack.api_workers()
    stack.write_config("[SMS2]\nx = 1\n")
    stack.control("signal", "HUP", "datingtoday-api")
    log = stack.logs / "api.log"
    wait_until(
        lambda: "Reload failed: the old workers go on." in log.read_text(), "the refusal", deadline_s=120
    )
    assert "[SMS2]" in log.read_text()
    he.call("GET", "/api/user/hot/list", page=1)
    assert stack.api_workers() == before
    stack.write_config()
    reload_api(stack)


def _push_and_worker_are_restarted(stack: Stack, he: Device, she: Device) -> None:
    connects = she.connects
    sent: list[int] = []
    restart = threading.Thread(
        target=stack.control, args=("restart", "datingtoday-push:*", "datingtoday-worker")
    )
    restart.start()
    while restart.is_alive():
        sent.append(he.write_to(she, f"部署中 {len(sent)}"))
        she.call("GET", "/api/user/show", peerId=he.login.user_id)
    restart.join()
    wait_until(lambda: she.connects > connects, "the connection after the restart", deadline_s=60)
    assert sent
    assert set(sent) <= she.synced()
    last = he.write_to(she, "推送已恢复")
    wait_until(lambda: last in she.pushed(), "pushes after the restart", deadline_s=60)
    assert she.push.of("ended") == []
    wait_until(
        lambda: he.call("GET", "/api/visitor/count")["total"] == 1, "the visit", deadline_s=60, every_s=0.2
    )


def _logs_hold_no_secrets(stack: Stack, devices: list[Device]) -> None:
    lines = (stack.logs / "datingtoday.access.log").read_text().splitlines()
    first = json.loads(lines[0])
    assert first["client"] == "127.0.0.1"
    assert any(json.loads(line)["path"] == "/api/user/hot/list" for line in lines)
    for path in stack.logs.iterdir():
        text = "".join(line for line in path.read_text().splitlines(True) if not line.startswith("SMS to "))
        for secret in (
            stack.appsecret,
            *(device.login.token for device in devices),
            *(device.phone for device in devices),
        ):
            assert secret not in text, path.name


def _everything_ends(stack: Stack) -> None:
    pids = [stack.pid(f"datingtoday-{name}") for name in ("api", "worker")]
    assert stack.shut_down() == [0, 0]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert "Traceback" not in "".join(path.read_text() for path in stack.logs.iterdir())
