"""Findings from given facts: their state at each edge, and the exact repair."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from datingtoday.cli.doctor import clock_checks
from datingtoday.cli.doctor.examination import crashed
from datingtoday.cli.doctor.findings import Context, Finding
from datingtoday.cli.doctor.provider_checks import expiry
from datingtoday.cli.doctor.proxy_checks import FORGED, _believed
from datingtoday.cli.doctor.servers import database_cli, redis_cli
from datingtoday.cli.doctor.settings_checks import config_finding
from datingtoday.infra.config.settings import ConfigError, Settings, load_settings
from datingtoday.infra.db import Database
from datingtoday.infra.text import Text
from tests.cli.doctor.conftest import examined, fix_of, load, states, troubles
from tests.plugins.schema import bring_up
from tests.stand_ins.http_server import Answer, HttpStandIn

MYSQL = "mysql+pymysql://dt:hunter2secret@db.example/dating"
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def fixes(found: Finding) -> str:
    assert found.fix is not None
    return found.fix.en


@pytest.mark.parametrize(
    ("uri", "command"),
    [
        ("redis://h/0", "redis-cli -h h -p 6379"),
        ("redis://:secret@h:7000/0", "redis-cli -h h -p 7000 --askpass"),
        ("rediss://u:secret@h:7000/0", "redis-cli -h h -p 7000 --tls --askpass"),
        ("unix:///run/redis.sock", "redis-cli -s /run/redis.sock"),
        ("unix://u:secret@/run/redis.sock", "redis-cli -s /run/redis.sock --askpass"),
    ],
)
def test_commands_for_redis(uri: str, command: str) -> None:
    assert redis_cli(uri) == command


@pytest.mark.parametrize(
    ("where", "command"),
    [
        ("db:3307", 'mysql -h db -P 3307 -u root -p -e "SELECT 1"'),
        ("db", 'mysql -h db -P 3306 -u root -p -e "SELECT 1"'),
    ],
)
def test_commands_for_the_database(tmp_path: Path, where: str, command: str) -> None:
    settings = load(tmp_path, DATABASE_URI=f"mysql+pymysql://{where}/d")
    assert database_cli(settings, "SELECT 1") == command


class TestClocks:
    """Both clocks are read in the middle between two readings of our own."""

    @pytest.fixture
    def context(self, tmp_path: Path) -> Context:
        readings = iter([100 * 10**9, 101 * 10**9])
        return Context(load(tmp_path, DATABASE_URI=MYSQL), clock_ns=lambda: next(readings))

    def test_of_redis(self, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
        role = SimpleNamespace(close=lambda: None)
        monkeypatch.setattr(clock_checks, "_database_offset_s", lambda _: None)
        monkeypatch.setattr(clock_checks, "redis_roles", lambda _: {"guard": role})
        monkeypatch.setattr(clock_checks, "ask", lambda *_: (b"103", b"750000"))
        found = {it.check: it for it in clock_checks.check_clock(context)}
        assert set(found) == {"clock.guard", "clock.synchronized"}
        assert found["clock.guard"].message.en == "Redis (guard) differs by +3.25 s"

    def test_of_the_database(self, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
        @contextmanager
        def connect() -> Iterator[Any]:
            yield SimpleNamespace(execute=lambda _: SimpleNamespace(scalar_one=lambda: "98.25"))

        @contextmanager
        def engine(_: Settings) -> Iterator[Any]:
            yield SimpleNamespace(dialect=SimpleNamespace(name="mysql"), connect=connect)

        monkeypatch.setattr(clock_checks, "database_engine", engine)
        monkeypatch.setattr(clock_checks, "redis_roles", lambda _: {})
        found = {it.check: it for it in clock_checks.check_clock(context)}
        assert found["clock.database"].message.en == "the database differs by -2.25 s"


@pytest.mark.parametrize(
    ("left", "state", "said"),
    [
        (timedelta(days=30, seconds=1), "ok", "x is valid until 2026-12-22"),
        (timedelta(days=30), "warning", "x expires on 2026-12-22"),
        (timedelta(seconds=1), "warning", "x expires on 2026-11-22"),
        (timedelta(), "error", "x expired on 2026-11-22"),
        (timedelta(days=-1), "error", "x expired on 2026-11-21"),
    ],
)
def test_the_end_of_a_certificate(left: timedelta, state: str, said: str) -> None:
    for check, fix in (
        ("proxy.tls", "certbot renew && nginx -s reload"),
        ("payments.certificates", "download the new certificate from the provider, list it first"),
    ):
        found = expiry(check, "x", NOW + left, NOW)
        assert (found.state, found.message.en) == (state, said)
        assert state == "ok" or fixes(found) == fix


@pytest.mark.parametrize(
    ("received", "header", "believed"),
    [
        ({}, "either", ""),
        ({"X-Forwarded-For": FORGED}, "either", "X-Forwarded-For"),
        ({"X-Forwarded-For": f"10.0.0.1, {FORGED}"}, "x-forwarded-for", "X-Forwarded-For"),
        ({"X-Forwarded-For": f"{FORGED}, 10.0.0.1"}, "either", ""),
        ({"Forwarded": f"for={FORGED}"}, "either", "Forwarded"),
        ({"Forwarded": f"for={FORGED}"}, "forwarded", "Forwarded"),
        ({"Forwarded": f"for={FORGED}"}, "x-forwarded-for", ""),
        ({"X-Forwarded-For": "10.0.0.1"}, "either", ""),
    ],
)
def test_a_claim_counts_where_it_stands_last(received: dict[str, str], header: str, believed: str) -> None:
    assert _believed(received, header) == believed


@pytest.mark.parametrize("path", ["", "/base/"])
def test_an_address_without_tls_and_another_program_behind_it(tmp_path: Path, path: str) -> None:
    server = HttpStandIn()
    with server:
        server.misbehave = Answer(404, b"{}")
        found = examined(load(tmp_path), "proxy", url=f"{server.url}{path}")
        assert [it.path for it in server.requests][:1] == [f"{path.rstrip('/')}/healthz"]
    assert (
        states(found)["proxy.tls"] == "warning"
        and fix_of(found, "proxy.tls") == "certbot --nginx -d 127.0.0.1"
    )
    assert found["proxy.forwarding"][0].message.en.startswith("/healthz answers 404 instead of a report")
    assert states(found)["proxy.websocket"] == "error"


class TestSchema:
    @pytest.fixture
    def change(self, tmp_path: Path) -> Callable[[str], None]:
        uri = f"sqlite:///{tmp_path}/x.sqlite3"
        bring_up(uri)

        def execute(statement: str) -> None:
            database = Database(uri)
            with database.transaction() as session:
                session.execute(text(statement))
            database.dispose()

        return execute

    @staticmethod
    def settings(folder: Path, **values: Any) -> Settings:
        return load(folder, DATABASE_URI=f"sqlite:///{folder}/x.sqlite3", **values)

    @pytest.mark.parametrize(
        ("change_to", "accepted", "state", "fix"),
        [
            ("UPDATE alembic_version SET version_num = '0001'", 0, "error", "datingtoday db upgrade"),
            ("DELETE FROM alembic_version", 0, "error", "datingtoday db upgrade"),
            (
                "UPDATE alembic_version SET version_num = '9999'",
                0,
                "error",
                "pip install of the newer program",
            ),
            ("UPDATE alembic_version SET version_num = '9999'", 1, "warning", "install the newer program"),
        ],
    )
    def test_another_revision(
        self,
        change: Callable[[str], None],
        tmp_path: Path,
        change_to: str,
        accepted: int,
        state: str,
        fix: str,
    ) -> None:
        change(change_to)
        found = examined(self.settings(tmp_path, DATABASE_NEWER_SCHEMA=accepted), "schema")
        assert states(found) == {"schema.revision": state}
        assert fix_of(found, "schema.revision") == fix

    @pytest.mark.usefixtures("change")
    def test_a_file_that_is_intact(self, tmp_path: Path) -> None:
        found = examined(self.settings(tmp_path), "database")
        assert states(found) == {"database.connection": "ok", "database.integrity": "ok"}
        assert found["database.connection"][0].message.en.startswith("SQLite 3.")

    def test_an_index_that_is_missing(self, change: Callable[[str], None], tmp_path: Path) -> None:
        change("DROP INDEX uq_user_order_trade_no")
        settings = self.settings(tmp_path)
        found = examined(settings, "schema")
        assert troubles(found) == ["schema.indexes"] and "schema.structure" not in found
        command = f'sqlite3 {tmp_path}/x.sqlite3 "'
        fix = fix_of(found, "schema.indexes")
        assert fix.startswith(f"{command}CREATE UNIQUE INDEX uq_user_order_trade_no ON user_order")
        change(fix.removeprefix(command).removesuffix('"'))
        assert troubles(examined(settings, "schema")) == []


class TestSettings:
    def test_a_refusal_that_names_no_setting(self) -> None:
        assert config_finding(ConfigError("no such file", "没有文件")).fix == (
            "correct the settings, then: datingtoday config check",
            "修改 配置，然后：datingtoday config check",
        )
        named = config_finding(ConfigError("[SMS] echo: no", "[SMS] echo：不行")).fix
        assert named is not None and named.zh == "修改 [SMS] echo，然后：datingtoday config check"

    @pytest.mark.parametrize(
        ("values", "troubled"),
        [
            ({}, ["settings.sms_allow_console"]),
            (
                {"SMS_ALLOW_CONSOLE": 0, "DEMO_ENABLED": 1, "SMS_PROVIDER": "console"},
                ["settings.valid", "settings.demo_enabled"],
            ),
        ],
    )
    def test_conveniences(self, tmp_path: Path, values: dict[str, Any], troubled: list[str]) -> None:
        settings = load(tmp_path, DATABASE_URI=MYSQL, REDIS_URI="redis://h/0", **values)
        assert troubles(examined(settings, "settings")) == troubled

    def test_the_embedded_default_is_told_and_is_for_development(self, tmp_path: Path) -> None:
        found = examined(load_settings("/dev/null", tmp_path, {}), "settings")
        assert troubles(found) == []
        assert found["settings.valid"][0].message.en == (
            f"valid; embedded default (SQLite, private Redis), data in {tmp_path}"
        )

    @pytest.mark.parametrize(
        ("content", "mode", "is_open"),
        [
            (f"[DATABASE]\nuri = {MYSQL}\n", 0o604, True),
            (f"[DATABASE]\nuri = {MYSQL}\n", 0o601, True),
            (f"[DATABASE]\nuri = {MYSQL}\n", 0o620, True),
            (f"[DATABASE]\nuri = {MYSQL}\n", 0o640, False),
            ("[SECURITY]\nsecret_key = " + "ab12" * 16 + "\n", 0o604, True),
            ("[SERVER]\nport = 81\n", 0o666, False),
        ],
    )
    def test_files_with_secrets(self, tmp_path: Path, content: str, mode: int, is_open: bool) -> None:
        file = tmp_path / "my.ini"
        file.write_text(content)
        file.chmod(mode)
        found = examined(load_settings(file, tmp_path / "data", {}), "secrets")
        assert (states(found)["secrets.files"] == "error") is is_open

    def test_own_files_and_key_files(self, tmp_path: Path) -> None:
        load_settings("/dev/null", tmp_path, {}, create_secrets=True)
        own = tmp_path / "secrets.ini"
        assert troubles(examined(load_settings("/dev/null", tmp_path, {}), "secrets")) == []
        own.chmod(0o604)
        found = examined(load_settings("/dev/null", tmp_path, {}), "secrets")
        assert fix_of(found, "secrets.files") == f"chmod o-rwx,g-w {own}"
        key = tmp_path / "key.pem"
        settings = load(tmp_path, DATABASE_URI=MYSQL, PAY_ALIPAY_PRIVATE_KEY=key)
        assert "secrets.files" not in troubles(examined(settings, "secrets")), "it is missing"
        key.touch()
        key.chmod(0o644)
        assert fix_of(examined(settings, "secrets"), "secrets.files") == f"chmod o-rwx,g-w {key}"


class TestStorage:
    def test_before_the_first_upload(self, tmp_path: Path) -> None:
        folder = tmp_path / "data" / "media"
        settings = load_settings("/dev/null", tmp_path / "data", {})
        found = examined(settings, "storage")
        assert found["storage.objects"][0].message.en == f"{folder} is created at the first upload"
        assert not folder.exists()
        folder.mkdir(parents=True)
        assert found["storage.room"][0].message.en.endswith(f"free on {tmp_path}")
        found = examined(settings, "storage")
        assert found["storage.objects"][0].message.en == f"written, read and deleted an object in {folder}"

    @pytest.mark.parametrize("user", ["dating", ""])
    def test_the_repair_names_who_runs_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str
    ) -> None:
        monkeypatch.setenv("USER", user)
        (tmp_path / "file").touch()
        folder = tmp_path / "file" / "media"
        found = examined(load(tmp_path, STORAGE_PATH=folder, DATABASE_URI=MYSQL), "storage")
        assert fix_of(found, "storage.objects") == f"install -d -o {user or os.getuid()} -m 0750 {folder}"


def test_a_check_that_crashes_is_told_in_three_hundred_characters() -> None:
    found = crashed("sms", ValueError("x " * 400))
    assert found.message == Text(
        f"the check itself failed ({('ValueError: ' + 'x ' * 400)[:300]})",
        f"检查本身失败（{('ValueError: ' + 'x ' * 400)[:300]}）",
    )
    assert "datingtoday --debug doctor --only sms" in fixes(found)
