"""Payments where the other tests pass by: texts, receipts, what a fact is about, and what each job and purge takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from datingtoday.infra.metric_declarations import process_registry
from datingtoday.infra.payments.provider import ChannelTraits, Fact, FactKind, NoticeRefused
from datingtoday.infra.payments.sandbox import sign_notice
from datingtoday.protocol.errors import ParameterError
from datingtoday.vip import notifications, orders
from datingtoday.vip.errors import ReceiptRefused, channel_not_set_up, no_receipts
from datingtoday.vip.models import OrderState, UserOrder, VipGrant
from datingtoday.vip.orders import find_for
from datingtoday.vip.personal_data import VipData
from datingtoday.vip.products import AppleIdTaken
from datingtoday.vip.schemas import Receipt
from tests.plugins.api import Api
from tests.profiles.factories import make_user
from tests.vip.purchases import make_order, paid_at_provider, sandbox_of, send_notice, state_of, tasks_of
from tests.vip.shop import CHANNEL, FEE_FEN, NOW, USER, Shop

DAY = timedelta(days=1)
TOKEN = "6f1d5a0e-0000-5000-8000-000000000001"


def paid_by(order: UserOrder, transaction_id: str = "T1", **more: Any) -> Fact:
    return Fact(FactKind.PAID, order.trade_no, transaction_id, **more)


class TestJobs:
    def test_each_does_the_work_of_its_name(self, api: Api) -> None:
        user = make_user(api)
        paid, late = make_order(api, user), make_order(api, user)
        paid_at_provider(api, paid)
        now = datetime.now(UTC) + timedelta(minutes=31)
        jobs = api.parts.base.jobs

        def work(name: str) -> None:
            look = jobs[name].has_work
            assert look is not None
            while look(now):
                jobs[name].run(now)

        work("order_poll")
        assert state_of(api, user, paid) == "paid"
        work("order_expiry")
        with api.parts.base.database.reading() as session:
            assert session.get_one(UserOrder, late["order_id"]).state == "expired"
        assert api.parts.vip.jobs.order_refund(paid["trade_no"], now) is not None
        assert [task.state for task in tasks_of(api, paid)] == ["due"]
        work("refunds")
        assert state_of(api, user, paid) == "refunded"
        assert jobs["pay_reconcile"].run(now) == len(api.parts.vip.reconciliation.run(now, days=3))


class TestTexts:
    def test_a_channel_that_is_not_set_up_is_told_with_those_that_are(self) -> None:
        error = channel_not_set_up(["wechat", "alipay"])
        assert error.message("en") == "channel is not set up on this server; allowed: wechat alipay"
        assert error.message("zh") == "本服务器未开通该支付渠道 channel；允许：wechat alipay"
        error = channel_not_set_up([])
        assert error.message("en") == "channel is not set up on this server; allowed: none yet"
        assert error.message("zh") == "本服务器未开通该支付渠道 channel；允许：暂无"

    def test_an_order_without_receipts(self) -> None:
        assert no_receipts().message("en").startswith("orderId is of a channel without receipts")
        assert no_receipts().message("zh").startswith("orderId 所属支付渠道没有凭据")


class TestReceipts:
    def test_the_longest_has_16384_characters(self) -> None:
        longest = f"{'h' * 100}.{'p' * 16_000}.{'s' * 282}"
        assert (len(longest), Receipt().read(longest)) == (16_384, longest)
        for bad in (longest + "s", "a.b", "a.b.c.d", "a.b.c=", ".b.c", "a.b.c\n"):
            with pytest.raises(ValueError, match=r"\."):
                Receipt().read(bad)

    @pytest.fixture
    def bought(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> UserOrder:
        """An order of Apple's kind, and a provider whose receipts say what the test sets."""
        monkeypatch.setattr(orders, "log", structlog.get_logger())
        shop.till.traits = ChannelTraits(refunds=False, closes=False, grants_late=True, queries_open=False)
        return shop.order()

    def confirm(self, shop: Shop, order: UserOrder, answer: Fact | NoticeRefused) -> str:
        def read_receipt(receipt: str, now: datetime) -> Fact:
            assert (receipt, now) == ("a.b.c", NOW)
            if isinstance(answer, NoticeRefused):
                raise answer
            return answer

        shop.on[CHANNEL].read_receipt = read_receipt
        with shop.database.transaction() as session:
            return str(shop.orders.confirm(session, USER, order.id, "a.b.c", NOW)["state"])

    def test_one_that_fits_pays_its_order_under_its_lock(self, shop: Shop, bought: UserOrder) -> None:
        fact = Fact(FactKind.PAID, "", "T1", account_token=bought.account_token or "", product="vip.month")
        shop.locked.clear()
        assert self.confirm(shop, bought, fact) == "paid"
        assert shop.locked[0] is UserOrder
        assert shop.row(bought).transaction_id == "T1"
        assert self.confirm(shop, bought, fact) == "paid"
        assert len(shop.rows(VipGrant)) == 1

    def test_others_are_refused_and_logged(self, shop: Shop, bought: UserOrder) -> None:
        good = Fact(FactKind.PAID, "", "T1", account_token=bought.account_token or "", product="vip.month")
        for bad, reason in (
            (replace(good, account_token=TOKEN), "order"),
            (replace(good, product="vip.year"), "order"),
            (replace(good, transaction_id=""), "transaction"),
            (NoticeRefused("signature", is_forged=True), "signature"),
        ):
            with capture_logs() as logs, pytest.raises(ReceiptRefused):
                self.confirm(shop, bought, bad)
            assert [(it["event"], it["order_id"], it["reason"]) for it in logs] == [
                ("receipt_refused", bought.id, reason)
            ]
        assert (shop.row(bought).state, shop.rows(VipGrant)) == ("unpaid", [])

    def test_of_other_channels_there_are_none(self, shop: Shop) -> None:
        order = shop.order()
        with shop.database.transaction() as session, pytest.raises(ParameterError) as refused:
            shop.orders.confirm(session, USER, order.id, "a.b.c", NOW)
        assert refused.value.message("en") == no_receipts().message("en")


def test_a_fact_is_about_the_order_that_it_names(shop: Shop) -> None:
    first = shop.order(account_token=TOKEN, transaction_id="T1")
    # A further payment with the same token has an order of its own, which has no token.
    second, foreign = shop.order(transaction_id="T2"), shop.order(transaction_id="T3", channel="alipay")

    def about(trade_no: str = "", transaction_id: str = "", account_token: str = "") -> int | None:
        fact = Fact(FactKind.PAID, trade_no, transaction_id, account_token=account_token)
        with shop.database.transaction() as session:
            found = find_for(session, CHANNEL, fact)
            return None if found is None else found.id

    assert about(first.trade_no, "T2") == first.id
    assert about("20260101000000000000000000", "T1", TOKEN) is None
    assert about("", "T1") == about("", "T1", TOKEN) == first.id
    assert about("", "T2", TOKEN) == second.id
    assert about("", "T9", TOKEN) == first.id
    assert about("", "T9") is None and about("", "T3") is None and about(foreign.trade_no) is None


class TestNotices:
    def counted(self, verdict: str) -> float:
        labels = {"channel": CHANNEL, "verdict": verdict}
        return process_registry().get_sample_value("datingtoday_pay_notices_total", labels) or 0

    def test_each_is_counted_and_logged_by_its_verdict(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(notifications, "log", structlog.get_logger())
        order = shop.order()
        before = {name: self.counted(name) for name in ("granted", "repeated", "refused", "nothing")}
        with capture_logs() as logs:
            assert [shop.notify(paid_by(order)), shop.notify(paid_by(order)), shop.notify(None, "n2")] == [
                200
            ] * 3
            assert shop.notify(Fact(FactKind.PAID, "2" * 40, "T9"), "n3") == 400
        *taken, refused = [{name: value for name, value in it.items() if name != "log_level"} for it in logs]
        assert [it["verdict"] for it in taken] == ["granted", "repeated", "nothing"]
        assert {(it["event"], it["channel"], it["kind"]) for it in taken} == {("pay_notice", CHANNEL, "PAID")}
        assert refused == {
            "event": "pay_notice_refused", "channel": CHANNEL, "reason": "unknown_order", "trade_no": "2" * 32,
        }  # fmt: skip
        assert {name: self.counted(name) - before[name] for name in before} == dict.fromkeys(before, 1)

    @pytest.mark.parametrize(("size", "status"), [(65_536, 200), (65_537, 400)])
    def test_64_kib_are_read_of_a_request(self, api: Api, size: int, status: int) -> None:
        order = make_order(api, make_user(api))
        now = datetime.now(UTC)
        _, body = sandbox_of(api).notice(paid_at_provider(api, order), now)
        body = body.ljust(size)
        answer = send_notice(api, sign_notice(sandbox_of(api)._secret, body, now), body)
        assert answer.status == status
        assert answer.json["msg"] == ("success" if status == 200 else "too_large")

    def test_of_a_payment_that_is_not_made_none_is_sent(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order = make_order(api, make_user(api))
        trade, desk = sandbox_of(api).look_up(order["trade_no"]), api.parts.vip.sandbox_desk
        assert trade is not None and desk is not None
        told: list[Any] = []
        monkeypatch.setattr(api.parts.vip.notifications, "receive", lambda *what: told.append(what))
        after = desk.pay(trade.page_key, trade.expire_at)
        assert (after is not None and after.state, told) == ("open", [])
        assert desk.pay("x", NOW) is None and desk.find("x") is None
        desk.pay(trade.page_key, trade.expire_at - timedelta(seconds=1))
        assert [name for name, *_ in told] == ["sandbox"]


def test_a_refund_leaves_unused_what_the_other_orders_do_not_give(shop: Shop) -> None:
    first, _second = shop.paid(transaction_id="T1"), shop.paid(transaction_id="T2")
    assert shop.deadline() == NOW + 60 * DAY
    shop.tell(first, Fact(FactKind.REFUNDED, first.trade_no, "T1"), NOW + 10 * DAY)
    assert shop.deadline() == NOW + 30 * DAY
    unused_s = {it.order_id: it.unused_s for it in shop.rows(VipGrant)}
    assert unused_s[first.id] == 30 * 86_400
    assert shop.tell(first, Fact(FactKind.REINSTATED, first.trade_no, "T1"), NOW + 20 * DAY) == "reinstated"
    assert shop.deadline() == NOW + 60 * DAY


def test_an_apple_id_is_one_products(shop: Shop) -> None:
    with shop.database.transaction() as session:
        year = shop.products.add(session, name="年", vip_time=365, price_fen=1, apple_id="vip.year")
    for change in (
        lambda session: shop.products.add(session, name="年", vip_time=365, price_fen=1, apple_id="vip.year"),
        lambda session: shop.products.change(session, year.id, apple_id="vip.month"),
    ):
        with pytest.raises(AppleIdTaken), shop.database.transaction() as session:
            change(session)
            raise AssertionError("it is told at once, not with the commit")
    with shop.database.reading() as session:
        assert [(it.name, it.apple_id) for it in shop.products.all(session)] == [
            ("一个月", "vip.month"),
            ("年", "vip.year"),
        ]


class TestPersonalData:
    def test_orders_without_money_go_once_the_provider_is_asked_no_more(self, shop: Shop) -> None:
        kept, gone = set(), set()
        for user_id in (USER, 8):
            ended = [shop.order(user_id, state=state, poll_at=None) for state in ("cancelled", "expired")]
            others = [
                shop.order(user_id, state=OrderState.CANCELLED),
                shop.order(user_id, state=OrderState.REFUNDED, poll_at=None),
                shop.paid(user_id),
            ]
            gone |= {it.id for it in ended} if user_id == USER else set()
            kept |= {it.id for it in others + (ended if user_id == 8 else [])}
        with shop.database.transaction() as session:
            assert [VipData().remove(session, USER, 1) for _ in range(3)] == [1, 1, 0]
        assert {it.id for it in shop.rows(UserOrder)} == kept and not kept & gone

    def test_an_export_is_of_one_person(self, shop: Shop) -> None:
        order, other = shop.paid(transaction_id="T1"), shop.paid(8, transaction_id="T8")
        with shop.database.reading() as session:
            told = VipData().export(session, USER, NOW)
            theirs = VipData().export(session, 8, NOW)
            nobodys = VipData().export(session, 9, NOW)
        assert told["vip_deadline"] == NOW + 30 * DAY
        assert told["grants"] == [{"order_id": order.id, "days": 30, "granted_at": NOW, "revoked_at": None}]
        assert told["orders"] == [
            {
                "order_id": order.id, "trade_no": order.trade_no, "client_id": order.client_id, "product_id": 1,
                "product_name": "一个月", "vip_days": 30, "fee_fen": FEE_FEN, "currency": "CNY",
                "channel": CHANNEL, "state": "paid", "open_id": None, "transaction_id": "T1",
                "order_time": order.order_time, "expire_time": order.expire_at, "paid_time": NOW,
                "refunded_time": None,
            }
        ]  # fmt: skip
        assert [it["order_id"] for it in theirs["orders"]] == [other.id]
        assert nobodys == {"vip_deadline": None, "orders": [], "grants": []}
