"""The three real channels: a person buys a month, is VIP, is refunded and is not VIP any more; and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from datingtoday.vip.models import Product, UserOrder
from tests.accounts.at_once import at_once
from tests.accounts.conftest import AppWith
from tests.plugins.api import Api, User
from tests.profiles.factories import make_user
from tests.stand_ins.app_store import PRODUCT_ID, now_ms
from tests.vip.providers import PROVIDERS, Alipay, Apple, Provider, Wechat
from tests.vip.purchases import (
    MONTH,
    QUARTER,
    deadline_of,
    grants_of,
    make_order,
    order_row,
    state_of,
    tasks_of,
)

LATER = timedelta(minutes=31)


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    made = PROVIDERS[request.param]()
    with made.stand_in:
        yield made


@pytest.fixture
def shop(provider: Provider, app_with: AppWith, tmp_path: Path) -> Api:
    """An application on which this channel is on, and no other."""
    api = app_with(**{**provider.settings(tmp_path), "PAY_SANDBOX": "0"})
    with api.parts.base.database.transaction() as session:
        session.execute(update(Product).where(Product.id == MONTH).values(apple_id=PRODUCT_ID))
    return api


def is_vip(api: Api, user: User) -> bool:
    return bool(api.get("/api/vip/show", user).data["vip"])


def test_a_month_is_bought_and_refunded(provider: Provider, shop: Api) -> None:
    user = make_user(shop)
    assert shop.get("/api/app/config").data["payment_channels"] == [provider.name]
    assert shop.send("POST", "/api/pay/notify/sandbox", data=b"{}").status == 404
    order = make_order(shop, user, channel=provider.name)
    assert state_of(shop, user, order) == "unpaid"

    refused = provider.notify(shop, provider.forged(order))
    assert not provider.accepts(refused)
    assert (state_of(shop, user, order), is_vip(shop, user)) == ("unpaid", False)

    notice = provider.pay(order)
    asked = len(provider.stand_in.requests)
    answers = at_once([partial(provider.notify, shop, notice)] * 5)
    assert all(provider.accepts(it) for it in answers), answers
    assert len(provider.stand_in.requests) == asked, "a notification's request uses no network"
    assert (state_of(shop, user, order), is_vip(shop, user)) == ("paid", True)
    assert [it.order_id for it in grants_of(shop, user)] == [order["order_id"]]
    assert shop.get("/api/user/show", user).data["vip"] is True

    back = provider.give_back(order)
    for _ in range(2):
        assert provider.accepts(provider.notify(shop, back))
    assert (state_of(shop, user, order), is_vip(shop, user)) == ("refunded", False)
    # The notification of the payment, once more.
    assert provider.accepts(provider.notify(shop, notice))
    assert (state_of(shop, user, order), is_vip(shop, user)) == ("refunded", False)
    assert shop.post("/api/order/cancel", user, orderId=order["order_id"]).code == 1504


def test_bodies_of_any_size_are_refused_in_the_providers_way(provider: Provider, shop: Api) -> None:
    user = make_user(shop)
    order = make_order(shop, user, channel=provider.name)
    headers, body = provider.pay(order)
    for bad in (
        b"",
        b"\x00",
        b"{}",
        b"a=b",
        body[:-3],
        body + b" " * (64 * 1024),
        b"x" * (64 * 1024),
        b"x" * 200_000,
    ):
        answer = provider.notify(shop, (headers, bad))
        assert answer.status in (200, 400, 401)
        assert not provider.accepts(answer)
    assert state_of(shop, user, order) == "unpaid"
    assert provider.accepts(provider.notify(shop, (headers, body)))


def test_a_notification_is_about_orders_of_its_channel_only(provider: Provider, shop: Api) -> None:
    user = make_user(shop)
    order = make_order(shop, user, channel=provider.name)
    notice = provider.pay(order)
    with shop.parts.base.database.transaction() as session:
        session.execute(update(UserOrder).where(UserOrder.id == order["order_id"]).values(channel="sandbox"))
    assert not provider.accepts(provider.notify(shop, notice))
    assert state_of(shop, user, order) == "unpaid"


class TestAmounts:
    """Fields in which the provider gives an amount in our currency."""

    @pytest.fixture(params=["wechat", "alipay"])
    def provider(self, request: pytest.FixtureRequest) -> Iterator[Provider]:
        made = PROVIDERS[request.param]()
        with made.stand_in:
            yield made

    def test_another_amount_or_currency_is_refused(self, provider: Provider, shop: Api) -> None:
        user = make_user(shop)
        order = make_order(shop, user, channel=provider.name)
        provider.pay(order)
        wrong: list[Any]
        if isinstance(provider, Wechat):
            told = {"total": order["fee_fen"], "currency": "CNY"}
            wrong = [
                provider.stand_in.notice(order["trade_no"], amount={**told, **change})
                for change in ({"total": 1}, {"total": order["fee_fen"] + 1}, {"currency": "USD"})
            ]
        else:
            assert isinstance(provider, Alipay)
            wrong = [
                provider.stand_in.notice(order["trade_no"], **change)
                for change in ({"total_amount": "0.01"}, {"total_amount": "30.01"}, {"trans_currency": "USD"})
            ]
        for notice in wrong:
            assert not provider.accepts(provider.notify(shop, notice))
        assert state_of(shop, user, order) == "unpaid"

    def test_a_lost_notification_and_a_late_payment(self, provider: Provider, shop: Api) -> None:
        user = make_user(shop)
        lost, late = (make_order(shop, user, channel=provider.name) for _ in range(2))
        provider.pay(lost)
        now, jobs = datetime.now(UTC), shop.parts.vip.jobs
        jobs.poll(now + timedelta(seconds=11))
        assert state_of(shop, user, lost) == "paid"
        # Cancelled here while the provider cannot be reached, and paid there.
        provider.stand_in.misbehave = _hangup()
        assert shop.post("/api/order/cancel", user, orderId=late["order_id"]).data["state"] == "cancelled"
        provider.stand_in.misbehave = None
        notice = provider.pay(late)
        assert provider.accepts(provider.notify(shop, notice))
        (task,) = tasks_of(shop, late)
        assert jobs.refund(task.try_at) == 1
        assert (tasks_of(shop, late)[0].state, state_of(shop, user, late)) == ("done", "cancelled")
        assert len(grants_of(shop, user)) == 1
        found = shop.parts.vip.reconciliation.run(now, days=1)
        assert [it for it in found if it.trade_no in (lost["trade_no"], late["trade_no"])] == []

    def test_cancelled_orders_are_closed_at_the_provider(self, provider: Provider, shop: Api) -> None:
        user = make_user(shop)
        order = make_order(shop, user, channel=provider.name)
        if isinstance(provider, Alipay):
            provider.stand_in.open_cashier(order["pay_params"]["order_string"])
        assert shop.post("/api/order/cancel", user, orderId=order["order_id"]).data["state"] == "cancelled"
        assert order_row(shop, order).is_closed
        assert isinstance(provider, Wechat | Alipay)
        trade = provider.stand_in.trades[order["trade_no"]]
        assert trade.get("state", trade.get("status")) in ("CLOSED", "TRADE_CLOSED")

    def test_a_provider_that_is_down(self, provider: Provider, shop: Api) -> None:
        user = make_user(shop)
        asked = {"productId": MONTH, "channel": provider.name, "clientId": "down"}
        provider.stand_in.misbehave = _hangup()
        answer = shop.post("/api/order/create", user, **asked)
        if isinstance(provider, Alipay):
            # Its order string is made here.
            assert answer.data["pay_params"]["order_string"]
            return
        assert (answer.status, answer.code) == (503, 503)
        provider.stand_in.misbehave = None
        assert shop.post("/api/order/create", user, **asked).data["pay_params"]["prepayid"]
        assert shop.get("/api/order/list", user).data["total"] == 1


class TestApple:
    """Receipts, and payments that only Apple can give back."""

    @pytest.fixture
    def provider(self) -> Iterator[Provider]:
        made = Apple()
        with made.stand_in:
            yield made

    @pytest.fixture
    def apple(self, provider: Provider) -> Apple:
        assert isinstance(provider, Apple)
        return provider

    def test_a_receipt(self, apple: Apple, shop: Api) -> None:
        user, other = make_user(shop), make_user(shop)
        order, second = (make_order(shop, user, channel="apple") for _ in range(2))
        receipt = apple.stand_in.receipt(apple.buy(order))
        confirm = partial(shop.post, "/api/order/confirm", receipt=receipt)
        assert confirm(other, orderId=order["order_id"]).code == 1503
        assert confirm(user, orderId=second["order_id"]).code == 1505
        paid = [it.data for it in at_once([partial(confirm, user, orderId=order["order_id"])] * 4)]
        assert {it["state"] for it in paid} == {"paid"}
        assert len(grants_of(shop, user)) == 1
        assert state_of(shop, user, second) == "unpaid"

    def test_receipts_that_do_not_fit(self, apple: Apple, shop: Api) -> None:
        user = make_user(shop)
        order = make_order(shop, user, channel="apple")
        bought = apple.buy(order)
        for change in (
            {"productId": "vip.year"}, {"bundleId": "com.example.other"}, {"environment": "Sandbox"},
            {"appAccountToken": "00000000-0000-5000-8000-000000000000"}, {"revocationDate": now_ms()}, {"quantity": 3},
        ):  # fmt: skip
            receipt = apple.stand_in.receipt(bought, **change)
            assert (
                shop.post("/api/order/confirm", user, orderId=order["order_id"], receipt=receipt).code == 1505
            )
        for text in ("", "a.b", "a.b.c.d", "ü.b.c", "x" * 16_385):
            assert shop.post("/api/order/confirm", user, orderId=order["order_id"], receipt=text).code == 300
        assert (state_of(shop, user, order), grants_of(shop, user)) == ("unpaid", [])

    def test_a_product_that_is_not_sold_there(self, apple: Apple, shop: Api) -> None:
        asked = {"productId": QUARTER, "channel": "apple", "clientId": "x"}
        assert shop.post("/api/order/create", make_user(shop), **asked).code == 1502
        assert apple.bought == {}

    @pytest.mark.parametrize("apple_id", ["vip.month.new", None])
    def test_a_product_that_gets_another_apple_id(
        self, apple: Apple, shop: Api, apple_id: str | None
    ) -> None:
        """Orders that are under way are paid, and refunded, under the id that their clients were given."""
        user = make_user(shop)
        first, second = (make_order(shop, user, channel="apple") for _ in range(2))
        with shop.parts.base.database.transaction() as session:
            session.execute(update(Product).where(Product.id == MONTH).values(apple_id=apple_id))
        assert apple.accepts(apple.notify(shop, apple.pay(first)))
        receipt = apple.stand_in.receipt(apple.buy(second))
        confirmed = shop.post("/api/order/confirm", user, orderId=second["order_id"], receipt=receipt)
        assert (confirmed.code, state_of(shop, user, first)) == (0, "paid")
        assert apple.accepts(apple.notify(shop, apple.give_back(first)))
        assert (state_of(shop, user, first), state_of(shop, user, second)) == ("refunded", "paid")

    def test_a_payment_counts_whenever_it_comes(self, apple: Apple, shop: Api) -> None:
        """Ask to Buy: a user's parents agree hours later."""
        user = make_user(shop)
        order = make_order(shop, user, channel="apple")
        assert shop.post("/api/order/cancel", user, orderId=order["order_id"]).data["state"] == "cancelled"
        assert apple.accepts(apple.notify(shop, apple.pay(order)))
        assert (state_of(shop, user, order), tasks_of(shop, order)) == ("paid", [])
        # A second purchase with the same token gets an order of its own.
        assert apple.accepts(apple.notify(shop, apple.pay(order)))
        assert len(grants_of(shop, user)) == 2
        with shop.parts.base.database.transaction(write=False) as session:
            orders = session.scalars(select(UserOrder).where(UserOrder.user_id == user.user_id)).all()
            assert sorted(it.state for it in orders) == ["paid", "paid"]
        (begun, _) = sorted(it.granted_at for it in grants_of(shop, user))
        assert deadline_of(shop, user) == f"{begun + timedelta(days=60):%Y-%m-%d %H:%M:%S}"

    def test_a_refund_that_is_reversed(self, apple: Apple, shop: Api) -> None:
        user = make_user(shop)
        order = make_order(shop, user, channel="apple")
        apple.notify(shop, apple.pay(order))
        until = deadline_of(shop, user)
        apple.notify(shop, apple.give_back(order))
        assert is_vip(shop, user) is False
        bought = apple.bought[order["trade_no"]]
        apple.stand_in.take_refund_back(bought)
        assert apple.accepts(apple.notify(shop, apple.stand_in.notice("REFUND_REVERSED", bought)))
        assert (state_of(shop, user, order), is_vip(shop, user)) == ("paid", True)
        assert until is not None and deadline_of(shop, user) is not None
        found = [
            it
            for it in shop.parts.vip.reconciliation.run(datetime.now(UTC), days=1)
            if it.user_id == user.user_id
        ]
        assert found == []

    def test_operators_cannot_refund(self, apple: Apple, shop: Api) -> None:
        user = make_user(shop)
        order = make_order(shop, user, channel="apple")
        apple.notify(shop, apple.pay(order))
        assert shop.parts.vip.jobs.order_refund(order["trade_no"], datetime.now(UTC)) is None


def _hangup() -> Any:
    from tests.stand_ins.http_server import Hangup

    return Hangup()
