"""Findings that need no server: settings, secrets, providers, storage, and the command itself."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from datingtoday.cli.doctor import examination
from datingtoday.cli.doctor.examination import CHECKS, examine
from datingtoday.cli.doctor.findings import Context, Finding
from datingtoday.cli.main import run
from datingtoday.infra import migrations
from datingtoday.infra.config.settings import load_settings
from tests.cli.doctor.conftest import SECRETS, examined, fix_of, load, states, troubles
from tests.plugins.certificates import self_signed
from tests.vip.providers import PROVIDERS

SQLITE = {"DATABASE_URI": "sqlite:////nonexistent/x.db", "REDIS_URI": "redis://127.0.0.1:1/0"}


class TestSettings:
    def test_each_refusal_is_a_finding(self, tmp_path: Path) -> None:
        found = examined(load(tmp_path, **SQLITE, SMS_ECHO=1, SMS_ALLOW_CONSOLE=0), "settings")
        messages = [it.message.en for it in found["settings.valid"]]
        assert [message.split(":")[0] for message in messages] == ["[SMS] echo", "[SMS] provider"]
        assert fix_of(found, "settings.valid") == "correct [SMS] echo, then: datingtoday config check"

    def test_conveniences_of_development_are_warnings(self, tmp_path: Path) -> None:
        found = examined(load(tmp_path, **SQLITE, PROTOCOL_EXPLAIN=1), "settings")
        assert troubles(found) == ["settings.protocol_explain", "settings.sms_allow_console"]
        assert fix_of(found, "settings.protocol_explain") == "[PROTOCOL] explain = false"


class TestSecrets:
    @pytest.mark.parametrize("secret", ["short8ch", "ab" * 30, "12345678"])
    def test_weak(self, tmp_path: Path, secret: str) -> None:
        found = examined(load(tmp_path, **SQLITE, APP_APPSECRET=secret), "secrets")
        assert states(found)["secrets.appsecret"] == "error"
        assert fix_of(found, "secrets.appsecret") == "[APP] appsecret = $(openssl rand -hex 24)"

    def test_a_pattern_as_secret_key(self, tmp_path: Path) -> None:
        assert "secrets.secret_key" in troubles(
            examined(load(tmp_path, **SQLITE, SECURITY_SECRET_KEY="00" * 31 + "01"), "secrets")
        )

    def test_one_secret_for_both(self, tmp_path: Path) -> None:
        same = SECRETS["SECURITY_SECRET_KEY"]
        assert troubles(examined(load(tmp_path, **SQLITE, APP_APPSECRET=same), "secrets")) == [
            "secrets.reused"
        ]

    def test_a_file_that_others_can_read(self, tmp_path: Path) -> None:
        file = tmp_path / "my.ini"
        lines = [f"[APP]\nappkey = K123\nappsecret = {SECRETS['APP_APPSECRET']}"]
        file.write_text("\n".join([*lines, f"[SECURITY]\nsecret_key = {SECRETS['SECURITY_SECRET_KEY']}\n"]))

        file.chmod(0o644)
        found = examined(load_settings(file, tmp_path, {}), "secrets")
        assert fix_of(found, "secrets.files") == f"chmod o-rwx,g-w {file}"
        # The group may read: a service's user often does so by its group.
        file.chmod(0o640)
        assert troubles(examined(load_settings(file, tmp_path, {}), "secrets")) == []


class TestProviders:
    def test_credentials_of_another_form(self, tmp_path: Path) -> None:
        good = {
            "SMS_PROVIDER": "tencent",
            "SMS_TENCENT_SECRET_ID": "AKID" + "x" * 32,
            "SMS_TENCENT_SECRET_KEY": "k" * 32,
            "SMS_TENCENT_APP_ID": "1400000001",
            "SMS_TENCENT_SIGN_NAME": "Dating",
            "SMS_TENCENT_TEMPLATE_ID": "123456",
        }
        assert troubles(examined(load(tmp_path, **SQLITE, **good), "sms")) == []
        found = examined(load(tmp_path, **SQLITE, **{**good, "SMS_TENCENT_APP_ID": "'1400000001'"}), "sms")
        assert states(found) == {"sms.credentials": "warning"}
        assert "[SMS] tencent_app_id" in found["sms.credentials"][0].message.en
        assert "1400000001'" not in found["sms.credentials"][0].message.en

    def test_missing_credentials(self, tmp_path: Path) -> None:
        found = examined(load(tmp_path, **SQLITE, SMS_PROVIDER="aliyun"), "sms")
        assert states(found) == {"sms.provider": "error"}

    def test_a_channel_with_its_keys_and_with_a_broken_one(self, tmp_path: Path) -> None:
        provider = PROVIDERS["wechat"]()
        with provider.stand_in:
            values = provider.settings(tmp_path)
            good = examined(load(tmp_path, **SQLITE, **values), "payments")
            assert states(good)["payments.channel"] == "ok"
            Path(values["PAY_WECHAT_PRIVATE_KEY"]).write_text("no key")
            broken = examined(load(tmp_path, **SQLITE, **values), "payments")
            assert states(broken)["payments.channel"] == "error"
            # A doctor asks none of them.
            assert provider.stand_in.requests == []

    def test_notifications_need_https(self, tmp_path: Path) -> None:
        provider = PROVIDERS["alipay"]()
        with provider.stand_in:
            values = {**provider.settings(tmp_path), "PAY_PUBLIC_URL": "http://api.example.com"}
            assert "payments.public_url" in troubles(examined(load(tmp_path, **SQLITE, **values), "payments"))

    @pytest.mark.parametrize(("days", "state"), [(90, "ok"), (10, "warning"), (-1, "error")])
    def test_certificates_end(self, tmp_path: Path, days: int, state: str) -> None:
        file = tmp_path / "root.pem"
        file.write_bytes(self_signed(ends_at=datetime.now(UTC) + timedelta(days=days)).certificate)
        settings = load(
            tmp_path,
            **SQLITE,
            PAY_APPLE_BUNDLE_ID="com.example",
            PAY_APPLE_ENVIRONMENT="sandbox",
            PAY_APPLE_ROOT_CERTIFICATES=file,
        )
        found = examined(settings, "payments")
        assert states(found)["payments.certificates"] == state
        assert "payments.public_url" not in found, "Apple is asked, and does not call"
        assert str(file) in found["payments.certificates"][0].message.zh


class TestStorage:
    def test_a_folder_that_works(self, tmp_path: Path) -> None:
        settings = load(tmp_path, **SQLITE, STORAGE_PATH=tmp_path / "media")
        assert states(examined(settings, "storage"))["storage.objects"] == "ok"
        left = [path for path in (tmp_path / "media").rglob("*") if path.is_file()]
        assert left == []

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        folder = tmp_path / "file" / "media"
        found = examined(load(tmp_path, **SQLITE, STORAGE_PATH=folder), "storage")
        assert states(found)["storage.objects"] == "error"
        assert fix_of(found, "storage.objects").endswith(str(folder))

    def test_s3_that_does_not_answer(self, tmp_path: Path) -> None:
        settings = load(
            tmp_path,
            **SQLITE,
            STORAGE_PROVIDER="s3",
            STORAGE_S3_ENDPOINT="http://127.0.0.1:1",
            STORAGE_S3_BUCKET="b",
            STORAGE_S3_ACCESS_KEY="AKIAHUNTER2",
            STORAGE_S3_SECRET_KEY="hunter2secret",
        )
        found = examined(settings, "storage")
        assert states(found)["storage.objects"] == "error"
        assert "hunter2" not in str(found).lower()


class TestCommand:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def test_an_empty_folder_has_no_errors_and_stays_empty(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["doctor", "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["counts"]["error"] == 0
        assert list(tmp_path.iterdir()) == []

    def test_settings_that_cannot_be_read(self, capsys: pytest.CaptureFixture[str]) -> None:
        Path("config.ini").write_text("[SERVER]\nport = hunter2secret\nprot = 1\n")
        assert run(["doctor", "--json"]) == 2
        printed = capsys.readouterr().out
        found = json.loads(printed)["findings"]
        assert [it["state"] for it in found] == ["error", "error"]
        assert "hunter2secret" not in printed
        assert run(["doctor"]) == 2
        lines = capsys.readouterr().out.splitlines()
        assert [line.split(":")[0] for line in lines if not line.startswith("    ")] == [
            "ERROR  settings.valid", "ERROR  settings.valid", "2 errors, 0 warnings, 0 ok",
        ]  # fmt: skip

    def test_speaks_the_language_of_the_terminal(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
        assert run(["doctor", "--only", "database"]) == 0
        printed = capsys.readouterr().out
        assert "警告  database.connection: 数据库文件尚不存在\n    修复: datingtoday serve" in printed
        assert printed.endswith("错误 0，警告 1，正常 0\n")

    def test_a_check_that_crashes_is_a_finding(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def crash(context: Context) -> list[Finding]:
            raise ZeroDivisionError("mysql://root:hunter2secret@db/x token=0123456789abcdef")

        monkeypatch.setattr(examination, "CHECKS", {**CHECKS, "sms": crash})
        assert run(["doctor", "--json", "--only", "sms", "--only", "settings"]) == 1
        printed = capsys.readouterr().out
        (finding,) = (it for it in json.loads(printed)["findings"] if it["check"] == "sms.check")
        assert finding["state"] == "error" and "ZeroDivisionError" in finding["message"]["en"]
        assert "hunter2secret" not in printed and "0123456789abcdef" not in printed
        with pytest.raises(ZeroDivisionError):
            run(["--debug", "doctor", "--only", "sms"])

    def test_its_own_steps_are_not_logged(self, monkeypatch: pytest.MonkeyPatch) -> None:
        levels: list[str] = []
        monkeypatch.setattr("datingtoday.infra.logs.configure_logs", levels.append)
        assert run(["doctor", "--only", "clock"]) == 0
        assert levels == ["error"]

    def test_wrong_usage(self, capsys: pytest.CaptureFixture[str]) -> None:
        for url in ("ftp://x", "http://", "api.example.com"):
            assert run(["doctor", "--url", url]) == 2
            assert f"--url: an http:// or https:// address, not '{url}'" in capsys.readouterr().err
        assert run(["doctor", "--only", "clock", "--url", "http://127.0.0.1:1/"]) == 0
        assert run(["doctor", "--only", "stars"]) == 2

    def test_every_area_can_be_chosen(self) -> None:
        from datingtoday.cli.commands.doctor import AREAS

        assert tuple(CHECKS) == AREAS


def test_every_finding_that_needs_something_says_what_helps_in_both_languages(tmp_path: Path) -> None:
    settings = load(tmp_path, **SQLITE, SMS_PROVIDER="aliyun", APP_APPSECRET="12345678")
    before = time.monotonic()
    found = list(examine(Context(settings, url="http://127.0.0.1:1")))
    assert time.monotonic() - before < 20
    assert {it.area for it in found} >= {"settings", "secrets", "sms", "redis", "database", "proxy"}
    for finding in found:
        assert finding.message.en and finding.message.zh
        assert (finding.fix is None) == (finding.state == "ok"), finding


def test_without_settings_the_server_itself_is_what_starts_a_worker(tmp_path: Path) -> None:
    settings = load_settings(None, tmp_path, {})
    migrations.upgrade(settings.database.uri)
    found = examined(settings, "processes")
    assert fix_of(found, "processes.worker") == f"datingtoday serve --data {tmp_path}"
