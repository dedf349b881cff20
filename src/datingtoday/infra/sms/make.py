"""Chooses the SMS provider that the settings name."""

from __future__ import annotations

from datingtoday.infra.config.providers import SmsSection
from datingtoday.infra.config.settings import ConfigError
from datingtoday.infra.sms.console import ConsoleSms
from datingtoday.infra.sms.provider import SmsProvider

_NEEDED = {
    "console": (),
    "aliyun": (
        "aliyun_access_key_id",
        "aliyun_access_key_secret",
        "aliyun_sign_name",
        "aliyun_template_code",
    ),
    "tencent": (
        "tencent_secret_id",
        "tencent_secret_key",
        "tencent_app_id",
        "tencent_sign_name",
        "tencent_template_id",
        "tencent_region",
    ),
}
# Top-level modules whose absence means that the extra is not installed, not that the code is broken.
_SDK_MODULES = {"alibabacloud_dysmsapi20170525", "alibabacloud_tea_openapi", "darabonba", "tencentcloud"}


def make_sms_provider(settings: SmsSection) -> SmsProvider:
    """The provider of `[SMS] provider`. Contacts nobody.

    Raises ConfigError where a key that the provider needs is missing or its SDK is not installed. The SDK is
    imported here, and only if it is chosen (Aliyun's takes 1.5 s): a server without it fails when it starts,
    not at the first login.
    """
    for key in _NEEDED[settings.provider]:
        if not getattr(settings, key):
            raise ConfigError(
                f"[SMS] {key}: needed by provider = {settings.provider}",
                f"[SMS] {key}：provider = {settings.provider} 时必填",
            )
    try:
        if settings.provider == "aliyun":
            return _aliyun(settings)
        if settings.provider == "tencent":
            return _tencent(settings)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {*_SDK_MODULES, "requests", "urllib3"}:
            raise
        raise ConfigError(
            f"[SMS] provider: {settings.provider} is not installed; run `pip install -r requirements.txt` "
            f"(or install datingtoday[{settings.provider}])",
            f"[SMS] provider：未安装 {settings.provider} 的 SDK；请运行 `pip install -r requirements.txt`"
            f"（或安装 datingtoday[{settings.provider}]）",
        ) from None
    return ConsoleSms()


def _aliyun(settings: SmsSection) -> SmsProvider:
    from datingtoday.infra.sms.aliyun import DEFAULT_ENDPOINT, AliyunSms
    from datingtoday.infra.sms.remote import Endpoint

    return AliyunSms(
        access_key_id=settings.aliyun_access_key_id,
        access_key_secret=settings.aliyun_access_key_secret,
        sign_name=settings.aliyun_sign_name,
        template_code=settings.aliyun_template_code,
        endpoint=Endpoint.from_settings("aliyun_endpoint", settings.aliyun_endpoint or DEFAULT_ENDPOINT),
        timeout_s=settings.timeout_s,
    )


def _tencent(settings: SmsSection) -> SmsProvider:
    from datingtoday.infra.sms.remote import Endpoint
    from datingtoday.infra.sms.tencent import DEFAULT_ENDPOINT, TencentSms

    return TencentSms(
        secret_id=settings.tencent_secret_id,
        secret_key=settings.tencent_secret_key,
        app_id=settings.tencent_app_id,
        sign_name=settings.tencent_sign_name,
        template_id=settings.tencent_template_id,
        region=settings.tencent_region,
        endpoint=Endpoint.from_settings("tencent_endpoint", settings.tencent_endpoint or DEFAULT_ENDPOINT),
        timeout_s=settings.timeout_s,
    )
