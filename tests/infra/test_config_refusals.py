"""Settings that are refused: files, time zones, libraries that are missing, and needs of the channels of payment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datingtoday.infra.config import serving
from datingtoday.infra.config.fields import time_zone
from datingtoday.infra.config.payments import missing_keys
from datingtoday.infra.config.serving import missing_libraries, serving_problems
from datingtoday.infra.config.settings import ConfigError, Settings, load_settings

OWN = {"DATABASE_URI": "sqlite:////x", "SMS_ALLOW_CONSOLE": "1", "APP_APPKEY": "OWNKEY12"}
OWN |= {"APP_APPSECRET": "an-own-secret-1", "SECURITY_SECRET_KEY": "ab" * 32}


def load(**values: Any) -> Settings:
    environ = {f"DATINGTODAY_{name}": str(value) for name, value in values.items()}
    return load_settings("/dev/null", "data", environ)


def told(settings: Settings) -> list[str]:
    return [problem.en for problem in serving_problems(settings)]


def test_a_file_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path, tmp_path / "none.ini"):
        with pytest.raises(ConfigError) as refused:
            load_settings(path, None, {})
        assert refused.value.text == (f"config file not found: {path}", f"找不到配置文件：{path}")
        assert refused.value.all == (refused.value,)

    def read(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    file = tmp_path / "mine.ini"
    file.touch()
    monkeypatch.setattr(Path, "read_text", read)
    with pytest.raises(ConfigError) as refused:
        load_settings(file, None, {})
    assert refused.value.text == (
        f"{file}: cannot be read (Permission denied)",
        f"{file}：无法读取（Permission denied）",
    )


def test_the_database_of_the_embedded_default_is_no_choice_of_anybody() -> None:
    assert load().origin_of("DATABASE", "uri") == "default (embedded)"
    assert load(**OWN).origin_of("DATABASE", "uri") == "DATINGTODAY_DATABASE_URI"


@pytest.mark.parametrize("name", ["Nowhere/Nothing", "Asia", "../etc/passwd"])
def test_time_zones(name: str) -> None:
    assert time_zone("Asia/Shanghai").key == "Asia/Shanghai"
    with pytest.raises(ValueError, match=name):
        time_zone(name)


def test_a_code_that_everybody_knows_is_for_the_embedded_default_only() -> None:
    assert told(load(DEMO_LOGIN_CODE="123456")) == []
    assert told(load(**OWN)) == []
    assert told(load(**OWN, DEMO_LOGIN_CODE="123456")) == [
        "[DEMO] login_code: DATINGTODAY_DEMO_LOGIN_CODE: must be empty outside the embedded default: anyone who "
        "knows it could log in"
    ]


WANTED = {"TRACING_OTLP_ENDPOINT": "http://127.0.0.1:4318", "SENTRY_DSN": "https://key@127.0.0.1/1"}


class TestLibraries:
    @staticmethod
    def missing(**values: str) -> list[str]:
        return [problem.en.split(":")[0] for problem in missing_libraries(load(**values))]

    def test_none_is_needed_for_what_is_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []
        monkeypatch.setattr(serving, "find_spec", asked.append)
        assert (self.missing(), asked) == ([], [])

    def test_those_that_are_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []

        def find(name: str) -> object:
            asked.append(name)
            return object()

        monkeypatch.setattr(serving, "find_spec", find)
        assert self.missing(**WANTED) == []
        assert asked == ["opentelemetry.exporter.otlp.proto.http", "sentry_sdk"]

    @pytest.mark.parametrize("is_package_missing", [True, False])
    def test_those_that_are_not(self, monkeypatch: pytest.MonkeyPatch, is_package_missing: bool) -> None:
        def find(name: str) -> None:
            if is_package_missing:
                raise ModuleNotFoundError(name)

        monkeypatch.setattr(serving, "find_spec", find)
        assert self.missing(**WANTED) == ["[TRACING] otlp_endpoint", "[SENTRY] dsn"]


APPLE = {"PAY_APPLE_BUNDLE_ID": "com.example", "PAY_APPLE_ROOT_CERTIFICATES": "/etc/root.cer"}
API = ("apple_issuer_id", "apple_key_id", "apple_private_key")


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({}, []),
        ({"PAY_APPLE_ENVIRONMENT": "sandbox", **APPLE}, []),
        ({"PAY_APPLE_ENVIRONMENT": "production", **APPLE}, ["apple_app_id"]),
        ({"PAY_APPLE_ENVIRONMENT": "production", **APPLE, "PAY_APPLE_APP_ID": "1234567890"}, []),
        ({"PAY_APPLE_ENVIRONMENT": "production"}, []),
        (
            {"PAY_APPLE_ENVIRONMENT": "sandbox", "PAY_APPLE_BUNDLE_ID": "com.example"},
            ["apple_root_certificates"],
        ),
        ({"PAY_APPLE_ENVIRONMENT": "sandbox", **APPLE, "PAY_APPLE_KEY_ID": "ABCDE12345"}, [API[0], API[2]]),
        ({"PAY_APPLE_PRIVATE_KEY": "/etc/key.p8"}, [API[0], API[1]]),
        (
            {"PAY_ALIPAY_APP_ID": "2021000000000000"},
            ["public_url", "alipay_seller_id", "alipay_private_key", "alipay_public_keys"],
        ),
    ],
)
def test_what_a_channel_needs(values: dict[str, str], missing: list[str]) -> None:
    found = missing_keys(load(**values).pay)
    assert [key for _, key in found] == missing
    assert {channel for channel, _ in found} <= {"apple", "alipay"}


@pytest.mark.parametrize(
    ("sandbox", "allowed", "real", "is_refused"),
    [(1, 0, True, True), (1, 1, True, False), (0, 0, True, False), (1, 0, False, False)],
)
def test_the_sandbox_beside_real_money(sandbox: int, allowed: int, real: bool, is_refused: bool) -> None:
    apple = APPLE | {"PAY_APPLE_ENVIRONMENT": "sandbox"} if real else {}
    found = told(load(**OWN, **apple, PAY_SANDBOX=sandbox, PAY_ALLOW_SANDBOX=allowed))
    assert found == (
        [
            "[PAY] sandbox: DATINGTODAY_PAY_SANDBOX: must be off beside apple: anybody could be VIP for free; or set "
            "[PAY] allow_sandbox = true"
        ]
        if is_refused
        else []
    )
