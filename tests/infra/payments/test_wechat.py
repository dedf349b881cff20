"""WeChat Pay: requests, notifications, and what the library would let through."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from datingtoday.infra.payments.provider import FactKind, NoticeRefused, PaymentFailed, Refund
from tests.infra.payments.channels import lower, payment, wechat_of
from tests.stand_ins.http_server import Answer, Hang
from tests.stand_ins.wechat_pay import (
    APP_ID,
    KEY_ID,
    MCH_ID,
    WechatPayStandIn,
    platform_certificate,
    public_pem,
    rsa_key,
)

TRADE = payment().trade_no


@pytest.fixture
def stand_in() -> Iterator[WechatPayStandIn]:
    with WechatPayStandIn() as made:
        yield made


@pytest.fixture
def paid(stand_in: WechatPayStandIn) -> WechatPayStandIn:
    wechat_of(stand_in).create(payment(), datetime.now(UTC))
    stand_in.pay(TRADE)
    return stand_in


def read(stand_in: WechatPayStandIn, notice: tuple[dict[str, str], bytes], **options: Any) -> Any:
    headers, body = notice
    return wechat_of(stand_in, **options).read_notice(lower(headers), body, datetime.now(UTC))


def refused(
    stand_in: WechatPayStandIn, notice: tuple[dict[str, str], bytes], **options: Any
) -> NoticeRefused:
    """Refused, and without asking anybody anything."""
    before = len(stand_in.requests)
    with pytest.raises(NoticeRefused) as caught:
        read(stand_in, notice, **options)
    assert len(stand_in.requests) == before
    return caught.value


def test_a_payment_and_its_life(stand_in: WechatPayStandIn) -> None:
    channel, now = wechat_of(stand_in), datetime.now(UTC)
    assert channel.query(TRADE, "", now) is None
    params = channel.create(payment(), now)
    assert set(params) == {"appid", "partnerid", "prepayid", "package", "noncestr", "timestamp", "sign"}
    assert (params["appid"], params["partnerid"], params["package"]) == (APP_ID, MCH_ID, "Sign=WXPay")
    assert channel.create(payment(), now)["prepayid"] == params["prepayid"]
    asked = stand_in.trades[TRADE]
    assert asked["amount"] == {"total": 3000, "currency": "CNY"}
    assert asked["time_expire"].endswith("+08:00")
    assert channel.query(TRADE, "", now) is None
    stand_in.pay(TRADE)
    fact = channel.query(TRADE, "", now)
    assert fact is not None
    assert (fact.kind, fact.amount_fen, fact.trade_no) == (FactKind.PAID, 3000, TRADE)
    assert channel.close(TRADE) is False
    refund = Refund(TRADE, fact.transaction_id, "R1", 3000, 3000)
    assert [channel.refund(refund), channel.refund(refund)] == [True, True]
    assert stand_in.trades[TRADE]["refunded"] == 3000
    again = channel.query(TRADE, "", now)
    assert again is not None and again.kind is FactKind.REFUNDED


def test_the_sign_of_the_app_is_ours(stand_in: WechatPayStandIn) -> None:
    import base64

    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.hashes import SHA256

    params = wechat_of(stand_in).create(payment(), datetime.now(UTC))
    text = "".join(f"{params[name]}\n" for name in ("appid", "timestamp", "noncestr", "prepayid"))
    rsa_key("merchant").public_key().verify(
        base64.b64decode(params["sign"]), text.encode(), padding.PKCS1v15(), SHA256()
    )


def test_closing(stand_in: WechatPayStandIn) -> None:
    channel = wechat_of(stand_in)
    assert channel.close(TRADE) is True
    channel.create(payment(), datetime.now(UTC))
    assert [channel.close(TRADE), channel.close(TRADE)] == [True, True]
    fact = channel.query(TRADE, "", datetime.now(UTC))
    assert fact is not None and fact.kind is FactKind.CLOSED


def test_a_refund_that_takes_its_time_or_fails(paid: WechatPayStandIn) -> None:
    channel = wechat_of(paid)
    refund = Refund(TRADE, paid.trades[TRADE]["transaction_id"], "R1", 3000, 3000)
    paid.refund_status = "PROCESSING"
    assert channel.refund(refund) is False
    paid.refund_status = "ABNORMAL"
    with pytest.raises(PaymentFailed) as caught:
        channel.refund(refund)
    assert caught.value.is_final


@pytest.mark.parametrize(
    "how",
    [
        Answer.of_json(500, {"code": "SYSTEM_ERROR"}),
        Answer.of_json(429, {"code": "FREQUENCY_LIMITED"}),
        Answer(200, b"<html>", {"Content-Type": "text/html"}),
        Answer.of_json(200, {"prepay_id": "wx1"}),
        Hang(),
    ],
)
def test_a_provider_that_fails(stand_in: WechatPayStandIn, how: Any) -> None:
    """An answer that is not signed is none."""
    stand_in.misbehave = how
    with pytest.raises(PaymentFailed) as caught:
        wechat_of(stand_in, timeout_s=0.3).create(payment(), datetime.now(UTC))
    assert not caught.value.is_final


def test_an_answer_without_a_signature_or_with_another_key_is_none(paid: WechatPayStandIn) -> None:
    channel, now = wechat_of(paid), datetime.now(UTC)
    paid.signs_answers = False
    with pytest.raises(PaymentFailed):
        channel.query(TRADE, "", now)
    paid.signs_answers = True
    paid.keys[KEY_ID] = rsa_key("foreign")
    with pytest.raises(PaymentFailed):
        channel.query(TRADE, "", now)


def test_a_wrong_merchant_key_is_final(stand_in: WechatPayStandIn) -> None:
    stand_in.merchant = rsa_key("foreign").public_key()
    with pytest.raises(PaymentFailed) as caught:
        wechat_of(stand_in).create(payment(), datetime.now(UTC))
    assert (caught.value.is_final, caught.value.reason) == (True, "http_401 SIGN_ERROR")


def test_a_notification(paid: WechatPayStandIn) -> None:
    headers, body = paid.notice(TRADE)
    first, again = read(paid, (headers, body)), read(paid, (headers, body))
    assert first.notice_id == again.notice_id
    assert (first.fact.kind, first.fact.amount_fen, first.fact.currency) == (FactKind.PAID, 3000, "CNY")
    assert first.fact.payer == "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
    refund_no = paid.give_back(TRADE, 1000)
    fact = read(paid, paid.refund_notice(refund_no)).fact
    assert (fact.kind, fact.refunded_fen, fact.refund_id) == (FactKind.REFUNDED, 1000, refund_no)
    assert read(paid, paid.notice_of("REFUND.ABNORMAL", {"out_trade_no": TRADE})).fact is None


def test_the_other_key_of_a_rotation_counts_while_it_is_listed(paid: WechatPayStandIn) -> None:
    serial, certificate = platform_certificate(rsa_key("old platform"))
    paid.keys[serial] = rsa_key("old platform")
    both = {KEY_ID: public_pem(rsa_key("wechat")), serial: certificate}
    paid.key_id = serial
    old = paid.notice(TRADE)
    paid.key_id = KEY_ID
    new = paid.notice(TRADE)
    for notice in (old, new):
        assert read(paid, notice, public_keys=both).fact.trade_no == TRADE
    # Taken off the list: refused, and no certificate is fetched for it.
    assert refused(paid, old).reason == "serial"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Wechatpay-Serial": "PUB_KEY_ID_FOREIGN"}, "serial"),
        ({"Wechatpay-Serial": ""}, "serial"),
        ({"Wechatpay-Serial": "not hex"}, "serial"),
        ({"Wechatpay-Timestamp": ""}, "timestamp"),
        ({"Wechatpay-Timestamp": "１２３"}, "timestamp"),
        ({"Wechatpay-Timestamp": "9" * 40}, "timestamp"),
        ({"Wechatpay-Nonce": "other"}, "signature"),
        ({"Wechatpay-Signature": ""}, "signature"),
        ({"Wechatpay-Signature": "%%%"}, "signature"),
        ({"Wechatpay-Signature": "AAAA"}, "signature"),
        ({"Wechatpay-Signature-Type": "WECHATPAY2-SM2-WITH-SM3"}, "signature_type"),
    ],
)
def test_headers_that_are_wrong(paid: WechatPayStandIn, change: dict[str, str], reason: str) -> None:
    headers, body = paid.notice(TRADE)
    refusal = refused(paid, ({**headers, **change}, body))
    assert (refusal.is_forged, refusal.reason) in ((True, reason), (True, "unreadable"))
    answer = wechat_of(paid).refused(refusal)
    assert (answer.status, json.loads(answer.body)["code"]) == (401, "FAIL")


def test_a_notification_without_the_signature_type_is_read(paid: WechatPayStandIn) -> None:
    headers, body = paid.notice(TRADE)
    del headers["Wechatpay-Signature-Type"]
    assert read(paid, (headers, body)).fact.trade_no == TRADE


@pytest.mark.parametrize("age_s", [301, 86_400, -360])
def test_an_old_notification_is_refused(paid: WechatPayStandIn, age_s: int) -> None:
    resource = paid._told(paid.trades[TRADE])
    notice = paid.notice_of("TRANSACTION.SUCCESS", resource, timestamp=int(time.time()) - age_s)
    assert refused(paid, notice).reason == "age"


def test_a_changed_body_is_refused(paid: WechatPayStandIn) -> None:
    headers, body = paid.notice(TRADE)
    for changed in (body + b" ", body[:-1], b"", b"\xff", b"[]"):
        assert refused(paid, (headers, changed)).is_forged


BAD: list[Any] = [None, "", "x" * 65, 1, -1, 1.5, True, [], {}, "ü", "\x00"]


@pytest.mark.parametrize(
    "field", ["appid", "mchid", "out_trade_no", "transaction_id", "trade_state", "success_time"]
)
def test_every_field_of_a_payment_missing_or_of_another_type(paid: WechatPayStandIn, field: str) -> None:
    resource = {**paid._told(paid.trades[TRADE])}
    for value in BAD:
        assert not refused(paid, paid.notice_of("TRANSACTION.SUCCESS", {**resource, field: value})).is_forged
    del resource[field]
    assert not refused(paid, paid.notice_of("TRANSACTION.SUCCESS", resource)).is_forged


@pytest.mark.parametrize("value", [None, "3000", 30.0, True, -1, [], {}])
def test_amounts_that_are_none(paid: WechatPayStandIn, value: Any) -> None:
    resource = paid._told(paid.trades[TRADE])
    amounts: list[Any] = [value, {"total": value, "currency": "CNY"}]
    # Any text is a currency here; the order knows which one is right.
    amounts += [] if isinstance(value, str) else [{"total": 3000, "currency": value}]
    for amount in amounts:
        refusal = refused(paid, paid.notice_of("TRANSACTION.SUCCESS", {**resource, "amount": amount}))
        assert refusal.reason in ("amount", "currency")
    for amount in ({"total": 3000, "refund": value}, {"total": value, "refund": 1}):
        refund_no = "console"
        told = {
            "mchid": MCH_ID, "out_trade_no": TRADE, "transaction_id": "42", "out_refund_no": refund_no,
            "refund_status": "SUCCESS", "amount": amount,
        }  # fmt: skip
        assert refused(paid, paid.notice_of("REFUND.SUCCESS", told)).reason == "amount"


@pytest.mark.parametrize(
    "field", ["mchid", "out_trade_no", "transaction_id", "out_refund_no", "refund_status"]
)
def test_every_field_of_a_refund(paid: WechatPayStandIn, field: str) -> None:
    refund_no = paid.give_back(TRADE, 1000)
    for value in BAD:
        if field == "transaction_id" and value == "":
            continue
        assert not refused(paid, paid.refund_notice(refund_no, **{field: value})).is_forged


@pytest.mark.parametrize("around", ["id", "event_type", "resource_type", "resource"])
def test_every_field_around_the_resource(paid: WechatPayStandIn, around: str) -> None:
    resource = paid._told(paid.trades[TRADE])
    for value in BAD:
        if around in ("id", "event_type") and isinstance(value, str) and value == "x" * 65:
            continue
        refused(paid, paid.notice_of("TRANSACTION.SUCCESS", resource, **{around: value}))


def test_of_another_merchant_signed_rightly(paid: WechatPayStandIn) -> None:
    for change in ({"mchid": "1900000110"}, {"appid": "wx0000000000000000"}):
        assert refused(paid, paid.notice(TRADE, **change)).reason in ("mchid", "appid")


def test_encrypted_with_another_key(paid: WechatPayStandIn) -> None:
    notice = paid.notice(TRADE)
    assert refused(paid, notice, api_v3_key="f" * 32).is_forged


@pytest.mark.parametrize(
    "changes",
    [
        {"api_v3_key": "short"},
        {"private_key": "nonsense"},
        {"public_keys": {}},
        {"public_keys": {KEY_ID: "nonsense"}},
    ],
)
def test_unusable_keys_are_told_at_the_start(stand_in: WechatPayStandIn, changes: dict[str, Any]) -> None:
    with pytest.raises(Exception):  # noqa: B017 - the library raises bare exceptions; make.py turns all into ConfigError
        wechat_of(stand_in, **changes)
    assert stand_in.requests == []
