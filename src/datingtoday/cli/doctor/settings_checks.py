"""Checks of the settings and of the strength of the secrets in them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from datingtoday.cli.doctor.findings import Context, Finding, error, ok, warning
from datingtoday.infra.config.fields import notes_of
from datingtoday.infra.config.serving import serving_problems
from datingtoday.infra.config.settings import SECRETS_FILE, ConfigError, Settings, sections
from datingtoday.infra.text import Text

MIN_SECRET_CHARS = 32
_MIN_DISTINCT_CHARS = 8
"""Fewer different characters: a pattern, not a random value."""


def config_finding(problem: ConfigError, command: str = "datingtoday config check") -> Finding:
    """The finding for a setting that is refused."""
    where = f"[{problem.en.partition('[')[2].partition(':')[0]}" if problem.en.startswith("[") else ""
    return error(
        "settings.valid",
        problem.text,
        Text(
            f"correct {where or 'the settings'}, then: {command}", f"修改 {where or '配置'}，然后：{command}"
        ),
    )


def check_settings(context: Context) -> Iterator[Finding]:
    """Settings with which the server would not start."""
    settings = context.settings
    problems = serving_problems(settings)
    for problem in problems:
        yield config_finding(problem)
    if not problems:
        source = str(settings.config_file or "-")
        if settings.embedded:
            yield ok(
                "settings.valid",
                f"valid; embedded default (SQLite, private Redis), data in {settings.data_dir}",
                f"有效；内嵌默认模式（SQLite、私有 Redis），数据目录 {settings.data_dir}",
            )
        else:
            yield ok("settings.valid", f"valid ({source})", f"有效（{source}）")
    if not settings.embedded:
        yield from _debugging(settings)


def _debugging(settings: Settings) -> Iterator[Finding]:
    """Conveniences of development that are allowed in production, but not meant for it."""
    for section, key, is_on in (
        ("PROTOCOL", "explain", settings.protocol.explain),
        ("DEMO", "enabled", settings.demo.enabled),
        ("SMS", "allow_console", settings.sms.allow_console and settings.sms.provider == "console"),
    ):
        if is_on:
            origin = settings.origin_of(section, key)
            yield warning(
                f"settings.{section.lower()}_{key}",
                Text(
                    f"[{section}] {key} is on ({origin}): meant for development",
                    f"[{section}] {key} 已开启（{origin}）：仅供开发使用",
                ),
                f"[{section}] {key} = false",
            )


def check_secrets(context: Context) -> Iterator[Finding]:
    """Secrets that can be guessed, or read by other users of this host."""
    settings = context.settings
    weak = list(_weak(settings))
    yield from weak
    if not weak and settings.security.secret_key and settings.app.appsecret:
        yield ok(
            "secrets.strength", "appsecret and secret_key are strong", "appsecret 与 secret_key 强度足够"
        )
    exposed = list(_exposed(settings))
    yield from exposed
    if not exposed:
        yield ok(
            "secrets.files", "files with secrets are readable only by their owner", "含密钥的文件仅属主可读"
        )


def _weak(settings: Settings) -> Iterator[Finding]:
    for section, key, command in (
        ("APP", "appsecret", "openssl rand -hex 24"),
        ("SECURITY", "secret_key", "openssl rand -hex 32"),
    ):
        value = getattr(getattr(settings, section.lower()), key)
        if not value:
            continue
        if len(value) < MIN_SECRET_CHARS or len(set(value.lower())) < _MIN_DISTINCT_CHARS:
            yield error(
                f"secrets.{key}",
                Text(
                    f"[{section}] {key} can be guessed: too short or a pattern",
                    f"[{section}] {key} 容易被猜出：太短或有规律",
                ),
                f"[{section}] {key} = $({command})",
            )
    if settings.app.appsecret and settings.app.appsecret == settings.security.secret_key:
        yield error(
            "secrets.reused",
            Text(
                "[APP] appsecret equals [SECURITY] secret_key, so every copy of the app carries the server's key",
                "[APP] appsecret 与 [SECURITY] secret_key 相同，等于把服务端密钥发给了每个客户端",
            ),
            "[SECURITY] secret_key = $(openssl rand -hex 32)",
        )


def _exposed(settings: Settings) -> Iterator[Finding]:
    for file in _secret_files(settings):
        try:
            mode = file.stat().st_mode
        except OSError:
            # A missing key file is a finding of the part that needs it.
            continue
        if stat.S_ISREG(mode) and mode & (stat.S_IRWXO | stat.S_IWGRP):
            yield error(
                "secrets.files",
                Text(
                    f"{file} contains secrets and is open to other users ({stat.filemode(mode)})",
                    f"{file} 含有密钥，但其他用户可以访问（{stat.filemode(mode)}）",
                ),
                f"chmod o-rwx,g-w {file}",
            )


def _secret_files(settings: Settings) -> Iterator[Path]:
    origins = settings.origins
    if settings.config_file is not None and any(
        origins.get(f"{section} {key}", "").startswith(f"{settings.config_file}:")
        for section, model in sections().items()
        for key, info in model.model_fields.items()
        if notes_of(info).secret or notes_of(info).uri
    ):
        yield settings.config_file
    if settings.embedded:
        yield settings.data_dir / SECRETS_FILE
    for key in ("wechat_private_key", "wechat_api_v3_key", "alipay_private_key", "apple_private_key"):
        if path := getattr(settings.pay, key):
            yield Path(os.path.abspath(path))
