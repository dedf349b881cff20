"""Channels from the settings: which are on, and what stands against them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from datingtoday.infra.config.serving import serving_problems
from datingtoday.infra.config.settings import ConfigError, Settings, load_settings
from datingtoday.infra.db import Database
from datingtoday.infra.payments.make import channel_problems, make_payment_channels
from tests.vip.providers import PROVIDERS, Alipay, Apple, Provider, Wechat

OWN = {
    "DATABASE_URI": "sqlite:////nonexistent/x.db",
    "APP_APPKEY": "APPKEY1",
    "APP_APPSECRET": "s" * 20,
    "SECURITY_SECRET_KEY": "ab" * 32,
    "SMS_ALLOW_CONSOLE": "1",
}


def load(folder: Path, **values: str) -> Settings:
    environ = {f"DATINGTODAY_{name}": value for name, value in {**OWN, **values}.items()}
    return load_settings(None, folder, environ)


def names(settings: Settings) -> list[str]:
    made = make_payment_channels(settings, Database(settings.database.uri), b"k" * 32)
    return list(made)


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> Any:
    made = PROVIDERS[request.param]()
    with made.stand_in:
        yield made
    assert made.stand_in.requests == []


def test_none_is_on_by_itself(tmp_path: Path) -> None:
    assert names(load(tmp_path)) == []
    embedded = load_settings(None, tmp_path, {})
    assert embedded.pay.sandbox


def test_a_channel_is_on_with_its_keys(provider: Provider, tmp_path: Path) -> None:
    settings = load(tmp_path, **provider.settings(tmp_path))
    assert (names(settings), serving_problems(settings), channel_problems(settings)) == (
        [provider.name],
        [],
        [],
    )


def test_each_missing_key_is_told(provider: Provider, tmp_path: Path) -> None:
    given = provider.settings(tmp_path)
    first = {"wechat": "MCH_ID", "alipay": "APP_ID", "apple": "BUNDLE_ID"}[provider.name]
    for name in given:
        if name.endswith(f"{provider.name.upper()}_{first}") or name.endswith("_GATEWAY"):
            continue
        settings = load(tmp_path, **{key: value for key, value in given.items() if key != name})
        key = name.removeprefix("PAY_").lower()
        assert [f"[PAY] {key}:" in it.en for it in serving_problems(settings)] == [True], name
        with pytest.raises(ConfigError, match=key):
            names(settings)


def test_unusable_keys_are_told_without_their_text(provider: Provider, tmp_path: Path) -> None:
    given = provider.settings(tmp_path)
    bad = tmp_path / "bad"
    bad.write_text("SECRET-TEXT")
    files = {
        Wechat: "PAY_WECHAT_PRIVATE_KEY",
        Alipay: "PAY_ALIPAY_PRIVATE_KEY",
        Apple: "PAY_APPLE_PRIVATE_KEY",
    }
    name = files[type(provider)]
    (problem,) = channel_problems(load(tmp_path, **{**given, name: str(bad)}))
    assert f"[PAY] {provider.name}: a key or certificate is unusable" in problem.en
    assert "SECRET" not in problem.en + problem.zh
    (problem,) = channel_problems(load(tmp_path, **{**given, name: str(tmp_path / "none")}))
    assert name.removeprefix("PAY_").lower() in problem.en and "cannot be read" in problem.en
    bad.write_bytes(b"\xff\xfe\x00")
    assert len(channel_problems(load(tmp_path, **{**given, name: str(bad)}))) == 1


def test_a_library_that_is_not_installed_is_told(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"datingtoday.infra.payments.{provider.name}"
    library = {"wechat": "wechatpayv3", "alipay": "alipay", "apple": "appstoreserverlibrary.api_client"}[
        provider.name
    ]
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    (problem,) = channel_problems(load(tmp_path, **provider.settings(tmp_path)))
    assert "not installed" in problem.en and "datingtoday[pay]" in problem.en
    monkeypatch.undo()
    sys.modules.pop(module, None)


def test_the_sandbox_beside_money_must_be_said(tmp_path: Path) -> None:
    provider = Wechat()
    with provider.stand_in:
        given = {**provider.settings(tmp_path), "PAY_SANDBOX": "1"}
        (problem,) = serving_problems(load(tmp_path, **given))
        assert "[PAY] sandbox" in problem.en and "allow_sandbox" in problem.en
        settings = load(tmp_path, **given, PAY_ALLOW_SANDBOX="1")
        assert (serving_problems(settings), names(settings)) == ([], ["sandbox", "wechat"])
