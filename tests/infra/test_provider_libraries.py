"""Every provider that can be configured is in the production installation; `config check` names what is missing."""

from __future__ import annotations

import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple, get_args

import pytest

from datingtoday.cli import main as cli
from datingtoday.infra.config.providers import SmsSection, StorageSection
from tests.vip.providers import PROVIDERS

ROOT = Path(__file__).parents[2]
OWN = {
    "DATABASE_URI": "sqlite:////nonexistent/x.db",
    "APP_APPKEY": "APPKEY1",
    "APP_APPSECRET": "s" * 20,
    "SECURITY_SECRET_KEY": "ab" * 32,
    "SMS_ALLOW_CONSOLE": "1",
}


class Library(NamedTuple):
    """A provider, the settings that choose it, its own module, and a module of each library that it imports."""

    provider: str
    settings: dict[str, str]
    module: str
    imported: tuple[str, ...]


SMS_ALIYUN = {
    "SMS_PROVIDER": "aliyun",
    "SMS_ALIYUN_ACCESS_KEY_ID": "LTAI5tAnId",
    "SMS_ALIYUN_ACCESS_KEY_SECRET": "a-secret",
    "SMS_ALIYUN_SIGN_NAME": "约会",
    "SMS_ALIYUN_TEMPLATE_CODE": "SMS_1",
}
SMS_TENCENT = {
    "SMS_PROVIDER": "tencent",
    "SMS_TENCENT_SECRET_ID": "AKIDid",
    "SMS_TENCENT_SECRET_KEY": "a-secret",
    "SMS_TENCENT_APP_ID": "1400000000",
    "SMS_TENCENT_SIGN_NAME": "约会",
    "SMS_TENCENT_TEMPLATE_ID": "1",
}
S3 = {
    "STORAGE_PROVIDER": "s3",
    "STORAGE_S3_BUCKET": "media",
    "STORAGE_S3_ACCESS_KEY": "an-id",
    "STORAGE_S3_SECRET_KEY": "a-secret",
    "STORAGE_S3_REGION": "cn-north-1",
}
SMS = "datingtoday.infra.sms"
PAY = "datingtoday.infra.payments"
_ALIYUN = ("alibabacloud_dysmsapi20170525", "alibabacloud_tea_openapi", "darabonba")
LIBRARIES = [
    Library("aliyun", SMS_ALIYUN, f"{SMS}.aliyun", _ALIYUN),
    Library("tencent", SMS_TENCENT, f"{SMS}.tencent", ("tencentcloud",)),
    Library("s3", S3, "", ("boto3", "botocore")),
    Library("wechat", {}, f"{PAY}.wechat", ("wechatpayv3", "cryptography")),
    Library("alipay", {}, f"{PAY}.alipay", ("alipay", "requests")),
    Library("apple", {}, f"{PAY}.apple", ("appstoreserverlibrary",)),
]  # fmt: skip


def test_every_provider_that_can_be_chosen_is_here() -> None:
    sms = set(get_args(SmsSection.model_fields["provider"].annotation)) - {"console"}
    storage = set(get_args(StorageSection.model_fields["provider"].annotation)) - {"local"}
    assert {library.provider for library in LIBRARIES} == sms | storage | set(PROVIDERS)


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda it: it.provider)
def test_its_libraries_are_in_the_production_lock(library: Library) -> None:
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    distributions = packages_distributions()
    for module in library.imported:
        names = {re.sub(r"[-_.]+", "-", name).lower() for name in distributions[module]}
        assert names & locked, f"{module} of {library.provider} is in no requirements.txt: {names}"
    # Push is part of every installation.
    assert {"python-socketio", "gevent"} <= locked


def checked(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Exit code and errors of `config check` with this provider chosen."""
    chosen = library.settings
    if library.provider in PROVIDERS:
        made = PROVIDERS[library.provider]()
        with made.stand_in:
            chosen = made.settings(tmp_path)
    for name, value in {**OWN, **chosen}.items():
        monkeypatch.setenv(f"DATINGTODAY_{name}", value)
    exit_code = cli.run(["config", "check", "--config", "/dev/null", "--data", str(tmp_path)])
    return exit_code, capsys.readouterr().err


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda it: it.provider)
@pytest.mark.parametrize(("language", "said"), [("C.UTF-8", "not installed"), ("zh_CN.UTF-8", "未安装")])
def test_config_check_names_a_library_that_is_missing(
    library: Library,
    language: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LC_ALL", language)
    assert checked(library, tmp_path, monkeypatch, capsys) == (0, "")
    before = sys.modules.pop(library.module, None)
    blocked = library.imported[0]
    for name in [name for name in sys.modules if name.partition(".")[0] == blocked]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, blocked, None)
    try:
        exit_code, errors = checked(library, tmp_path, monkeypatch, capsys)
    finally:
        monkeypatch.undo()
        # Other tests hold on to the classes of the module that was there before.
        sys.modules.pop(library.module, None)
        if before is not None:
            sys.modules[library.module] = before
    assert exit_code == 2
    assert said in errors
    assert "pip install -r requirements.txt" in errors
    assert errors.count("\n") == 1
