"""`datingtoday pay sandbox` beside a server that answers as the test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from datingtoday.cli.main import run
from tests.plugins.api import Api
from tests.profiles.factories import make_user
from tests.stand_ins.http_server import Answer, HttpStandIn, Received
from tests.vip.purchases import NOTIFY, make_order, state_of

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.parametrize("backend", ["embedded"], indirect=True)


class Notified(HttpStandIn):
    """A server that takes every notification."""

    def answer(self, request: Received) -> Answer:
        return Answer(200, b"{}")


@pytest.fixture
def notified() -> Iterator[Notified]:
    made = Notified()
    with made:
        yield made


@pytest.fixture
def shop(app_with_commands: Callable[..., Api]) -> Api:
    return app_with_commands(PAY_SANDBOX="1")


def play(trade_no: str, *more: str, url: str | None) -> int:
    return run(["pay", "sandbox", "--trade-no", trade_no, *more, *(() if url is None else ("--url", url))])


def deliver(api: Api, sent: Received) -> None:
    """Let the notification arrive at the application."""
    kept = {name: value for name, value in sent.headers.items() if name.startswith("sandbox-")}
    answer = api.send("POST", NOTIFY, data=sent.body, headers=kept)
    assert answer.status == 200, answer.body


def test_a_payment_and_its_refund(shop: Api, notified: Notified, capsys: Capture) -> None:
    user = make_user(shop)
    order = make_order(shop, user)
    trade_no = order["trade_no"]
    assert play(trade_no, "--refund", url=notified.url) == 1
    assert f"{trade_no} cannot be refunded: it is" in capsys.readouterr().err
    assert play(trade_no, "--times", "3", url=f"{notified.url}/") == 0
    assert capsys.readouterr().out.splitlines() == ["200 {}"] * 3
    assert {(sent.method, sent.path) for sent in notified.requests} == {("POST", NOTIFY)}
    assert {sent.headers["content-type"] for sent in notified.requests} == {"application/json"}
    assert len(notified.requests) == 3 and len({sent.body for sent in notified.requests}) == 1
    deliver(shop, notified.requests[0])
    assert state_of(shop, user, order) == "paid"
    assert play(trade_no, "--refund", url=notified.url) == 0
    deliver(shop, notified.requests[3])
    assert state_of(shop, user, order) == "refunded"


def test_a_notification_that_gets_lost(shop: Api, notified: Notified, capsys: Capture) -> None:
    trade_no = make_order(shop, make_user(shop))["trade_no"]
    assert play(trade_no, "--times", "0", url=notified.url) == 0
    assert f"{trade_no} is paid; no notification sent" in capsys.readouterr().out
    assert notified.requests == []


def test_a_wrong_amount_is_notified_and_paid_by_nobody(
    shop: Api, notified: Notified, capsys: Capture
) -> None:
    trade_no = make_order(shop, make_user(shop))["trade_no"]
    notified.misbehave = Answer(400, b"x" * 5_000)
    assert play(trade_no, "--amount", "1", url=notified.url) == 1
    told = capsys.readouterr()
    assert "a notification was refused" in told.err and told.out == f"400 {'x' * 4096}\n"
    body: dict[str, Any] = json.loads(notified.requests[0].body)
    assert (body["kind"], body["amount_fen"], body["trade_no"]) == ("paid", 1, trade_no)
    notified.misbehave = None
    assert play(trade_no, url=notified.url) == 0
    body = json.loads(notified.requests[1].body)
    assert body["amount_fen"] == 3_000
    # Once it is paid, a notification with a wrong amount names that payment.
    assert play(trade_no, "--amount", "2", url=notified.url) == 0
    wrong = json.loads(notified.requests[2].body)
    assert (wrong["amount_fen"], wrong["transaction_id"]) == (2, body["transaction_id"])


def test_answers_that_are_no_success(shop: Api, notified: Notified, capsys: Capture) -> None:
    trade_no = make_order(shop, make_user(shop))["trade_no"]
    notified.misbehave = Answer(201, b"y" * 5_000)
    assert play(trade_no, url=notified.url) == 1
    assert capsys.readouterr().out == f"201 {'y' * 4096}\n"


def test_what_cannot_be_played(
    shop: Api, notified: Notified, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    trade_no = make_order(shop, make_user(shop))["trade_no"]
    for more in ((), ("--amount", "1"), ("--refund",)):
        assert play("20260101000000000000000000", *more, url=notified.url) == 1
        assert "knows no payment" in capsys.readouterr().err
    assert play(trade_no, url="ftp://127.0.0.1") == 2
    assert "--url: allowed: an http:// or https:// address" in capsys.readouterr().err
    assert play(trade_no, url="http://127.0.0.1:9") == 1
    assert "no server answers at http://127.0.0.1:9/api/pay/notify/sandbox" in capsys.readouterr().err
    monkeypatch.setenv("DATINGTODAY_SERVER_PORT", str(notified.port))
    assert play(trade_no, url=None) == 0, "the address of the settings"
    assert len(notified.requests) == 1
    monkeypatch.setenv("DATINGTODAY_PAY_SANDBOX", "0")
    assert play(trade_no, url=notified.url) == 1
    assert "the sandbox is off" in capsys.readouterr().err
