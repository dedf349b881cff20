"""Checks before serving: settings that are incomplete, or publicly known."""

from importlib.util import find_spec
from urllib.parse import urlsplit

from datingtoday.infra.config.fields import notes_of
from datingtoday.infra.config.payments import missing_keys, real_channels
from datingtoday.infra.config.settings import ConfigError, Settings, raise_together, sections

_PUBLISHED = frozenset({"432ABZ", "1AE32B09224", "8c2c0b555e6e6cb01a5fd36dd981bcee"})
"""Values that stand in the articles about the protocol; whoever read them could sign requests."""

_LEAST_GRID_M = 2000
"""With smaller squares people can be located more exactly than they were promised."""

_PROVIDER_KEYS = {
    ("SMS", "aliyun"): (
        "aliyun_access_key_id",
        "aliyun_access_key_secret",
        "aliyun_sign_name",
        "aliyun_template_code",
    ),
    ("SMS", "tencent"): (
        "tencent_secret_id",
        "tencent_secret_key",
        "tencent_app_id",
        "tencent_sign_name",
        "tencent_template_id",
    ),
    ("STORAGE", "s3"): ("s3_bucket", "s3_access_key", "s3_secret_key"),
}


def validate_for_serving(settings: Settings) -> None:
    """Raise what stands against serving with these settings, if anything does."""
    raise_together(serving_problems(settings))


def serving_problems(settings: Settings) -> list[ConfigError]:
    """Problems that prevent serving with these settings, one line each; empty if nothing does.

    With the embedded database (nothing but this machine, secrets generated) only the providers are looked at.
    """
    problems = _missing_for_providers(settings) + _payment_problems(settings) + missing_libraries(settings)
    if settings.embedded:
        return problems
    for section, key in (("APP", "appkey"), ("APP", "appsecret"), ("SECURITY", "secret_key")):
        if not getattr(getattr(settings, section.lower()), key):
            problems.append(
                _problem(settings, section, key, "is missing; set a random value", "未设置；请设为随机值")
            )
    problems += _known_to_everybody(settings)
    return problems + _open_to_everybody(settings)


def _open_to_everybody(settings: Settings) -> list[ConfigError]:
    """Conveniences of a trial that would let anyone in, or find out where people live."""
    problems = []
    if settings.demo.login_code:
        problems.append(
            _problem(
                settings,
                "DEMO",
                "login_code",
                "must be empty outside the embedded default: anyone who knows it could log in",
                "仅可用于内嵌默认模式，否则知道它的人都能登录",
            )
        )
    if settings.sms.echo:
        problems.append(
            _problem(
                settings,
                "SMS",
                "echo",
                "must be off with your own database: it reveals codes to anyone who asks",
                "使用自己的数据库时必须关闭，否则会把验证码告诉请求者",
            )
        )
    if settings.sms.provider == "console" and not settings.sms.allow_console:
        problems.append(
            _problem(
                settings,
                "SMS",
                "provider",
                "console sends nothing; choose aliyun or tencent, or set [SMS] allow_console = true",
                "console 不会发送短信；请选择 aliyun 或 tencent，或设置 [SMS] allow_console = true",
            )
        )
    if settings.discovery.nearby_grid_m < _LEAST_GRID_M:
        problems.append(
            _problem(
                settings,
                "DISCOVERY",
                "nearby_grid_m",
                f"must be {_LEAST_GRID_M} or more with your own database: smaller squares reveal where people live",
                f"使用自己的数据库时必须不小于 {_LEAST_GRID_M}，网格过小会泄露用户的住处",
            )
        )
    return problems


def _missing_for_providers(settings: Settings) -> list[ConfigError]:
    problems = []
    for (section, provider), keys in _PROVIDER_KEYS.items():
        values = getattr(settings, section.lower())
        if values.provider == provider:
            problems += [
                _problem(
                    settings,
                    section,
                    key,
                    f"is needed for provider = {provider}",
                    f"provider = {provider} 时必须设置",
                )
                for key in keys
                if not getattr(values, key)
            ]
    return problems


def missing_libraries(settings: Settings) -> list[ConfigError]:
    """Settings that ask for a library that is not installed."""
    wanted = (
        (
            "TRACING",
            "otlp_endpoint",
            settings.tracing.otlp_endpoint,
            "opentelemetry.exporter.otlp.proto.http",
        ),
        ("SENTRY", "dsn", settings.sentry.dsn, "sentry_sdk"),
    )
    return [
        _problem(
            settings,
            section,
            key,
            "its library is not installed: pip install -r requirements-observability.txt, or pip install "
            "'datingtoday[observability]'",
            "未安装所需的库：pip install -r requirements-observability.txt，"
            "或 pip install 'datingtoday[observability]'",
        )
        for section, key, value, module in wanted
        if value and not _is_installed(module)
    ]


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        # One of the packages above it.
        return False


def _payment_problems(settings: Settings) -> list[ConfigError]:
    problems = [
        _problem(settings, "PAY", key, f"is needed by the channel {channel}", f"{channel} 渠道必须设置")
        for channel, key in missing_keys(settings.pay)
    ]
    real = real_channels(settings.pay)
    if not real or not settings.pay.sandbox or settings.pay.allow_sandbox:
        return problems
    return [
        *problems,
        _problem(
            settings,
            "PAY",
            "sandbox",
            f"must be off beside {', '.join(real)}: anybody could be VIP for free; or set [PAY] allow_sandbox = true",
            f"与 {'、'.join(real)} 同时使用时必须关闭，否则任何人都可免费成为会员；或设置 [PAY] allow_sandbox = true",
        ),
    ]


def _known_to_everybody(settings: Settings) -> list[ConfigError]:
    problems = []
    for section, model in sections().items():
        for key, info in model.model_fields.items():
            notes = notes_of(info)
            value = getattr(getattr(settings, section.lower()), key)
            if notes.uri:
                published = _password(value) in {_password(notes.example or "") or "password", "password"}
            elif notes.secret or (section, key) == ("APP", "appkey"):
                published = value in _PUBLISHED or (bool(value) and value == notes.example)
            else:
                continue
            if published:
                problems.append(
                    _problem(
                        settings,
                        section,
                        key,
                        "is a published example; set your own",
                        "是公开的示例值；请改为自己的值",
                    )
                )
    return problems


def _password(uri: str) -> str | None:
    # None where there is none: a server that asks for none is no published secret.
    return urlsplit(uri).password or None


def _problem(settings: Settings, section: str, key: str, en: str, zh: str) -> ConfigError:
    origin = settings.origin_of(section, key)
    return ConfigError(f"[{section}] {key}: {origin}: {en}", f"[{section}] {key}：{origin}：{zh}")
