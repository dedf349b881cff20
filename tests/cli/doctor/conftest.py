"""Settings, and the examination, for tests of `datingtoday doctor`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datingtoday.cli.doctor.examination import CHECKS, examine
from datingtoday.cli.doctor.findings import Context, Finding
from datingtoday.infra.config.settings import Settings, load_settings
from tests.plugins.backend import Backend

SECRETS = {
    "APP_APPKEY": "TESTKEY1",
    "APP_APPSECRET": "5b1f0c1d2e3f4a5b6c7d8e9f00112233",
    "SECURITY_SECRET_KEY": "8c6f1b2e9d3a4057" * 4,
    "SMS_ALLOW_CONSOLE": "1",
    "DEMO_ENABLED": "0",
}

Findings = dict[str, list[Finding]]


def load(folder: Path, **values: Any) -> Settings:
    """Settings as in production: ``SECTION_KEY=value``."""
    environ = {f"DATINGTODAY_{name}": str(value) for name, value in {**SECRETS, **values}.items()}
    return load_settings(None, folder, environ)


def examined(settings: Settings, *areas: str, **context: Any) -> Findings:
    """Findings by name. A check that crashes fails the test."""
    chosen = {area: CHECKS[area] for area in areas}
    found: Findings = {}
    for finding in examine(Context(settings, **context), chosen, debug=True):
        found.setdefault(finding.check, []).append(finding)
    return found


def states(found: Findings) -> dict[str, str]:
    """The worst state by name."""
    order = ("ok", "warning", "error")
    return {name: max((it.state for it in findings), key=order.index) for name, findings in found.items()}


def troubles(found: Findings) -> list[str]:
    """Names of the findings that are not in order."""
    return [name for name, state in states(found).items() if state != "ok"]


def fix_of(found: Findings, check: str) -> str:
    """The repair of the first finding of this name that needs one."""
    fix = next(it.fix for it in found[check] if it.fix is not None)
    return fix.en


@pytest.fixture
def settings_on(backend: Backend, tmp_path: Path) -> Callable[..., Settings]:
    """Settings as in production on a backend's servers."""
    return lambda **values: load(
        tmp_path / "data",
        **{
            "DATABASE_URI": backend.database_uri,
            "REDIS_URI": backend.redis_uri,
            "REDIS_CACHE_URI": backend.cache_uri,
            "REDIS_QUEUE_URI": backend.queue_uri,
            "STORAGE_PATH": str(tmp_path / "media"),
        }
        | values,
    )
