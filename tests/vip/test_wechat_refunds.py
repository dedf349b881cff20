"""Refunds that WeChat Pay's query tells of without saying how much: reported, looked up, never guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from datingtoday.cli.main import run
from datingtoday.vip import jobs, notifications, orders
from tests.plugins.api import Api, User
from tests.profiles.factories import make_user
from tests.stand_ins.http_server import Hangup
from tests.vip.providers import Wechat
from tests.vip.purchases import deadline_of, make_order, state_of, tasks_of

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def wechat() -> Iterator[Wechat]:
    made = Wechat()
    with made.stand_in:
        yield made


@pytest.fixture
def shop(
    wechat: Wechat,
    app_with_commands: Callable[..., Api],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Api:
    """A server with WeChat Pay, and the same settings for commands."""
    api = app_with_commands(**wechat.settings(tmp_path), PAY_SANDBOX="0")
    # A logger keeps the stderr of its first record, and capsys closes that one after the test.
    for module in (jobs, notifications, orders):
        monkeypatch.setattr(module, "log", structlog.get_logger())
    return api


def bought(wechat: Wechat, api: Api, user: User) -> dict[str, Any]:
    """A paid order."""
    order = make_order(api, user, channel="wechat")
    assert wechat.accepts(wechat.notify(api, wechat.pay(order)))
    return order


def findings(api: Api) -> list[str]:
    return sorted(it.kind.value for it in api.parts.vip.reconciliation.run(datetime.now(UTC), days=1))


def test_a_refund_in_the_console_without_its_notification(wechat: Wechat, shop: Api, capsys: Capture) -> None:
    user = make_user(shop)
    order = bought(wechat, shop, user)
    assert findings(shop) == []
    trade_no = order["trade_no"]
    first = wechat.stand_in.give_back(trade_no, 1000)
    assert findings(shop) == ["refund_amount_unknown"]
    assert run(["pay", "reconcile"]) == 1
    kind, channel, told_of, user_id, _ = capsys.readouterr().out.strip().splitlines()[-1].split("\t")
    assert (kind, channel, told_of, user_id) == (
        "refund_amount_unknown", "wechat", trade_no, str(user.user_id),
    )  # fmt: skip
    assert state_of(shop, user, order) == "paid"

    take = ["pay", "refund", "--trade-no", trade_no, "--refund-no"]
    for _ in range(2):
        assert run([*take, first]) == 0
        assert "refunded_in_part" in capsys.readouterr().out
        assert (state_of(shop, user, order), deadline_of(shop, user) is None) == ("paid", False)
    assert findings(shop) == ["refund_amount_unknown", "refunded_in_part"]
    rest = wechat.stand_in.give_back(trade_no, order["fee_fen"] - 1000)
    assert run([*take, rest]) == 0
    assert (state_of(shop, user, order), deadline_of(shop, user)) == ("refunded", None)
    assert (findings(shop), tasks_of(shop, order)) == ([], [])


def test_our_own_refund_that_was_given_up_and_then_done(wechat: Wechat, shop: Api, capsys: Capture) -> None:
    user = make_user(shop)
    order = bought(wechat, shop, user)
    wechat.stand_in.refund_status = "ABNORMAL"
    assert run(["pay", "refund", "--trade-no", order["trade_no"]]) == 0
    (task,) = tasks_of(shop, order)
    assert task.state == "failed"
    assert findings(shop) == ["refund_amount_unknown", "refund_failed"]
    # The money went out by another way, as the console allows.
    wechat.stand_in.refunds[task.refund_no]["status"] = wechat.stand_in.refund_status = "SUCCESS"
    assert findings(shop) == ["refund_failed", "refunded_at_provider_only"]
    assert state_of(shop, user, order) == "paid"
    assert run(["pay", "refund", "--trade-no", order["trade_no"]]) == 0
    assert "is refunded" in capsys.readouterr().out
    assert (state_of(shop, user, order), deadline_of(shop, user), findings(shop)) == ("refunded", None, [])


def test_a_payment_never_told_of_that_went_back(wechat: Wechat, shop: Api) -> None:
    user = make_user(shop)
    order = make_order(shop, user, channel="wechat")
    wechat.stand_in.pay(order["trade_no"])
    refund_no = wechat.stand_in.give_back(order["trade_no"], order["fee_fen"])
    assert shop.parts.vip.jobs.poll(datetime.now(UTC) + timedelta(seconds=31)) == 1
    assert findings(shop) == ["refund_amount_unknown"]
    assert run(["pay", "refund", "--trade-no", order["trade_no"], "--refund-no", refund_no]) == 0
    assert (state_of(shop, user, order), findings(shop)) == ("refunded", [])


def test_refund_numbers_that_do_not_fit(
    wechat: Wechat, shop: Api, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make_user(shop)
    order, other = bought(wechat, shop, user), bought(wechat, shop, user)
    foreign = wechat.stand_in.give_back(other["trade_no"], other["fee_fen"])
    pending = wechat.stand_in.give_back(order["trade_no"], order["fee_fen"])
    wechat.stand_in.refunds[pending]["status"] = "PROCESSING"
    take = ["pay", "refund", "--trade-no", order["trade_no"], "--refund-no"]
    for bad in ("../x", "a b", "x" * 65, "退款"):
        assert run([*take, bad]) == 2
        assert "letters, digits and _-|*@" in capsys.readouterr().err
    for none in ("unknown", foreign, pending):
        assert run([*take, none]) == 1
        assert none in capsys.readouterr().err
    wechat.stand_in.misbehave = Hangup()
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert run([*take, pending]) == 1
    assert "支付平台没有答复" in capsys.readouterr().err
    wechat.stand_in.misbehave = None
    assert (state_of(shop, user, order), state_of(shop, user, other)) == ("paid", "paid")
    assert tasks_of(shop, order) == []
