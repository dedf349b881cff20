"""The settings of VIP and payments. Adding one is adding a line and running `datingtoday docs write`."""

from typing import Literal

from datingtoday.infra.config.fields import Section, key
from datingtoday.infra.config.value_types import FilePath, FilePaths, HttpUrl, KeyFiles, Name, Secret


class PaySection(Section):
    """Orders and payment channels; a channel is on once its first key is set (docs/payments.md)."""

    public_url: HttpUrl = key(
        "",
        en="Address under which clients and payment providers reach this server.",
        zh="客户端与支付平台访问本服务器的地址。",
        example="https://api.example.com",
        unset=("none; needed for wechat and alipay", "无；使用 wechat 或 alipay 时必须设置"),
    )
    order_minutes: int = key(
        30, ge=5, le=120, en="Minutes in which an order can be paid.", zh="订单可支付的分钟数。"
    )
    ledger_days: int = key(
        1096,
        ge=30,
        le=20_000,
        en="Days for which payments of deleted accounts are kept; ask your lawyer.",
        zh="已注销账号的支付记录保留天数；请遵循当地法律。",
    )
    sandbox: bool = key(
        False,
        embedded_default=True,
        en="Payments without money, by a click on a page; for trying out.",
        zh="沙箱支付：在页面上点击即可“支付”，不涉及资金，供试用。",
        unset=("on in the embedded default, else off", "内嵌默认模式下开启，否则关闭"),
    )
    allow_sandbox: bool = key(
        False,
        en="Let the sandbox be on beside a real channel: anybody is VIP for free then.",
        zh="允许沙箱与真实支付渠道同时开启：任何人都可免费成为会员。",
    )
    sandbox_secret: Secret = key(
        "",
        en="Signs the sandbox's notifications.",
        zh="沙箱通知的签名密钥。",
        secret=True,
        example="example-sandbox-secret",
        unset=("derived from [SECURITY] secret_key", "由 [SECURITY] secret_key 派生"),
    )
    timeout_s: float = key(
        10.0, ge=1, le=60, en="Seconds to wait for a payment provider.", zh="等待支付平台的秒数。"
    )
    wechat_mch_id: Name = key(
        "", en="WeChat Pay: merchant number.", zh="微信支付：商户号。", example="1900000001"
    )
    wechat_app_id: Name = key(
        "",
        en="WeChat Pay: AppID of the mobile app.",
        zh="微信支付：移动应用 AppID。",
        example="wx0000000000000001",
    )
    wechat_cert_serial: Name = key(
        "",
        en="WeChat Pay: serial number of the merchant's API certificate.",
        zh="微信支付：商户 API 证书序列号。",
        example="5157F09EFDC096DE15EBE81A47057A7232F1B8E1",
    )
    wechat_private_key: FilePath = key(
        "",
        en="WeChat Pay: file with the merchant's API private key (apiclient_key.pem).",
        zh="微信支付：商户 API 私钥文件（apiclient_key.pem）。",
        example="/etc/datingtoday/apiclient_key.pem",
    )
    wechat_api_v3_key: FilePath = key(
        "",
        en="WeChat Pay: file with the APIv3 key, 32 characters.",
        zh="微信支付：存放 APIv3 密钥（32 个字符）的文件。",
        example="/etc/datingtoday/wechat_api_v3_key",
    )
    wechat_public_keys: KeyFiles = key(
        (),
        en="WeChat Pay: ID=FILE of its public keys (or platform certificates, by serial number). The first is for "
        "requests, all are for notifications: while a key changes, list the old one second.",
        zh="微信支付：微信支付公钥（或平台证书，以序列号为 ID）的 ID=文件。第一个用于请求，全部用于验证通知；"
        "更换密钥期间把旧的列在第二位。",
        example="PUB_KEY_ID_0119000000012024=/etc/datingtoday/wechat_pub_key.pem",
    )
    wechat_gateway: HttpUrl = key(
        "",
        en="WeChat Pay: another address of its API.",
        zh="微信支付：其他 API 地址。",
        example="https://api.mch.weixin.qq.com",
        unset=("the provider's own", "官方地址"),
    )
    alipay_app_id: Name = key("", en="Alipay: APPID.", zh="支付宝：应用 APPID。", example="2021000000000001")
    alipay_seller_id: Name = key(
        "",
        en="Alipay: the merchant's account number (PID).",
        zh="支付宝：商户账号（PID）。",
        example="2088000000000001",
    )
    alipay_private_key: FilePath = key(
        "",
        en="Alipay: file with the app's private key (PEM, or the bare base64 of Alipay's tool).",
        zh="支付宝：应用私钥文件（PEM，或密钥工具输出的纯 base64）。",
        example="/etc/datingtoday/alipay_app_private_key.pem",
    )
    alipay_public_keys: FilePaths = key(
        (),
        en="Alipay: files with Alipay's public key; while it changes, the new and the old one.",
        zh="支付宝：支付宝公钥文件；更换期间同时列出新旧两个。",
        example="/etc/datingtoday/alipay_public_key.pem",
    )
    alipay_gateway: HttpUrl = key(
        "",
        en="Alipay: another gateway.",
        zh="支付宝：其他网关地址。",
        example="https://openapi.alipay.com/gateway.do",
        unset=("the provider's own", "官方地址"),
    )
    apple_bundle_id: Name = key(
        "",
        en="Apple: bundle id of the app.",
        zh="Apple：应用的 Bundle ID。",
        example="com.example.datingtoday",
    )
    apple_app_id: int = key(
        0,
        ge=0,
        le=2**53,
        en="Apple: the app's Apple ID (a number); needed in production.",
        zh="Apple：应用的 Apple ID（数字），生产环境必填。",
    )
    apple_environment: Literal["production", "sandbox"] = key(
        "production",
        en="Apple: the one environment whose receipts count.",
        zh="Apple：只接受该环境的凭据。",
    )
    apple_root_certificates: FilePaths = key(
        (),
        en="Apple: files with its root certificates (AppleRootCA-G3.cer).",
        zh="Apple：根证书文件（AppleRootCA-G3.cer）。",
        example="/etc/datingtoday/AppleRootCA-G3.cer",
    )
    apple_issuer_id: Name = key(
        "",
        en="Apple: issuer id of the In-App Purchase key.",
        zh="Apple：App 内购买项目密钥的 Issuer ID。",
        example="00000000-0000-0000-0000-000000000000",
    )
    apple_key_id: Name = key(
        "",
        en="Apple: id of the In-App Purchase key.",
        zh="Apple：App 内购买项目密钥的 Key ID。",
        example="ABC123DEFG",
    )
    apple_private_key: FilePath = key(
        "",
        en="Apple: file with that key (SubscriptionKey_….p8).",
        zh="Apple：该密钥的文件（SubscriptionKey_….p8）。",
        example="/etc/datingtoday/SubscriptionKey_ABC123DEFG.p8",
    )
    apple_gateway: HttpUrl = key(
        "",
        en="Apple: another address of the App Store Server API.",
        zh="Apple：App Store Server API 的其他地址。",
        example="https://api.storekit.itunes.apple.com",
        unset=("that of the environment", "所选环境的官方地址"),
    )


_NEEDED = {
    "wechat": (
        "public_url", "wechat_mch_id", "wechat_app_id", "wechat_cert_serial", "wechat_private_key",
        "wechat_api_v3_key", "wechat_public_keys",
    ),
    "alipay": (
        "public_url", "alipay_app_id", "alipay_seller_id", "alipay_private_key", "alipay_public_keys",
    ),
    "apple": ("apple_bundle_id", "apple_root_certificates"),
}  # fmt: skip
_FIRST_KEYS = {"wechat": "wechat_mch_id", "alipay": "alipay_app_id", "apple": "apple_bundle_id"}
"""A channel is on once this key is set."""


def real_channels(pay: PaySection) -> list[str]:
    """The channels with money that are on."""
    return [channel for channel, name in _FIRST_KEYS.items() if getattr(pay, name)]


def missing_keys(pay: PaySection) -> list[tuple[str, str]]:
    """(channel, key) of what the channels that are on still need."""
    missing = [(name, key) for name in real_channels(pay) for key in _NEEDED[name] if not getattr(pay, key)]
    if pay.apple_bundle_id and pay.apple_environment == "production" and not pay.apple_app_id:
        missing.append(("apple", "apple_app_id"))
    api_keys = ("apple_issuer_id", "apple_key_id", "apple_private_key")
    if any(getattr(pay, key) for key in api_keys):
        missing += [("apple", key) for key in api_keys if not getattr(pay, key)]
    return missing
