"""Every number among the settings is taken at both ends of the range that the documentation names, and not beyond."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from datingtoday.infra.config.settings import ConfigError, load_settings
from tests.house.source import PROJECT

_ROW = re.compile(r"^\| `(\w+)` \| .* \| (a whole number|a number) from ([\d.]+) to ([\d.]+) \|")
SMALL = Decimal("0.000001")


def documented() -> Iterator[tuple[str, str, Decimal, Decimal, Decimal]]:
    """Section, key, smallest and largest value, and the smallest step beyond them."""
    section = ""
    for line in (PROJECT / "docs/configuration.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## ["):
            section = line.strip("#[] ")
        elif found := _ROW.match(line):
            step = Decimal(1) if found[2] == "a whole number" else SMALL
            yield section, found[1], Decimal(found[3]), Decimal(found[4]), step


NUMBERS = list(documented())


def taken(section: str, key: str, value: Decimal, folder: Path) -> float | None:
    """The setting as it was taken; None if it was refused."""
    try:
        settings = load_settings("/dev/null", folder, {f"DATINGTODAY_{section}_{key.upper()}": f"{value:f}"})
    except ConfigError as error:
        assert error.en.startswith(f"[{section}] {key}: ") and "is malformed" in error.en
        return None
    found: float = getattr(getattr(settings, section.lower()), key)
    return found


def test_the_documentation_names_them_all() -> None:
    assert len(NUMBERS) > 50


@pytest.mark.parametrize(("section", "key", "low", "high", "step"), NUMBERS)
def test_both_ends(
    tmp_path: Path, section: str, key: str, low: Decimal, high: Decimal, step: Decimal
) -> None:
    for value in (low, high):
        assert taken(section, key, value, tmp_path) == float(value)
    for value in (low - step, high + step):
        assert taken(section, key, value, tmp_path) is None


MARK = "hunter2secret"
SECRETS = {
    "APP_APPSECRET": MARK,
    "PAY_SANDBOX_SECRET": MARK,
    "SECURITY_SECRET_KEY": "5ec2e7" * 12,
    "SENTRY_DSN": f"https://{MARK}@sentry.example.com/1",
    "SMS_ALIYUN_ACCESS_KEY_SECRET": MARK,
    "SMS_TENCENT_SECRET_KEY": MARK,
    "STORAGE_S3_SECRET_KEY": MARK,
    "DATABASE_URI": f"mysql+pymysql://someone:{MARK}@db.example.com/name",
    "REDIS_URI": f"redis://someone:{MARK}@one.example.com/0",
    "REDIS_CACHE_URI": f"redis://someone:{MARK}@two.example.com/0",
    "REDIS_QUEUE_URI": f"redis://someone:{MARK}@three.example.com/0",
}


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_is_shown_by_any_of_them(tmp_path: Path, name: str) -> None:
    value = SECRETS[name]
    settings = load_settings("/dev/null", tmp_path, {f"DATINGTODAY_{name}": value})
    section, _, key = name.lower().partition("_")
    assert getattr(getattr(settings, section), key) == value
    secret = MARK if MARK in value else value
    assert secret not in repr(settings) + str(settings)
    if name.endswith("_URI"):
        assert value.rpartition("@")[2] in repr(settings), "which server it is may be read"


def test_generated_secrets_are_long_and_on_disk_before_they_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that lost them with a power cut would sign with others after it."""
    done: list[str] = []
    fsync, link = os.fsync, os.link

    def note_sync(handle: int) -> None:
        done.append(f"sync {os.fstat(handle).st_size > 100}")
        fsync(handle)

    def note_link(*names: Path) -> None:
        done.append("name")
        link(*names)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "link", note_link)
    made = load_settings("/dev/null", tmp_path / "deep" / "data", {}, create_secrets=True)
    assert done == ["sync True", "name"]
    for secret, pattern in (
        (made.app.appkey, "[0-9A-F]{16}"), (made.app.appsecret, "[0-9a-f]{48}"),
        (made.security.secret_key, "[0-9a-f]{64}"),
    ):  # fmt: skip
        assert re.fullmatch(pattern, secret)
    assert load_settings("/dev/null", tmp_path / "deep" / "data", {}).app == made.app
