"""The three channels against their stand-ins, without an application."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from datingtoday.infra.payments.alipay import AlipayPayments
from datingtoday.infra.payments.apple import ApplePayments
from datingtoday.infra.payments.provider import Notice, NoticeRefused, Payment, PaymentChannel
from datingtoday.infra.payments.wechat import WechatPayments
from tests.stand_ins import alipay as alipay_names
from tests.stand_ins import app_store as apple_names
from tests.stand_ins import wechat_pay as wechat_names
from tests.stand_ins.alipay import AlipayStandIn
from tests.stand_ins.app_store import AppStoreStandIn, api_key_pem, apple_chain
from tests.stand_ins.wechat_pay import WechatPayStandIn, private_pem, public_pem, rsa_key

TIMEOUT_S = 2.0
TOKEN = "6f1d5a0e-5d1b-5a55-9d3c-0c8f6a3f4b21"


def payment(trade_no: str = "20261129000000000000000001", fee_fen: int = 3000) -> Payment:
    now = datetime.now(UTC)
    return Payment(
        trade_no, "月度会员", fee_fen, "CNY", now + timedelta(minutes=30), account_token=TOKEN,
        apple_id=apple_names.PRODUCT_ID,
    )  # fmt: skip


def wechat_of(stand_in: WechatPayStandIn, **changes: Any) -> WechatPayments:
    options: dict[str, Any] = {
        "mch_id": wechat_names.MCH_ID,
        "app_id": wechat_names.APP_ID,
        "cert_serial": wechat_names.CERT_SERIAL,
        "private_key": private_pem(rsa_key("merchant")),
        "api_v3_key": wechat_names.API_V3_KEY,
        "public_keys": {wechat_names.KEY_ID: public_pem(rsa_key("wechat"))},
        "notify_url": "https://api.example.com/api/pay/notify/wechat",
        "gateway": stand_in.url,
        "timeout_s": TIMEOUT_S,
    }
    return WechatPayments(**{**options, **changes})


def alipay_of(stand_in: AlipayStandIn, **changes: Any) -> AlipayPayments:
    options: dict[str, Any] = {
        "app_id": alipay_names.APP_ID,
        "seller_id": alipay_names.SELLER_ID,
        "private_key": private_pem(rsa_key("alipay app")),
        "public_keys": [public_pem(rsa_key("alipay"))],
        "notify_url": "https://api.example.com/api/pay/notify/alipay",
        "gateway": f"{stand_in.url}/gateway.do",
        "timeout_s": TIMEOUT_S,
    }
    return AlipayPayments(**{**options, **changes})


def apple_of(stand_in: AppStoreStandIn, **changes: Any) -> ApplePayments:
    options: dict[str, Any] = {
        "bundle_id": apple_names.BUNDLE_ID,
        "app_id": apple_names.APP_ID,
        "environment": "production",
        "root_certificates": [apple_chain().root],
        "issuer_id": apple_names.ISSUER_ID,
        "key_id": apple_names.KEY_ID,
        "private_key": api_key_pem(),
        "gateway": stand_in.url,
        "timeout_s": TIMEOUT_S,
    }
    return ApplePayments(**{**options, **changes})


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def outcome(channel: PaymentChannel, notice: tuple[dict[str, str], bytes], now: datetime) -> Notice | str:
    """The notice, or the reason why it is not believed."""
    headers, body = notice
    try:
        return channel.read_notice(lower(headers), body, now)
    except NoticeRefused as refusal:
        return f"{'forged' if refusal.is_forged else 'wrong'}: {refusal.reason}"


def fact_of(found: Notice | str) -> Any:
    assert isinstance(found, Notice), found
    assert found.fact is not None
    return found.fact
