"""Checks of the SMS and payment providers, of which none is asked: libraries, credentials, expiry of certificates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from datingtoday.cli.doctor.findings import Context, Finding, error, ok, warning
from datingtoday.infra.config.payments import PaySection, real_channels
from datingtoday.infra.config.settings import ConfigError
from datingtoday.infra.payments.make import MAX_KEY_BYTES, channel_problems
from datingtoday.infra.sms.make import make_sms_provider
from datingtoday.infra.text import Text

EXPIRY_WARNING = timedelta(days=30)

_FORMS = {
    "aliyun": (
        ("aliyun_access_key_id", r"LTAI[A-Za-z0-9]{12,26}", "LTAI…"),
        ("aliyun_access_key_secret", r"[A-Za-z0-9]{30}", "30 × A-Z a-z 0-9"),
        ("aliyun_template_code", r"SMS_[0-9]{6,12}", "SMS_123456789"),
    ),
    "tencent": (
        ("tencent_secret_id", r"AKID[A-Za-z0-9_-]{28,64}", "AKID…"),
        ("tencent_secret_key", r"[A-Za-z0-9]{32}", "32 × A-Z a-z 0-9"),
        ("tencent_app_id", r"[0-9]{10}", "1400000000"),
        ("tencent_template_id", r"[0-9]{4,10}", "123456"),
    ),
}
"""Forms in which the vendors issue credentials; another form is usually a pasted space, quote or wrong field."""


def check_sms(context: Context) -> Iterator[Finding]:
    """The chosen provider."""
    sms = context.settings.sms
    try:
        make_sms_provider(sms)
    except ConfigError as problem:
        missing_library = "not installed" in problem.en
        fix = "pip install -r requirements.txt" if missing_library else "datingtoday config check"
        yield error("sms.provider", problem.text, fix)
        return
    odd = [
        (key, form)
        for key, pattern, form in _FORMS.get(sms.provider, ())
        if not re.fullmatch(pattern, getattr(sms, key))
    ]
    for key, form in odd:
        yield warning(
            "sms.credentials",
            Text(
                f"[SMS] {key} does not look like one of {sms.provider} ({form})",
                f"[SMS] {key} 不像 {sms.provider} 的格式（{form}）",
            ),
            Text(
                f"copy [SMS] {key} again from the provider's console", f"从服务商控制台重新复制 [SMS] {key}"
            ),
        )
    if not odd:
        yield ok(
            "sms.provider", f"{sms.provider}: credentials are well-formed", f"{sms.provider}：凭据格式正确"
        )


def check_payments(context: Context) -> Iterator[Finding]:
    """Channels that are on, and the certificates among their files."""
    pay = context.settings.pay
    channels = real_channels(pay)
    problems = channel_problems(context.settings)
    for problem in problems:
        missing_library = "not installed" in problem.en
        fix = "pip install -r requirements.txt" if missing_library else "datingtoday config check"
        yield error("payments.channel", problem.text, fix)
    if not channels:
        which = "sandbox" if pay.sandbox else "-"
        yield ok(
            "payments.channel", f"no channel with money is on ({which})", f"未启用真实支付渠道（{which}）"
        )
    elif not problems:
        names = ", ".join(channels)
        yield ok("payments.channel", f"{names}: keys are usable", f"{names}：密钥可用")
    if {"wechat", "alipay"} & set(channels) and not pay.public_url.startswith("https://"):
        yield error(
            "payments.public_url",
            Text(
                "WeChat Pay and Alipay notify https:// addresses only", "微信支付与支付宝只通知 https:// 地址"
            ),
            "[PAY] public_url = https://…",
        )
    now = datetime.fromtimestamp(context.clock_ns() / 1e9, UTC)
    for key, path in _certificate_files(pay):
        yield from _expiry(key, path, now)


def _certificate_files(pay: PaySection) -> Iterator[tuple[str, Path]]:
    for entry in pay.wechat_public_keys:
        yield "wechat_public_keys", Path(entry.partition("=")[2])
    for path in pay.apple_root_certificates:
        yield "apple_root_certificates", Path(path)


def _expiry(key: str, path: Path, now: datetime) -> Iterator[Finding]:
    """Nothing for a bare public key: it does not expire. What cannot be read is a finding of its channel."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_KEY_BYTES)
    except OSError:
        return
    from cryptography import x509

    try:
        if b"BEGIN CERTIFICATE" in content:
            certificate = x509.load_pem_x509_certificate(content)
        elif content.startswith(b"\x30"):
            certificate = x509.load_der_x509_certificate(content)
        else:
            return
    except ValueError:
        return
    yield expiry("payments.certificates", f"[PAY] {key}: {path}", certificate.not_valid_after_utc, now)


def expiry(check: str, subject: str, ends_at: datetime, now: datetime) -> Finding:
    """The finding for a certificate's end."""
    day, left = f"{ends_at:%Y-%m-%d}", ends_at - now
    if left > EXPIRY_WARNING:
        return ok(check, f"{subject} is valid until {day}", f"{subject} 有效期至 {day}")
    fix = (
        Text("certbot renew && nginx -s reload", "certbot renew && nginx -s reload")
        if check.startswith("proxy.")
        else Text(
            "download the new certificate from the provider, list it first",
            "从支付平台下载新证书并列在第一位",
        )
    )
    if left <= timedelta():
        return error(check, Text(f"{subject} expired on {day}", f"{subject} 已于 {day} 过期"), fix)
    return warning(check, Text(f"{subject} expires on {day}", f"{subject} 将于 {day} 过期"), fix)
