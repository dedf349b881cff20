"""Alipay: requests, notifications, and what the library would let through."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from datingtoday.infra.payments.alipay import fen_of, yuan_of
from datingtoday.infra.payments.provider import FactKind, NoticeRefused, PaymentFailed, Refund
from tests.infra.payments.channels import alipay_of, payment
from tests.stand_ins.alipay import BEIJING, AlipayStandIn
from tests.stand_ins.http_server import Answer, Hang
from tests.stand_ins.wechat_pay import private_pem, public_pem, rsa_key

TRADE = payment().trade_no


@pytest.fixture
def stand_in() -> Iterator[AlipayStandIn]:
    with AlipayStandIn() as made:
        yield made


@pytest.fixture
def paid(stand_in: AlipayStandIn) -> AlipayStandIn:
    stand_in.open_cashier(alipay_of(stand_in).create(payment(), datetime.now(UTC))["order_string"])
    stand_in.pay(TRADE)
    return stand_in


def read(stand_in: AlipayStandIn, body: bytes, **options: Any) -> Any:
    return alipay_of(stand_in, **options).read_notice({}, body, datetime.now(UTC))


def refused(stand_in: AlipayStandIn, body: bytes, **options: Any) -> NoticeRefused:
    """Refused, and without asking anybody anything."""
    before = len(stand_in.requests)
    with pytest.raises(NoticeRefused) as caught:
        read(stand_in, body, **options)
    assert len(stand_in.requests) == before
    assert alipay_of(stand_in).refused(caught.value).body == b"fail"
    return caught.value


def test_a_payment_and_its_life(stand_in: AlipayStandIn) -> None:
    channel, now = alipay_of(stand_in), datetime.now(UTC)
    order_string = channel.create(payment(), now)["order_string"]
    # Made here: Alipay knows of it only when the app hands it over, and cannot close it before.
    assert stand_in.requests == []
    assert (channel.query(TRADE, "", now), channel.close(TRADE)) == (None, False)
    stand_in.open_cashier(order_string)
    asked = stand_in.trades[TRADE]
    assert (asked["total_amount"], asked["product_code"]) == ("30.00", "QUICK_MSECURITY_PAY")
    assert asked["notify_url"].endswith("/api/pay/notify/alipay")
    expiry = datetime.strptime(asked["time_expire"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING)
    assert timedelta(minutes=29) < expiry - now < timedelta(minutes=31)
    stand_in.pay(TRADE)
    fact = channel.query(TRADE, "", now)
    assert fact is not None
    assert (fact.kind, fact.amount_fen, fact.trade_no) == (FactKind.PAID, 3000, TRADE)
    assert channel.close(TRADE) is False
    refund = Refund(TRADE, fact.transaction_id, "R1", 3000, 3000)
    assert [channel.refund(refund), channel.refund(refund)] == [True, True]
    again = channel.query(TRADE, "", now)
    assert again is not None and again.kind is FactKind.REFUNDED


def test_closing(stand_in: AlipayStandIn) -> None:
    channel = alipay_of(stand_in)
    stand_in.open_cashier(channel.create(payment(), datetime.now(UTC))["order_string"])
    assert channel.close(TRADE) is True
    fact = channel.query(TRADE, "", datetime.now(UTC))
    assert fact is not None and fact.kind is FactKind.CLOSED


@pytest.mark.parametrize("how", [Answer(500, b""), Answer(200, b"<html>"), Answer(200, b"{}"), Hang()])
def test_a_provider_that_fails(stand_in: AlipayStandIn, how: Any) -> None:
    stand_in.misbehave = how
    with pytest.raises(PaymentFailed) as caught:
        alipay_of(stand_in, timeout_s=0.3).query(TRADE, "", datetime.now(UTC))
    assert not caught.value.is_final


def test_an_answer_without_a_signature_or_with_another_key_is_none(paid: AlipayStandIn) -> None:
    channel, now = alipay_of(paid), datetime.now(UTC)
    paid.signs_answers = False
    with pytest.raises(PaymentFailed):
        channel.query(TRADE, "", now)
    paid.signs_answers, paid.key = True, rsa_key("foreign")
    with pytest.raises(PaymentFailed):
        channel.query(TRADE, "", now)


def test_a_refund_says_why(paid: AlipayStandIn) -> None:
    transaction_id = read(paid, paid.notice(TRADE)[1]).fact.transaction_id
    for number, reason in enumerate(("expired", "")):
        assert alipay_of(paid).refund(Refund(TRADE, transaction_id, f"R{number}", 100, 3000, reason=reason))
    assert paid.refund_reasons == ["expired", "refund"]


def test_a_refund_that_is_refused_is_final(paid: AlipayStandIn) -> None:
    with pytest.raises(PaymentFailed) as caught:
        alipay_of(paid).refund(Refund(TRADE, "2026unknown", "R1", 3000, 3000))
    assert (caught.value.is_final, caught.value.reason) == (True, "ACQ.TRADE_NOT_EXIST")


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_bare_base64_as_the_tools_print_it(paid: AlipayStandIn, form: PrivateFormat) -> None:
    def bare(pem: str) -> str:
        return "".join(pem.strip().splitlines()[1:-1])

    channel = alipay_of(
        paid,
        private_key=bare(private_pem(rsa_key("alipay app"), form)),
        public_keys=[bare(public_pem(rsa_key("alipay")))],
    )
    assert channel.query(TRADE, "", datetime.now(UTC)) is not None
    assert channel.read_notice({}, paid.notice(TRADE)[1], datetime.now(UTC)).fact is not None


def test_notifications(paid: AlipayStandIn) -> None:
    fact = read(paid, paid.notice(TRADE)[1]).fact
    assert (fact.kind, fact.amount_fen, fact.currency) == (FactKind.PAID, 3000, "CNY")
    assert read(paid, paid.notice(TRADE, trade_status="TRADE_FINISHED")[1]).fact.kind is FactKind.PAID
    assert read(paid, paid.notice(TRADE, trade_status="WAIT_BUYER_PAY")[1]).fact is None
    # Refunds come as ordinary notifications, with the sum so far.
    paid.give_back(TRADE, "10.00")
    fact = read(paid, paid.notice(TRADE)[1]).fact
    assert (fact.kind, fact.refunded_fen) == (FactKind.REFUNDED, 1000)
    paid.give_back(TRADE, "20.00")
    notice = paid.notice(TRADE)[1]
    assert dict(parse_qsl(notice.decode()))["trade_status"] == "TRADE_CLOSED"
    assert read(paid, notice).fact.refunded_fen == 3000


def test_the_payer_is_named_by_the_newer_id_where_there_is_one(paid: AlipayStandIn) -> None:
    found = alipay_of(paid).query(TRADE, "", datetime.now(UTC))
    assert found is not None and found.payer == "2088102169481075"
    assert read(paid, paid.notice(TRADE)[1]).fact.payer == "2088102169481075"
    assert (
        read(paid, paid.notice(TRADE, buyer_open_id="074a1CcTG1LelxKe")[1]).fact.payer == "074a1CcTG1LelxKe"
    )
    assert read(paid, paid.notice(TRADE, buyer_id=None)[1]).fact.payer == ""


def test_both_keys_of_a_rotation_count_while_they_are_listed(paid: AlipayStandIn) -> None:
    old = paid.notice(TRADE)[1]
    paid.key = rsa_key("new alipay")
    new = paid.notice(TRADE)[1]
    keys = [public_pem(rsa_key("new alipay")), public_pem(rsa_key("alipay"))]
    for body in (old, new):
        assert read(paid, body, public_keys=keys).fact.trade_no == TRADE
    assert refused(paid, old, public_keys=keys[:1]).is_forged


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.partition(b"&sign=")[0] + b"&sign=%25%25",
        lambda body: body.partition(b"&sign=")[0] + b"&sign=AAAA",
        lambda body: body.replace(b"sign=", b"sign=A"),
        lambda body: body.partition(b"&sign=")[0],
        lambda body: body + b"&extra=1",
        lambda body: body.replace(b"30.00", b"0.01"),
        lambda body: body.replace(b"sign_type=RSA2", b"sign_type=RSA"),
        lambda body: body.replace(b"sign_type=RSA2", b"sign_type=NONE"),
        lambda body: body + b"&total_amount=30.00",
        lambda body: b"",
        lambda body: b"\xff\xfe",
        lambda body: b"{}",
        lambda body: b"&".join(b"a%d=1" % number for number in range(101)),
    ],
)
def test_what_is_not_signed_so_is_refused(paid: AlipayStandIn, change: Any) -> None:
    assert refused(paid, change(paid.notice(TRADE)[1])).is_forged


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"app_id": "2021000000000002"}, "app_id"),
        ({"app_id": None}, "app_id"),
        ({"seller_id": "2088000000000002"}, "seller_id"),
        ({"seller_id": None}, "seller_id"),
        ({"notify_time": "2026-01-01 00:00:00"}, "age"),
        ({"notify_time": "2099-01-01 00:00:00"}, "age"),
        ({"notify_time": "yesterday"}, "notify_time"),
        ({"notify_time": None}, "notify_time"),
        ({"notify_id": None}, "notify_id"),
        ({"notify_id": "x" * 129}, "notify_id"),
        ({"trade_status": None}, "trade_status"),
        ({"trade_status": "TRADE_PAID"}, "trade_status"),
        ({"out_trade_no": None}, "out_trade_no"),
        ({"out_trade_no": "x" * 65}, "out_trade_no"),
        ({"trade_no": None}, "trade_no"),
        ({"trade_no": "ü"}, "trade_no"),
        ({"total_amount": None}, "total_amount"),
        ({"total_amount": "30"}, "total_amount"),
        ({"total_amount": "3e1"}, "total_amount"),
        ({"total_amount": "30.0"}, "total_amount"),
        ({"total_amount": "-30.00"}, "total_amount"),
        ({"total_amount": "NaN"}, "total_amount"),
        ({"total_amount": "٣٠.٠٠"}, "total_amount"),
        ({"refund_fee": "30.01"}, "refund_fee"),
        ({"refund_fee": "x"}, "refund_fee"),
        ({"gmt_payment": None}, "gmt_payment"),
        ({"gmt_payment": "x"}, "gmt_payment"),
        ({"charset": "gbk"}, "charset"),
    ],
)
def test_what_is_signed_rightly_and_wrong(paid: AlipayStandIn, change: dict[str, Any], reason: str) -> None:
    """The library checks neither app, seller, amount nor age."""
    assert refused(paid, paid.notice(TRADE, **change)[1]).reason == reason


@given(st.integers(0, 10**11 - 1))
def test_yuan_and_fen_are_each_other(fen: int) -> None:
    assert fen_of(yuan_of(fen), "total_amount") == fen


@given(st.text(max_size=12) | st.floats().map(str) | st.decimals().map(str))
def test_amounts_are_read_exactly_or_not_at_all(text: str) -> None:
    try:
        fen = fen_of(text, "total_amount")
    except NoticeRefused:
        return
    assert yuan_of(fen) == text
