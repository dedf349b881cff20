"""The output of the doctor has no secrets, whatever is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from datingtoday.cli.main import run

SECRETS = {
    "DATABASE_URI": "mysql+pymysql://someuser:hunter2-database@127.0.0.1:1/dt",
    "REDIS_URI": "redis://someuser:hunter2-guard@127.0.0.1:1/0",
    "REDIS_CACHE_URI": "redis://:hunter2-cache@127.0.0.1:1/1",
    "REDIS_QUEUE_URI": "rediss://u:hunter2-queue@127.0.0.1:1/2",
    "APP_APPKEY": "K1234",
    "APP_APPSECRET": "hunter2-appsecret",
    "SECURITY_SECRET_KEY": "c0ffee" * 11,
    "SMS_PROVIDER": "aliyun",
    "SMS_ALIYUN_ACCESS_KEY_ID": "hunter2-key-id",
    "SMS_ALIYUN_ACCESS_KEY_SECRET": "hunter2-key-secret",
    "SMS_ALIYUN_SIGN_NAME": "x",
    "SMS_ALIYUN_TEMPLATE_CODE": "bad",
    "STORAGE_PROVIDER": "s3",
    "STORAGE_S3_ENDPOINT": "http://127.0.0.1:1",
    "STORAGE_S3_BUCKET": "b",
    "STORAGE_S3_ACCESS_KEY": "hunter2-s3-id",
    "STORAGE_S3_SECRET_KEY": "hunter2-s3",
    "SENTRY_DSN": "https://hunter2sentry@127.0.0.1:1/7",
    "PAY_SANDBOX": "1",
    "PAY_SANDBOX_SECRET": "hunter2-sandbox",
}


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_everything_is_broken(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in SECRETS.items():
        monkeypatch.setenv(f"DATINGTODAY_{name}", value)
    assert run(["doctor", "--url", "http://127.0.0.1:1", *options]) == 1
    printed = capsys.readouterr()
    text = printed.out + printed.err
    assert "database.connection" in text and "storage.objects" in text and "redis.guard.connection" in text
    assert "hunter2" not in text
    assert "c0ffee" not in text
    assert "check itself failed" not in text and "Traceback" not in text
