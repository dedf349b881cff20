"""Orders: made once per client id, with what the product says, and paid by verified facts only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from datingtoday.infra.payments.provider import PaymentFailed
from tests.accounts.at_once import at_once
from tests.plugins.api import Api
from tests.profiles.factories import make_user
from tests.vip.purchases import (
    MONTH,
    QUARTER,
    deadline_of,
    grants_of,
    make_order,
    notify,
    order_row,
    paid_at_provider,
    pay,
    refund,
    sandbox_of,
    state_of,
    tasks_of,
)

FORMAT = "%Y-%m-%d %H:%M:%S"


def test_products_are_seeded(api: Api) -> None:
    products = api.get("/api/product/list").data
    assert [(it["product_id"], it["vip_days"]) for it in products] == [(1, 30), (2, 90), (3, 365)]
    assert all(type(it["price_fen"]) is int for it in products)


def test_an_order_says_what_the_product_says(api: Api) -> None:
    user = make_user(api)
    product = api.get("/api/product/list").data[0]
    order = make_order(api, user)
    assert (order["product_name"], order["vip_days"], order["fee_fen"]) == (
        product["name"], product["vip_days"], product["price_fen"],
    )  # fmt: skip
    assert (order["state"], order["paid_time"], order["channel"]) == ("unpaid", None, "sandbox")
    times = [datetime.strptime(order[name], FORMAT) for name in ("order_time", "expire_time")]
    assert times[1] - times[0] == timedelta(minutes=30)
    assert order["pay_params"]["pay_url"].startswith("/pay/sandbox/")
    assert api.get("/api/vip/show", user).data == {"vip": False, "vip_deadline": None}


def test_a_client_id_is_one_order(api: Api) -> None:
    user, other = make_user(api), make_user(api)
    asked = {"productId": MONTH, "channel": "sandbox", "clientId": "same"}
    first = api.post("/api/order/create", user, **asked).data
    assert api.post("/api/order/create", user, **asked).data == first
    assert api.post("/api/order/create", user, **{**asked, "productId": QUARTER}).code == 1403
    assert api.post("/api/order/create", other, **asked).data["order_id"] != first["order_id"]
    assert api.get("/api/order/list", user).data["total"] == 1
    pay(api, first)
    again = api.post("/api/order/create", user, **asked).data
    assert (again["state"], again["pay_params"]) == ("paid", None)


def test_a_client_id_at_once_is_one_order(api: Api) -> None:
    user = make_user(api)
    create = partial(api.post, "/api/order/create", user, productId=MONTH, channel="sandbox", clientId="once")
    answers = [answer.data for answer in at_once([create] * 8)]
    assert len({(it["order_id"], it["pay_params"]["pay_url"]) for it in answers}) == 1


@pytest.mark.parametrize(
    ("asked", "code", "named"),
    [
        ({"productId": 99}, 1502, ""),
        ({"productId": "x"}, 300, "productId"),
        ({"channel": "wechat"}, 300, "sandbox"),
        ({"channel": "paypal"}, 300, "channel"),
        ({"clientId": ""}, 300, "clientId"),
        ({"clientId": "ü"}, 300, "clientId"),
        ({"clientId": "x" * 65}, 300, "clientId"),
    ],
)
def test_bad_orders_are_refused(api: Api, asked: dict[str, Any], code: int, named: str) -> None:
    user = make_user(api)
    good = {"productId": MONTH, "channel": "sandbox", "clientId": "bad"}
    answer = api.post("/api/order/create", user, **{**good, **asked})
    assert (answer.code, named in answer.msg) == (code, True)
    assert api.get("/api/order/list", user).data["total"] == 0


def test_a_provider_that_is_down_is_asked_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user(api)
    asked = {"productId": MONTH, "channel": "sandbox", "clientId": "down"}

    def fail(*_: object) -> None:
        raise PaymentFailed("sandbox", "timeout")

    with monkeypatch.context() as patched:
        patched.setattr(sandbox_of(api), "create", fail)
        answer = api.post("/api/order/create", user, **asked)
    assert (answer.status, answer.code) == (503, 503)
    (kept,) = api.get("/api/order/list", user).data["list"]
    again = api.post("/api/order/create", user, **asked).data
    assert (again["order_id"], again["trade_no"]) == (kept["order_id"], kept["trade_no"])
    assert again["pay_params"]["pay_url"]


@pytest.mark.parametrize("end", ["paid", "cancelled"])
def test_an_order_that_ends_while_it_is_prepared(api: Api, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """A retry of `order/create` is at the provider when another request ends the order."""
    user = make_user(api)
    asked = {"productId": MONTH, "channel": "sandbox", "clientId": end}
    create = sandbox_of(api).create

    def ends(*what: Any) -> Any:
        params = create(*what)
        (order,) = api.get("/api/order/list", user).data["list"]
        if end == "paid":
            pay(api, order)
        else:
            assert api.post("/api/order/cancel", user, orderId=order["order_id"]).code == 0
        return params

    monkeypatch.setattr(sandbox_of(api), "create", ends)
    order = api.post("/api/order/create", user, **asked).data
    assert (order["state"], order["pay_params"]) == (end, None)


def test_paying_grants_the_days(api: Api) -> None:
    user = make_user(api)
    order = make_order(api, user)
    pay(api, order)
    assert state_of(api, user, order) == "paid"
    shown = api.get("/api/vip/show", user).data
    assert shown["vip"] is True
    left = datetime.strptime(shown["vip_deadline"], FORMAT).replace(tzinfo=UTC) - datetime.now(UTC)
    assert timedelta(days=29, hours=23, minutes=59) < left <= timedelta(days=30)
    assert api.get("/api/user/show", user).data["vip"] is True
    other = make_user(api)
    assert api.get("/api/user/show", other, peerId=user.user_id).data["vip"] is True


def test_a_refund_takes_back_its_own_days_only(api: Api) -> None:
    user = make_user(api)
    first, second = make_order(api, user), make_order(api, user, product_id=QUARTER)
    pay(api, first)
    with_first = deadline_of(api, user)
    pay(api, second)
    refund(api, second)
    assert deadline_of(api, user) == with_first
    refund(api, first)
    assert api.get("/api/vip/show", user).data == {"vip": False, "vip_deadline": None}
    assert [state_of(api, user, it) for it in (first, second)] == ["refunded", "refunded"]
    assert api.get("/api/user/show", user).data["vip"] is False


def test_a_refund_of_the_first_leaves_what_the_second_gives(api: Api) -> None:
    user = make_user(api)
    first, second = make_order(api, user), make_order(api, user, product_id=QUARTER)
    pay(api, first)
    pay(api, second)
    refund(api, first)
    (kept,) = [it for it in grants_of(api, user) if it.revoked_at is None]
    assert deadline_of(api, user) == f"{kept.granted_at + timedelta(days=90):{FORMAT}}"


def test_two_orders_paid_at_once_add_up(api: Api) -> None:
    user = make_user(api)
    orders = [make_order(api, user) for _ in range(4)]
    trades = [paid_at_provider(api, order) for order in orders]
    assert [it.status for it in at_once([partial(notify, api, trade) for trade in trades])] == [200] * 4
    begun = min(it.granted_at for it in grants_of(api, user))
    assert deadline_of(api, user) == f"{begun + timedelta(days=120):{FORMAT}}"


def test_twenty_notifications_at_once_grant_once(api: Api) -> None:
    user = make_user(api)
    order = make_order(api, user)
    trade = paid_at_provider(api, order)
    answers = at_once([partial(notify, api, trade)] * 20)
    assert {(it.status, it.json["code"]) for it in answers} == {(200, 0)}
    assert [(it.order_id, it.days) for it in grants_of(api, user)] == [(order["order_id"], 30)]


def test_a_refund_before_the_payment_never_grants(api: Api) -> None:
    user = make_user(api)
    order = make_order(api, user)
    paid = paid_at_provider(api, order)
    headers = sandbox_of(api).notice(paid, datetime.now(UTC))
    refund(api, order)
    assert state_of(api, user, order) == "refunded"
    assert notify(api, paid).status == 200
    assert (state_of(api, user, order), grants_of(api, user)) == ("refunded", [])
    assert headers


def test_parts_of_a_refund_that_sum_to_the_fee_end_the_order(api: Api) -> None:
    user = make_user(api)
    order = make_order(api, user)
    pay(api, order)
    refund(api, order, 1000)
    assert state_of(api, user, order) == "paid"
    assert api.get("/api/vip/show", user).data["vip"] is True
    refund(api, order, order["fee_fen"] - 1000)
    assert state_of(api, user, order) == "refunded"
    assert api.get("/api/vip/show", user).data["vip"] is False


def test_cancelling(api: Api) -> None:
    user = make_user(api)
    order = make_order(api, user)
    cancelled = api.post("/api/order/cancel", user, orderId=order["order_id"]).data
    assert cancelled["state"] == "cancelled"
    assert api.post("/api/order/cancel", user, orderId=order["order_id"]).data == cancelled
    # The provider takes no payment for it.
    trade = sandbox_of(api).pay(order["trade_no"], datetime.now(UTC))
    assert trade is not None and trade.state == "closed"
    paid = make_order(api, user)
    pay(api, paid)
    assert api.post("/api/order/cancel", user, orderId=paid["order_id"]).code == 1504


def test_a_payment_that_came_before_the_cancelling_counts(api: Api) -> None:
    """The notification is still on its way: closing at the provider finds out."""
    user = make_user(api)
    order = make_order(api, user)
    paid_at_provider(api, order)
    assert api.post("/api/order/cancel", user, orderId=order["order_id"]).code == 1504
    assert state_of(api, user, order) == "paid"
    assert len(grants_of(api, user)) == 1


def test_a_payment_after_the_cancelling_is_given_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user(api)
    order = make_order(api, user)
    with monkeypatch.context() as patched:
        # The provider could not be reached to close it.
        patched.setattr(sandbox_of(api), "close", _down)
        assert api.post("/api/order/cancel", user, orderId=order["order_id"]).data["state"] == "cancelled"
    assert order_row(api, order).is_closed is False
    trade = paid_at_provider(api, order)
    for _ in range(2):
        assert notify(api, trade).status == 200
    assert (state_of(api, user, order), grants_of(api, user)) == ("cancelled", [])
    (task,) = tasks_of(api, order)
    assert (task.transaction_id, task.state, task.reason) == (trade.transaction_id, "due", "late")


def test_time_over(api: Api, clock: Any) -> None:
    user = make_user(api)
    order, in_time = make_order(api, user), make_order(api, user)
    paid_just_in_time = paid_at_provider(api, in_time)
    clock.shift(timedelta(minutes=30, seconds=1))
    assert state_of(api, user, order) == "expired"
    assert api.post("/api/order/cancel", user, orderId=order["order_id"]).code == 1504
    assert sandbox_of(api).pay(order["trade_no"], datetime.now(UTC)).state == "open"  # type: ignore[union-attr]
    # Paid in time, told late: the person gets what they paid for.
    assert notify(api, paid_just_in_time).status == 200
    assert state_of(api, user, in_time) == "paid"


def test_vip_ends_to_the_second(api: Api, clock: Any) -> None:
    user = make_user(api)
    pay(api, make_order(api, user))
    (grant,) = grants_of(api, user)
    end = grant.granted_at + timedelta(days=30)
    clock.move_to(end - timedelta(milliseconds=900))
    vips = [_vip_of(api, end - timedelta(seconds=1)), _vip_of(api, end)]
    assert [it(user.user_id) for it in vips] == [True, False]


def _vip_of(api: Api, now: datetime) -> Any:
    def is_vip(user_id: int) -> bool:
        with api.parts.base.database.transaction(write=False) as session:
            return api.parts.vip.membership.is_vip(session, user_id, now)

    return is_vip


def _down(*_: object) -> None:
    raise PaymentFailed("sandbox", "timeout")
