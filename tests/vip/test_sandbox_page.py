"""The sandbox's page in a real browser, against `datingtoday serve` as `make run` starts it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from datingtoday.infra.payments.models import SandboxTrade
from tests.blackbox.client import Client, Login, code_on_terminal, generated_secrets
from tests.cli.running_server import PROGRAM, RunningServer, clean_environ
from tests.plugins.api import Api, new_phone
from tests.plugins.browser import Browser, Page
from tests.plugins.polling import wait_until
from tests.profiles.factories import make_user
from tests.vip.purchases import make_order, pay, sandbox_of, state_of


@pytest.fixture(scope="module")
def server(run_folder: Path) -> Iterator[RunningServer]:
    made = RunningServer(run_folder / "sandbox-server", LIMITS_ENABLED="0")
    try:
        yield made.wait_until_ready()
    finally:
        made.end()


@pytest.fixture
def client(server: RunningServer) -> Client:
    return Client(server.url, *generated_secrets(server.data))


@pytest.fixture
def page(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = run_folder / tmp_path_factory.mktemp("browser").name
    folder.mkdir()
    browser = Browser(folder)
    try:
        page = browser.new_page()
        yield page
        page.close()
    finally:
        browser.end()


def log_in(client: Client, server: RunningServer) -> Login:
    phone = new_phone()
    client.call("POST", "/api/auth/sendsms", phone=phone)
    return client.log_in(phone, code_on_terminal(server.log, phone))


def new_order(client: Client, login: Login, client_id: str) -> dict[str, Any]:
    answer = client.call(
        "POST", "/api/order/create", login, productId=1, channel="sandbox", clientId=client_id
    )
    order: dict[str, Any] = answer["data"]
    return order


def run_pay(server: RunningServer, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "pay", *options, "--data", str(server.data)],
        env=clean_environ(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.browser
def test_she_buys_a_month_sees_her_visitors_and_is_refunded(
    client: Client, server: RunningServer, page: Page
) -> None:
    she, visitor = log_in(client, server), log_in(client, server)
    client.call("GET", "/api/user/show", visitor, peerId=she.user_id)
    wait_until(
        lambda: client.call("GET", "/api/visitor/count", she)["data"]["total"] == 1,
        "the visit",
        deadline_s=60,
    )
    assert client.call("GET", "/api/visitor/list", she)["code"] == 1501
    order = new_order(client, she, "browser")

    page.open(f"{server.url}{order['pay_params']['pay_url']}?lang=zh")
    page.wait_for_element("#pay")
    assert "月度会员" in page.text("main") and "¥30.00" in page.text("main")
    assert page.text("#pay") == "确认支付"
    page.click("#pay")
    page.wait_for_element("html[data-state=paid]")
    assert "支付成功" in page.text("main")
    page.open(f"{server.url}{order['pay_params']['pay_url']}?lang=en")
    page.wait_for("document.querySelector('[role=status]')", "the state")
    assert "Paid" in page.text("main")
    assert page.problems == []
    assert {urlsplit(url).netloc for url in page.requests} == {urlsplit(server.url).netloc}

    assert client.call("GET", "/api/order/show", she, orderId=order["order_id"])["data"]["state"] == "paid"
    assert client.call("GET", "/api/vip/show", she)["data"]["vip"] is True
    (seen,) = client.call("GET", "/api/visitor/list", she)["data"]["list"]
    assert seen["peer"]["user_id"] == visitor.user_id

    done = run_pay(server, "sandbox", "--trade-no", order["trade_no"], "--refund", "--url", server.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert client.call("GET", "/api/vip/show", she)["data"] == {"vip": False, "vip_deadline": None}
    refused = client.call("GET", "/api/visitor/list", she)
    assert (refused["code"], "data" in refused) == (1501, False)


def test_the_command_plays_the_provider(client: Client, server: RunningServer) -> None:
    user = log_in(client, server)
    order, lost = new_order(client, user, "command"), new_order(client, user, "lost")
    sandbox = ("sandbox", "--url", server.url, "--trade-no")

    wrong = run_pay(server, *sandbox, order["trade_no"], "--amount", "1")
    assert (wrong.returncode, wrong.stdout.split()[0]) == (1, "400")
    assert "amount" in wrong.stdout
    assert 'datingtoday_pay_notices_total{channel="sandbox",verdict="refused"}' in server.get("/metrics").text
    many = run_pay(server, *sandbox, order["trade_no"], "--times", "20")
    assert (many.returncode, many.stdout.count("200")) == (0, 20), many.stdout + many.stderr
    assert client.call("GET", "/api/order/show", user, orderId=order["order_id"])["data"]["state"] == "paid"

    # The notification gets lost, and the worker asks by itself.
    assert run_pay(server, *sandbox, lost["trade_no"], "--times", "0").returncode == 0
    wait_until(
        lambda: (
            client.call("GET", "/api/order/show", user, orderId=lost["order_id"])["data"]["state"] == "paid"
        ),
        "the poll",
        deadline_s=250,
    )
    agreed = run_pay(server, "reconcile")
    assert agreed.returncode == 0, agreed.stdout + agreed.stderr
    refunded = run_pay(server, "refund", "--trade-no", lost["trade_no"])
    assert refunded.returncode == 0, refunded.stdout + refunded.stderr
    assert (
        client.call("GET", "/api/order/show", user, orderId=lost["order_id"])["data"]["state"] == "refunded"
    )
    unknown = run_pay(server, *sandbox, "20260101000000000000000000")
    assert (unknown.returncode, "no payment" in unknown.stderr) == (1, True)


def test_the_page(api: Api) -> None:
    user = make_user(api)
    order = make_order(api, user)
    url = order["pay_params"]["pay_url"]
    shown = api.send("GET", url, headers={"Accept-Language": "en"})
    policy = shown.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert (shown.headers["Cache-Control"], shown.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    text = shown.body.decode()
    assert "<script" not in text and 'id="pay"' in text and ">Pay<" in text
    assert "确认支付" in api.send("GET", url, headers={"Accept-Language": "zh-CN"}).body.decode()
    paid = api.send("POST", url)
    assert (paid.status, state_of(api, user, order)) == (303, "paid")
    assert 'id="pay"' not in api.send("GET", url).body.decode()
    assert api.send("POST", url).status == 303
    for unknown in ("/pay/sandbox/x", "/pay/sandbox/" + "A" * 43):
        assert api.send("GET", unknown).status == 404
        assert api.send("POST", unknown).status == 404


@pytest.mark.parametrize(
    ("fen", "shown"), [(1, "¥0.01"), (99, "¥0.99"), (3000, "¥30.00"), (123405, "¥1234.05")]
)
def test_the_price_is_shown_in_yuan(api: Api, fen: int, shown: str) -> None:
    order = make_order(api, make_user(api))
    with api.parts.base.database.transaction() as session:
        session.get_one(SandboxTrade, order["trade_no"]).amount_fen = fen
    assert f'<p class="amount">{shown}</p>' in api.send("GET", order["pay_params"]["pay_url"]).body.decode()


def test_a_name_is_text_on_the_page(api: Api) -> None:
    user = make_user(api)
    order = make_order(api, user)
    trade = sandbox_of(api).look_up(order["trade_no"])
    assert trade is not None
    with api.parts.base.database.transaction() as session:
        found = session.get_one(type(trade), order["trade_no"])
        found.subject = "<script>alert(1)</script>"
    body = api.send("GET", order["pay_params"]["pay_url"]).body.decode()
    assert "<script" not in body and "&lt;script&gt;" in body
    pay(api, order)


def test_without_the_channel_there_is_no_page(app_with: Any) -> None:
    api = app_with(PAY_SANDBOX="0")
    assert api.send("GET", "/pay/sandbox/x").status == 404
    assert api.send("POST", "/api/pay/notify/sandbox", data=b"{}").status == 404
    assert api.get("/api/app/config").data["payment_channels"] == []
    answer = api.post("/api/order/create", make_user(api), productId=1, channel="sandbox", clientId="x")
    assert (answer.code, "channel" in answer.msg) == (300, True)
