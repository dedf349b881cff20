"""Notifications and answers of WeChat Pay and Alipay at the last value that is taken, and one beyond."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from datingtoday.infra.payments.provider import Fact, FactKind, NoticeRefused, PaymentFailed, Refund
from tests.infra.payments.channels import alipay_of, payment, wechat_of
from tests.stand_ins.alipay import AlipayStandIn
from tests.stand_ins.http_server import Answer
from tests.stand_ins.wechat_pay import WechatPayStandIn

TRADE = payment().trade_no
SENT = datetime(2026, 5, 4, 4, 0, 0, tzinfo=UTC)
HOUR = 3600


@pytest.fixture
def alipay() -> Iterator[AlipayStandIn]:
    with AlipayStandIn() as made:
        made.open_cashier(alipay_of(made).create(payment(), datetime.now(UTC))["order_string"])
        made.pay(TRADE)
        yield made


@pytest.fixture
def wechat() -> Iterator[WechatPayStandIn]:
    with WechatPayStandIn() as made:
        wechat_of(made).create(payment(), datetime.now(UTC))
        made.pay(TRADE)
        yield made


def alipay_reads(made: AlipayStandIn, now: datetime | None = None, **changes: Any) -> Fact:
    """:raises NoticeRefused:"""
    fact = alipay_of(made).read_notice({}, made.notice(TRADE, **changes)[1], now or datetime.now(UTC)).fact
    assert fact is not None
    return fact


def wechat_reads(
    made: WechatPayStandIn, notice: tuple[dict[str, str], bytes], now: datetime | None = None
) -> Fact:
    """:raises NoticeRefused:"""
    headers, body = notice
    lower = {name.lower(): value for name, value in headers.items()}
    fact = wechat_of(made).read_notice(lower, body, now or datetime.now(UTC)).fact
    assert fact is not None
    return fact


@pytest.mark.parametrize(
    ("age_s", "is_taken"),
    [(25 * HOUR + 1800, True), (25 * HOUR + 1801, False), (-300, True), (-301, False)],
)
def test_alipay_repeats_for_25_hours(alipay: AlipayStandIn, age_s: int, is_taken: bool) -> None:
    now = SENT + timedelta(seconds=age_s)
    if is_taken:
        assert alipay_reads(alipay, now, notify_time="2026-05-04 12:00:00").kind is FactKind.PAID
        return
    with pytest.raises(NoticeRefused, match="age") as refused:
        alipay_reads(alipay, now, notify_time="2026-05-04 12:00:00")
    assert refused.value.is_forged


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"notify_id": "x" * 128}, ""),
        ({"notify_id": "x" * 129}, "notify_id"),
        ({"notify_id": "x"}, ""),
        ({"trade_no": "x" * 64}, ""),
        ({"trade_no": "x" * 65}, "trade_no"),
        ({"trade_no": "x\x7f"}, "trade_no"),
        ({"out_trade_no": "x" * 32}, ""),
        ({"out_trade_no": "x" * 33}, "out_trade_no"),
        ({"refund_fee": "30.00"}, ""),
        ({"refund_fee": "30.01"}, "refund_fee"),
        ({"charset": "UTF-8"}, ""),
        ({"charset": None}, ""),
    ],
)
def test_fields_of_alipay(alipay: AlipayStandIn, change: dict[str, Any], reason: str) -> None:
    if not reason:
        alipay_reads(alipay, **change)
        return
    with pytest.raises(NoticeRefused) as refused:
        alipay_reads(alipay, **change)
    assert (refused.value.reason, refused.value.is_forged) == (reason, False)
    assert refused.value.trade_no == (change.get("out_trade_no") or TRADE)[:32]


def test_values_of_alipay(alipay: AlipayStandIn) -> None:
    assert alipay_reads(alipay, trans_currency="USD").currency == "USD"
    assert alipay_reads(alipay).currency == "CNY"
    assert alipay_reads(alipay, buyer_id="x" * 129).payer == "x" * 128
    told = alipay_reads(alipay, refund_fee="30.00")
    assert (told.kind, told.refunded_fen, told.refund_id) == (FactKind.REFUNDED, 3000, f"total:{TRADE}")
    closed = alipay_reads(alipay, trade_status="TRADE_CLOSED")
    assert (closed.kind, closed.transaction_id) == (FactKind.CLOSED, "")
    for forged in (b"a=1&a=1", b"\xff", b"sign=x"):
        with pytest.raises(NoticeRefused) as refused:
            alipay_of(alipay).read_notice({}, forged, SENT)
        assert refused.value.is_forged


@pytest.mark.parametrize(("age_s", "is_taken"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_wechat_pay_is_believed_for_five_minutes(
    wechat: WechatPayStandIn, age_s: int, is_taken: bool
) -> None:
    resource = wechat._told(wechat.trades[TRADE])
    notice = wechat.notice_of("TRANSACTION.SUCCESS", resource, timestamp=int(SENT.timestamp()))
    now = SENT + timedelta(seconds=age_s)
    if is_taken:
        assert wechat_reads(wechat, notice, now).kind is FactKind.PAID
        return
    with pytest.raises(NoticeRefused, match="age") as refused:
        wechat_reads(wechat, notice, now)
    assert refused.value.is_forged


def amount(total: Any, **more: Any) -> dict[str, Any]:
    return {"total": total, "currency": "CNY", **more}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"transaction_id": "x" * 32}, ""),
        ({"transaction_id": "x" * 33}, "transaction_id"),
        ({"transaction_id": "x"}, ""),
        ({"transaction_id": ""}, "transaction_id"),
        ({"out_trade_no": "x" * 32}, ""),
        ({"out_trade_no": "x" * 33}, "out_trade_no"),
        ({"amount": amount(0)}, ""),
        ({"amount": amount(-1)}, "amount"),
        ({"amount": {"total": 1}}, "currency"),
        ({"amount": amount(1, currency=1)}, "currency"),
        ({"payer": None}, ""),
    ],
)
def test_payments_of_wechat_pay(wechat: WechatPayStandIn, change: dict[str, Any], reason: str) -> None:
    notice = wechat.notice(TRADE, **change)
    if not reason:
        assert wechat_reads(wechat, notice).kind is FactKind.PAID
        return
    with pytest.raises(NoticeRefused) as refused:
        wechat_reads(wechat, notice)
    assert (refused.value.reason, refused.value.is_forged) == (reason, False)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"amount": {"total": 3000, "refund": 3000}}, ""),
        ({"amount": {"total": 3000, "refund": 1}}, ""),
        ({"amount": {"total": 3000, "refund": 3001}}, "amount"),
        ({"amount": {"total": 3000, "refund": 0}}, "amount"),
        ({"amount": {"total": 3000, "refund": True}}, "amount"),
        ({"out_refund_no": "x" * 64}, ""),
        ({"out_refund_no": "x" * 65}, "out_refund_no"),
        ({"refund_status": "PROCESSING"}, "refund_status"),
    ],
)
def test_refunds_of_wechat_pay(wechat: WechatPayStandIn, change: dict[str, Any], reason: str) -> None:
    notice = wechat.refund_notice(wechat.give_back(TRADE, 3000), **change)
    if not reason:
        told = wechat_reads(wechat, notice)
        assert (told.kind, told.currency) == (FactKind.REFUNDED, "CNY")
        return
    with pytest.raises(NoticeRefused) as refused:
        wechat_reads(wechat, notice)
    assert (refused.value.reason, refused.value.is_forged, refused.value.trade_no) == (reason, False, TRADE)


@pytest.mark.parametrize(
    ("change", "is_taken"),
    [({"id": "x" * 64}, True), ({"id": "x" * 65}, False), ({"id": ""}, False), ({"id": "ü"}, False)],
)
def test_notices_of_wechat_pay(wechat: WechatPayStandIn, change: dict[str, Any], is_taken: bool) -> None:
    notice = wechat.notice_of("TRANSACTION.SUCCESS", wechat._told(wechat.trades[TRADE]), **change)
    if is_taken:
        assert wechat_reads(wechat, notice).kind is FactKind.PAID
        return
    with pytest.raises(NoticeRefused, match="id"):
        wechat_reads(wechat, notice)


def test_a_long_name_of_a_payer_is_kept_in_part(wechat: WechatPayStandIn) -> None:
    assert wechat_reads(wechat, wechat.notice(TRADE, payer={"openid": "x" * 129})).payer == "x" * 128


def test_other_events_of_wechat_pay_are_no_news(wechat: WechatPayStandIn) -> None:
    for kind, is_taken in (("x" * 32, True), ("x" * 33, False)):
        headers, body = wechat.notice_of(kind, {})
        lower = {name.lower(): value for name, value in headers.items()}
        if is_taken:
            assert wechat_of(wechat).read_notice(lower, body, datetime.now(UTC)).fact is None
            continue
        with pytest.raises(NoticeRefused, match="id"):
            wechat_of(wechat).read_notice(lower, body, datetime.now(UTC))


@pytest.mark.parametrize(
    ("status", "code", "is_final"),
    [
        (400, "PARAM_ERROR", True),
        (499, "", True),
        (500, "SYSTEM_ERROR", False),
        (429, "RATELIMIT_EXCEEDED", False),
        (430, "", True),
        (399, "", False),
        (401, "x" * 50, True),
    ],
)
def test_failures_of_wechat_pay_are_final_or_pass(
    wechat: WechatPayStandIn, status: int, code: str, is_final: bool
) -> None:
    failed = wechat_of(wechat)._failed(status, {"code": code})
    assert isinstance(failed, PaymentFailed)
    assert (failed.is_final, failed.reason) == (is_final, f"http_{status} {code[:40]}".strip())


def test_failures_of_alipay_are_final_or_pass(alipay: AlipayStandIn) -> None:
    refund = Refund(TRADE, "2026unknown", "R1", 3000, 3000)
    with pytest.raises(PaymentFailed) as failed:
        alipay_of(alipay).refund(refund)
    assert failed.value.is_final
    alipay.misbehave = Answer(503, b"")
    with pytest.raises(PaymentFailed) as failed:
        alipay_of(alipay).refund(refund)
    assert (failed.value.is_final, failed.value.reason) == (False, "http_503")
