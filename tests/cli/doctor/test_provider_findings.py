"""Findings about providers: none that takes money, libraries that are missing, and addresses that are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datingtoday.cli.doctor import provider_checks
from datingtoday.infra.config.settings import ConfigError
from tests.cli.doctor.conftest import examined, fix_of, load, states

DATABASE = "mysql+pymysql://dt:secret@db.example/dating"
INSTALL, CHECK = "pip install -r requirements.txt", "datingtoday config check"
PUBLIC = "PAY_PUBLIC_URL"
ALIPAY = {"PAY_ALIPAY_APP_ID": "2021000000000000", "PAY_ALIPAY_SELLER_ID": "2088000000000000"}


@pytest.mark.parametrize(("sandbox", "which"), [(1, "sandbox"), (0, "-")])
def test_no_channel_with_money(tmp_path: Path, sandbox: int, which: str) -> None:
    found = examined(load(tmp_path, DATABASE_URI=DATABASE, PAY_SANDBOX=sandbox), "payments")
    assert states(found) == {"payments.channel": "ok"}
    assert found["payments.channel"][0].message.en == f"no channel with money is on ({which})"


@pytest.mark.parametrize(
    ("values", "is_told"),
    [
        ({PUBLIC: "https://api.example.com"}, False),
        ({PUBLIC: "http://api.example.com"}, True),
        ({}, True),
    ],
)
def test_who_is_called_by_a_provider_has_tls(tmp_path: Path, values: dict[str, str], is_told: bool) -> None:
    found = examined(load(tmp_path, DATABASE_URI=DATABASE, **ALIPAY, **values), "payments")
    assert ("payments.public_url" in found) is is_told
    assert not is_told or fix_of(found, "payments.public_url") == "[PAY] public_url = https://…"


@pytest.mark.parametrize(("said", "fix"), [("alipay is not installed", INSTALL), ("no such file", CHECK)])
def test_a_library_and_a_key_are_repaired_in_two_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, fix: str
) -> None:
    problem = ConfigError(said, said)

    def refuse(_: Any) -> None:
        raise problem

    monkeypatch.setattr(provider_checks, "make_sms_provider", refuse)
    monkeypatch.setattr(provider_checks, "channel_problems", lambda _: [problem])
    found = examined(
        load(tmp_path, DATABASE_URI=DATABASE, **ALIPAY, PAY_PUBLIC_URL="https://x.cn"), "sms", "payments"
    )
    assert states(found) == {"sms.provider": "error", "payments.channel": "error"}
    assert [len(it) for it in found.values()] == [1, 1]
    assert fix_of(found, "sms.provider") == fix_of(found, "payments.channel") == fix
