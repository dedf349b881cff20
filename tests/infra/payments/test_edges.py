"""The last value that a channel takes, and the first that it refuses: ages, lengths, amounts, answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from datingtoday.infra.payments.provider import (
    FactKind,
    Notice,
    NoticeRefused,
    PaymentChannel,
    PaymentFailed,
)
from tests.infra.payments.channels import TOKEN, alipay_of, apple_of, fact_of, outcome, payment, wechat_of
from tests.stand_ins.alipay import BEIJING, AlipayStandIn
from tests.stand_ins.app_store import AppStoreStandIn
from tests.stand_ins.http_server import Answer
from tests.stand_ins.wechat_pay import WechatPayStandIn

NOW = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TRADE = payment().trade_no


@pytest.fixture(scope="module")
def wechat_pay() -> Iterator[WechatPayStandIn]:
    with WechatPayStandIn() as made:
        wechat_of(made).create(payment(), datetime.now(UTC))
        made.pay(TRADE)
        yield made


@pytest.fixture(scope="module")
def alipay_gateway() -> Iterator[AlipayStandIn]:
    with AlipayStandIn() as made:
        made.open_cashier(alipay_of(made).create(payment(), datetime.now(UTC))["order_string"])
        made.pay(TRADE)
        yield made


@pytest.fixture(scope="module")
def app_store() -> Iterator[AppStoreStandIn]:
    with AppStoreStandIn() as made:
        yield made


@cache
def made(channel: Callable[[Any], Any], stand_in: Any) -> Any:
    """The channel of a stand-in; reading its keys takes longer than most tests."""
    return channel(stand_in)


Asked = Callable[[datetime], Notice | str]


class TestAge:
    """A notification is taken while it is as old as the provider repeats it, and no older."""

    def wechat(self, stand_in: WechatPayStandIn) -> Asked:
        told = stand_in._told(stand_in.trades[TRADE])
        notice = stand_in.notice_of("TRANSACTION.SUCCESS", told, timestamp=int(NOW.timestamp()))
        return lambda now: outcome(made(wechat_of, stand_in), notice, now)

    def alipay(self, stand_in: AlipayStandIn) -> Asked:
        notice = stand_in.notice(TRADE, notify_time=f"{NOW.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}")
        return lambda now: outcome(made(alipay_of, stand_in), notice, now)

    def apple(self, stand_in: AppStoreStandIn) -> Asked:
        notice = stand_in.notice("TEST", stand_in.buy(TOKEN), signedDate=int(NOW.timestamp()) * 1000)
        return lambda now: outcome(made(apple_of, stand_in), notice, now)

    @pytest.mark.parametrize(
        ("channel", "fixture", "oldest", "newest"),
        [
            ("wechat", "wechat_pay", timedelta(minutes=5), timedelta(minutes=5)),
            ("alipay", "alipay_gateway", timedelta(hours=25, minutes=30), timedelta(minutes=5)),
            ("apple", "app_store", timedelta(days=5), timedelta(minutes=5)),
        ],
    )
    def test_the_last_moment(
        self,
        request: pytest.FixtureRequest,
        channel: str,
        fixture: str,
        oldest: timedelta,
        newest: timedelta,
    ) -> None:
        ask: Asked = getattr(self, channel)(request.getfixturevalue(fixture))
        assert isinstance(ask(NOW + oldest), Notice)
        assert isinstance(ask(NOW - newest), Notice)
        assert ask(NOW + oldest + SECOND) == ask(NOW - newest - SECOND) == "forged: age"


@pytest.mark.parametrize(
    ("channel", "fixture"),
    [(wechat_of, "wechat_pay"), (alipay_of, "alipay_gateway"), (apple_of, "app_store")],
)
def test_answers_to_notifications(request: pytest.FixtureRequest, channel: Any, fixture: str) -> None:
    stand_in = request.getfixturevalue(fixture)
    answering: PaymentChannel = made(channel, stand_in)
    assert answering.accepted().status == 200
    forged, wrong, ours = (
        answering.refused(refusal).status
        for refusal in (
            NoticeRefused("x", is_forged=True), NoticeRefused("x"), NoticeRefused("x", is_ours=True)
        )
    )  # fmt: skip
    expected = {"wechat": (401, 400, 503), "alipay": (200, 200, 200)}.get(answering.name, (400, 400, 503))
    assert (forged, wrong, ours) == expected
    refused = answering.refused(NoticeRefused("x", is_ours=True))
    assert refused.headers == ({"Retry-After": "5"} if refused.status == 503 else {})
    assert answering.accepted().headers == answering.refused(NoticeRefused("x")).headers == {}


class TestWechat:
    def told(self, stand_in: WechatPayStandIn, **changes: Any) -> Notice | str:
        resource = {**stand_in._told(stand_in.trades[TRADE]), **changes}
        return outcome(
            made(wechat_of, stand_in), stand_in.notice_of("TRANSACTION.SUCCESS", resource), datetime.now(UTC)
        )

    def refunded(self, stand_in: WechatPayStandIn, **changes: Any) -> Notice | str:
        resource = {
            "mchid": "1900000109", "out_trade_no": TRADE, "transaction_id": "42", "out_refund_no": "R1",
            "refund_status": "SUCCESS", "amount": {"total": 3000, "refund": 1000}, **changes,
        }  # fmt: skip
        return outcome(
            made(wechat_of, stand_in), stand_in.notice_of("REFUND.SUCCESS", resource), datetime.now(UTC)
        )

    def test_lengths(self, wechat_pay: WechatPayStandIn) -> None:
        for field, most in (("transaction_id", 32), ("out_trade_no", 32)):
            for taken in ("x", "x" * most):
                assert isinstance(self.told(wechat_pay, **{field: taken}), Notice), field
            assert self.told(wechat_pay, **{field: "x" * (most + 1)}) == f"wrong: {field}"
            assert self.told(wechat_pay, **{field: ""}) == f"wrong: {field}"
        assert fact_of(self.refunded(wechat_pay, out_refund_no="R" * 64)).refund_id == "R" * 64
        assert self.refunded(wechat_pay, out_refund_no="R" * 65) == "wrong: out_refund_no"
        assert fact_of(self.told(wechat_pay, payer={"openid": "o" * 129})).payer == "o" * 128

    def test_names_of_notifications(self, wechat_pay: WechatPayStandIn) -> None:
        def read(**around: Any) -> Notice | str:
            notice = wechat_pay.notice_of("SOMETHING.NEW", {"mchid": "1900000109"}, **around)
            return outcome(made(wechat_of, wechat_pay), notice, datetime.now(UTC))

        assert isinstance(read(id="i" * 64, event_type="E" * 32), Notice)
        assert read(id="i" * 65) == read(event_type="E" * 33) == "wrong: id"

    def test_amounts(self, wechat_pay: WechatPayStandIn) -> None:
        for total in (0, 1):
            amount = {"total": total, "currency": "CNY"}
            assert fact_of(self.told(wechat_pay, amount=amount)).amount_fen == total
        for refund in (1, 3000):
            fact = fact_of(self.refunded(wechat_pay, amount={"total": 3000, "refund": refund}))
            assert (fact.refunded_fen, fact.amount_fen, fact.currency) == (refund, 3000, "CNY")
        for refund in (0, 3001):
            amount = {"total": 3000, "refund": refund}
            assert self.refunded(wechat_pay, amount=amount) == "wrong: amount"

    @pytest.mark.parametrize(("digits", "reason"), [(12, "age"), (13, "timestamp")])
    def test_a_time_has_twelve_digits_at_most(
        self, wechat_pay: WechatPayStandIn, digits: int, reason: str
    ) -> None:
        headers, body = wechat_pay.notice(TRADE)
        notice = ({**headers, "Wechatpay-Timestamp": "9" * digits}, body)
        assert outcome(made(wechat_of, wechat_pay), notice, NOW) == f"forged: {reason}"

    @pytest.mark.parametrize(
        ("status", "code", "is_final"),
        [
            (399, "X", False), (400, "PARAM_ERROR", True), (403, "NO_AUTH", True), (499, "X", True),
            (429, "RATELIMIT_EXCEEDED", False), (400, "SYSTEM_ERROR", False), (403, "FREQUENCY_LIMITED", False),
            (400, "BANK_ERROR", False), (400, "USER_PAYING", False), (500, "PARAM_ERROR", False), (502, "X", False),
        ],
    )  # fmt: skip
    def test_refusals_that_asking_again_would_not_change(
        self, wechat_pay: WechatPayStandIn, status: int, code: str, is_final: bool
    ) -> None:
        wechat_pay.misbehave = Answer.of_json(status, {"code": code})
        try:
            with pytest.raises(PaymentFailed) as caught:
                made(wechat_of, wechat_pay).close(TRADE)
        finally:
            wechat_pay.misbehave = None
        assert (caught.value.reason, caught.value.is_final) == (f"http_{status} {code}", is_final)

    def test_a_refusal_is_a_short_word(self, wechat_pay: WechatPayStandIn) -> None:
        wechat_pay.misbehave = Answer.of_json(400, {"code": "C" * 41})
        try:
            with pytest.raises(PaymentFailed) as caught:
                made(wechat_of, wechat_pay).close(TRADE)
        finally:
            wechat_pay.misbehave = None
        assert caught.value.reason == f"http_400 {'C' * 40}"

    def test_codes_of_an_order_that_is_closed_paid_or_unknown(self, wechat_pay: WechatPayStandIn) -> None:
        channel = made(wechat_of, wechat_pay)
        try:
            for code, is_closed in (
                ("ORDER_CLOSED", True), ("ORDERCLOSED", True), ("ORDER_NOT_EXIST", True), ("ORDERNOTEXIST", True),
                ("ORDER_PAID", False), ("ORDERPAID", False), ("TRADE_STATE_ERROR", False),
            ):  # fmt: skip
                wechat_pay.misbehave = Answer.of_json(400, {"code": code})
                assert channel.close(TRADE) is is_closed, code
            wechat_pay.misbehave = Answer.of_json(404, {"code": "ORDER_NOT_EXIST"})
            assert (channel.query(TRADE, "", NOW), channel.find_refund("R1")) == (None, None)
            for ask in (lambda: channel.query(TRADE, "", NOW), lambda: channel.find_refund("R1")):
                for answer in (
                    Answer.of_json(404, {"code": "NOT_FOUND"}),
                    Answer.of_json(400, {"code": "ORDER_NOT_EXIST"}),
                ):
                    wechat_pay.misbehave = answer
                    with pytest.raises(PaymentFailed):
                        ask()
        finally:
            wechat_pay.misbehave = None

    def test_a_payment_that_was_given_back_does_not_say_how_much(self, wechat_pay: WechatPayStandIn) -> None:
        trade = payment("20261129000000000000000002")
        channel = made(wechat_of, wechat_pay)
        params = channel.create(trade, datetime.now(UTC))
        assert (len(params["noncestr"]), int(params["noncestr"], 16) >= 0) == (32, True)
        wechat_pay.pay(trade.trade_no)
        wechat_pay.give_back(trade.trade_no, 1000)
        wechat_pay.trades[trade.trade_no]["state"] = "REFUND"
        fact = channel.query(trade.trade_no, "", datetime.now(UTC))
        assert fact is not None
        assert (fact.kind, fact.refunded_fen, fact.is_part_unknown) == (FactKind.REFUNDED, 0, True)


class TestAlipay:
    def told(self, stand_in: AlipayStandIn, **changes: str | None) -> Notice | str:
        return outcome(made(alipay_of, stand_in), stand_in.notice(TRADE, **changes), datetime.now(UTC))

    def test_lengths(self, alipay_gateway: AlipayStandIn) -> None:
        for field, most in (("notify_id", 128), ("trade_no", 64), ("out_trade_no", 32)):
            for taken in ("x", "x" * most):
                assert isinstance(self.told(alipay_gateway, **{field: taken}), Notice), field
            for refused in ("x" * (most + 1), "", "x\n", "é"):
                assert self.told(alipay_gateway, **{field: refused}) == f"wrong: {field}"
        assert fact_of(self.told(alipay_gateway, buyer_open_id="o" * 129)).payer == "o" * 128
        assert fact_of(self.told(alipay_gateway, trans_currency="USD")).currency == "USD"

    def test_a_refund_gives_back_all_at_most(self, alipay_gateway: AlipayStandIn) -> None:
        assert fact_of(self.told(alipay_gateway, refund_fee="30.00")).refunded_fen == 3000
        assert self.told(alipay_gateway, refund_fee="30.01") == "wrong: refund_fee"

    @pytest.mark.parametrize(("fields", "reason"), [(100, "sign_type"), (101, "unreadable")])
    def test_a_form_has_a_hundred_fields_at_most(
        self, alipay_gateway: AlipayStandIn, fields: int, reason: str
    ) -> None:
        body = b"&".join(b"f%d=1" % number for number in range(fields))
        assert outcome(made(alipay_of, alipay_gateway), ({}, body), NOW) == f"forged: {reason}"

    @pytest.mark.parametrize(
        ("answer", "reason", "is_final"),
        [
            ({"code": "40004", "sub_code": "ACQ.SELLER_NOT_EXIST"}, "ACQ.SELLER_NOT_EXIST", True),
            ({"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"}, "ACQ.SYSTEM_ERROR", False),
            ({"code": "40004", "sub_code": "isp.unknow-error"}, "isp.unknow-error", False),
            ({"code": "40004", "sub_code": "S" * 61}, "S" * 60, True),
            ({"code": "40004"}, "40004", True),
            ({"code": "20000", "sub_code": "isp.gone"}, "isp.gone", False),
            ({"code": "40006", "sub_code": "isv.forbidden"}, "isv.forbidden", False),
            ({}, "no_answer", False),
        ],
    )  # fmt: skip
    def test_refusals_that_asking_again_would_not_change(
        self, alipay_gateway: AlipayStandIn, answer: dict[str, str], reason: str, is_final: bool
    ) -> None:
        alipay_gateway.misbehave = alipay_gateway._signed("alipay_trade_close_response", answer)
        try:
            with pytest.raises(PaymentFailed) as caught:
                made(alipay_of, alipay_gateway).close(TRADE)
        finally:
            alipay_gateway.misbehave = None
        assert (caught.value.reason, caught.value.is_final) == (reason, is_final)

    def test_answers_about_a_payment(self, alipay_gateway: AlipayStandIn) -> None:
        channel = made(alipay_of, alipay_gateway)
        good = {
            "code": "10000", "out_trade_no": TRADE, "trade_no": "2026", "trade_status": "TRADE_SUCCESS",
            "total_amount": "30.00", "send_pay_date": "2026-11-29 20:00:00", "buyer_user_id": "u" * 129,
        }  # fmt: skip

        def ask(**changes: str) -> Any:
            alipay_gateway.misbehave = alipay_gateway._signed(
                "alipay_trade_query_response", {**good, **changes}
            )
            try:
                return channel.query(TRADE, "", NOW)
            except PaymentFailed as failed:
                return failed.reason
            finally:
                alipay_gateway.misbehave = None

        fact = ask()
        assert (fact.kind, fact.at, fact.payer, fact.currency) == (FactKind.PAID, NOW, "u" * 128, "CNY")
        assert fact.refund_id == ""
        assert ask(trade_status="TRADE_FINISHED").kind is FactKind.PAID
        assert ask(trans_currency="USD", buyer_open_id="o").currency == "USD"
        assert ask(buyer_open_id="o").payer == "o"
        closed = ask(trade_status="TRADE_CLOSED")
        assert (closed.kind, closed.refund_id) == (FactKind.REFUNDED, f"total:{TRADE}")
        assert ask(trade_status="TRADE_CLOSED", send_pay_date="").kind is FactKind.CLOSED
        assert ask(trade_status="WAIT_BUYER_PAY") is None
        assert ask(trade_status="TRADE_NEW") == "answer_trade_status"
        assert ask(out_trade_no="20990101000000000000000000") == "answer_out_trade_no"
        assert ask(total_amount="30") == "answer_total_amount"


class TestApple:
    def notice(self, stand_in: AppStoreStandIn, **changes: Any) -> Notice | str:
        told = stand_in.notice("TEST", stand_in.buy(TOKEN), **changes)
        return outcome(made(apple_of, stand_in), told, datetime.now(UTC))

    def test_times_are_milliseconds_of_a_calendar(self, app_store: AppStoreStandIn) -> None:
        for at in (None, "1764000000000", 1.5, True):
            assert str(self.notice(app_store, signedDate=at)).startswith("forged: ")
        # When it was signed decides whether the certificates were valid: in no other century.
        for at_ms in (0, 1, 2**45, 2**53):
            assert str(self.notice(app_store, signedDate=at_ms)).startswith("forged: ")
        bought = app_store.buy(TOKEN)
        channel = made(apple_of, app_store)
        for at_ms in (1, 2**45 - 1):
            fact = channel.read_receipt(app_store.receipt(bought, purchaseDate=at_ms), NOW)
            assert fact.at == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
        for at_ms in (0, 2**45):
            with pytest.raises(NoticeRefused, match="purchase_date"):
                channel.read_receipt(app_store.receipt(bought, purchaseDate=at_ms), NOW)

    def test_names_of_notifications(self, app_store: AppStoreStandIn) -> None:
        for taken in ("n", "n" * 64):
            assert isinstance(self.notice(app_store, notificationUUID=taken), Notice)
        for refused in ("", "n" * 65):
            assert self.notice(app_store, notificationUUID=refused) == "wrong: notification"

    @pytest.mark.parametrize(
        ("number", "is_known"), [(4040010, False), (4040001, False), (4040002, True), (4000006, True)]
    )
    def test_a_transaction_that_apple_does_not_know(
        self, app_store: AppStoreStandIn, number: int, is_known: bool
    ) -> None:
        app_store.misbehave = Answer(
            404,
            json.dumps({"errorCode": number, "errorMessage": "x"}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            if is_known:
                with pytest.raises(PaymentFailed, match="http_404"):
                    made(apple_of, app_store).query("", "123", NOW)
            else:
                assert made(apple_of, app_store).query("", "123", NOW) is None
        finally:
            app_store.misbehave = None

    def test_a_payment_that_was_revoked_is_none(self, app_store: AppStoreStandIn) -> None:
        bought = app_store.buy(TOKEN)
        told = app_store.notice("ONE_TIME_CHARGE", bought)
        assert fact_of(outcome(made(apple_of, app_store), told, datetime.now(UTC))).kind is FactKind.PAID
        app_store.give_back(bought)
        told = app_store.notice("ONE_TIME_CHARGE", bought)
        assert outcome(made(apple_of, app_store), told, datetime.now(UTC)) == "wrong: revoked"
