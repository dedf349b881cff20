"""Makes the payment channels that the settings set up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from datingtoday.infra.config.payments import PaySection, missing_keys, real_channels
from datingtoday.infra.config.settings import ConfigError, Settings
from datingtoday.infra.db import Database
from datingtoday.infra.payments.provider import NOTIFY_PATH, PaymentChannel
from datingtoday.infra.payments.sandbox import SandboxPayments, sandbox_secret

MAX_KEY_BYTES = 64 * 1024
# Top-level modules whose absence means that the extra is not installed.
_MODULES = {
    "wechatpayv3",
    "alipay",
    "Cryptodome",
    "appstoreserverlibrary",
    "cryptography",
    "requests",
    "OpenSSL",
}


def make_payment_channels(
    settings: Settings, database: Database, secret_key: bytes
) -> dict[str, PaymentChannel]:
    """The channels by name. Contacts nobody; the libraries are imported only for channels that are on.

    :raises ConfigError: a key that a channel needs is missing or unusable, or its library is not installed.
    """
    pay = settings.pay
    channels: dict[str, PaymentChannel] = {}
    if pay.sandbox:
        secret = sandbox_secret(pay.sandbox_secret, secret_key)
        channels["sandbox"] = SandboxPayments(database, secret, pay.public_url)
    for name in real_channels(pay):
        channels[name] = _made(name, pay)
    return channels


def channel_problems(settings: Settings) -> list[ConfigError]:
    """Problems of the channels that are on: keys that are missing or unusable, libraries that are absent."""
    problems = []
    for name in real_channels(settings.pay):
        try:
            _made(name, settings.pay)
        except ConfigError as error:
            problems.append(error)
    return problems


def _made(name: str, pay: PaySection) -> PaymentChannel:
    for channel, key in missing_keys(pay):
        if channel == name:
            raise ConfigError(f"[PAY] {key}: needed by the channel {name}", f"[PAY] {key}：{name} 渠道必填")
    try:
        return _MAKERS[name](pay)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _MODULES:
            raise
        raise ConfigError(
            f"[PAY] {name}: its library is not installed; run `pip install -r requirements.txt` "
            "(or install datingtoday[pay])",
            f"[PAY] {name}：未安装所需的库；请运行 `pip install -r requirements.txt`（或安装 datingtoday[pay]）",
        ) from None
    except ConfigError:
        raise
    except Exception as error:
        # Libraries raise whatever they meet in a key; its text is not repeated, it may hold the key.
        raise ConfigError(
            f"[PAY] {name}: a key or certificate is unusable ({type(error).__name__})",
            f"[PAY] {name}：密钥或证书无法使用（{type(error).__name__}）",
        ) from None


def _wechat(pay: PaySection) -> PaymentChannel:
    from datingtoday.infra.payments.wechat import WechatPayments

    files = dict(entry.split("=", 1) for entry in pay.wechat_public_keys)
    return WechatPayments(
        mch_id=pay.wechat_mch_id,
        app_id=pay.wechat_app_id,
        cert_serial=pay.wechat_cert_serial,
        private_key=_text("wechat_private_key", pay.wechat_private_key),
        api_v3_key=_text("wechat_api_v3_key", pay.wechat_api_v3_key).strip(),
        public_keys={key_id: _text("wechat_public_keys", path) for key_id, path in files.items()},
        notify_url=_notify_url(pay, "wechat"),
        gateway=pay.wechat_gateway,
        timeout_s=pay.timeout_s,
    )


def _alipay(pay: PaySection) -> PaymentChannel:
    from datingtoday.infra.payments.alipay import AlipayPayments

    return AlipayPayments(
        app_id=pay.alipay_app_id,
        seller_id=pay.alipay_seller_id,
        private_key=_text("alipay_private_key", pay.alipay_private_key),
        public_keys=[_text("alipay_public_keys", path) for path in pay.alipay_public_keys],
        notify_url=_notify_url(pay, "alipay"),
        gateway=pay.alipay_gateway,
        timeout_s=pay.timeout_s,
    )


def _apple(pay: PaySection) -> PaymentChannel:
    from datingtoday.infra.payments.apple import ApplePayments

    key = pay.apple_private_key
    return ApplePayments(
        bundle_id=pay.apple_bundle_id,
        app_id=pay.apple_app_id,
        environment=pay.apple_environment,
        root_certificates=[_bytes("apple_root_certificates", path) for path in pay.apple_root_certificates],
        issuer_id=pay.apple_issuer_id,
        key_id=pay.apple_key_id,
        private_key=_text("apple_private_key", key) if key else "",
        gateway=pay.apple_gateway,
        timeout_s=pay.timeout_s,
    )


def _notify_url(pay: PaySection, channel: str) -> str:
    return f"{pay.public_url.rstrip('/')}{NOTIFY_PATH}{channel}"


def _bytes(key: str, path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_KEY_BYTES)
    except OSError as error:
        raise ConfigError(
            f"[PAY] {key}: {path} cannot be read ({error.strerror})",
            f"[PAY] {key}：无法读取 {path}（{error.strerror}）",
        ) from None


def _text(key: str, path: str) -> str:
    try:
        return _bytes(key, path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"[PAY] {key}: {path} is no text", f"[PAY] {key}：{path} 不是文本文件") from None


_MAKERS: dict[str, Callable[[PaySection], PaymentChannel]] = {
    "wechat": _wechat,
    "alipay": _alipay,
    "apple": _apple,
}
