"""Choice of the provider by the settings, and errors that stop the start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from datingtoday.infra.config.providers import SmsSection
from datingtoday.infra.config.settings import ConfigError
from datingtoday.infra.sms.aliyun import AliyunSms
from datingtoday.infra.sms.console import ConsoleSms
from datingtoday.infra.sms.make import make_sms_provider
from datingtoday.infra.sms.tencent import TencentSms
from tests.infra.sms.vendors import Aliyun, Tencent, Vendor

KEYS = [(Aliyun, key) for key in ("access_key_id", "access_key_secret", "sign_name", "template_code")] + [
    (Tencent, key) for key in ("secret_id", "secret_key", "app_id", "sign_name", "template_id", "region")
]


def test_each_provider_by_its_name(aliyun: Aliyun, tencent: Tencent) -> None:
    assert isinstance(make_sms_provider(SmsSection()), ConsoleSms)
    assert isinstance(aliyun.provider(), AliyunSms)
    assert isinstance(tencent.provider(), TencentSms)
    assert aliyun.stand_in.requests == tencent.stand_in.requests == []


def test_the_vendors_own_endpoints(aliyun: Aliyun, tencent: Tencent) -> None:
    # Nothing is contacted here: the guards of conftest.py would see it.
    for vendor, origin in (
        (aliyun, "https://dysmsapi.aliyuncs.com"),
        (tencent, "https://sms.tencentcloudapi.com"),
    ):
        provider = vendor.provider(**{f"{vendor.name}_endpoint": ""})
        assert provider._endpoint.origin == origin  # type: ignore[attr-defined]


@pytest.mark.parametrize(("kind", "key"), KEYS)
def test_a_missing_key_is_named(kind: type[Vendor], key: str) -> None:
    vendor = kind()
    vendor.stand_in.close()
    name = f"{vendor.name}_{key}"
    with pytest.raises(ConfigError, match=rf"^\[SMS\] {name}: ") as caught:
        vendor.provider(**{name: ""})
    assert f"[SMS] {name}：" in caught.value.zh


@pytest.mark.parametrize(
    "url",
    [
        "http://dysmsapi.aliyuncs.com",
        "http://10.0.0.1:8080",
        "http://127.0.0.1.example.com",
        "https://user:pass@dysmsapi.aliyuncs.com",
        "https://dysmsapi.aliyuncs.com/path",
        "https://dysmsapi.aliyuncs.com?x=1",
        "https://dysmsapi.aliyuncs.com#x",
    ],
)
def test_endpoints_that_are_refused(vendor: Vendor, url: str) -> None:
    with pytest.raises(ConfigError, match=rf"^\[SMS\] {vendor.name}_endpoint: ") as caught:
        vendor.provider(**{f"{vendor.name}_endpoint": url})
    assert "pass" not in caught.value.en + caught.value.zh


@pytest.mark.parametrize(
    "url", ["http://localhost:1", "http://127.9.9.9:1", "http://[::1]:1", "https://[::1]"]
)
def test_endpoints_that_are_allowed(vendor: Vendor, url: str) -> None:
    vendor.provider(**{f"{vendor.name}_endpoint": url})


def test_an_sdk_that_is_not_installed_stops_the_start(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = {
        "aliyun": "alibabacloud_dysmsapi20170525.client",
        "tencent": "tencentcloud.sms.v20210111.models",
    }
    monkeypatch.delitem(sys.modules, f"datingtoday.infra.sms.{vendor.name}")
    monkeypatch.setitem(sys.modules, module[vendor.name], None)
    with pytest.raises(ConfigError, match=rf"^\[SMS\] provider: {vendor.name} is not installed") as caught:
        vendor.provider()
    assert f"datingtoday[{vendor.name}]" in caught.value.en
    assert f"datingtoday[{vendor.name}]" in caught.value.zh


def test_other_missing_modules_are_not_mistaken_for_that(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, f"datingtoday.infra.sms.{vendor.name}")
    monkeypatch.setitem(sys.modules, "datingtoday.infra.sms.remote", None)
    with pytest.raises(ModuleNotFoundError):
        vendor.provider()


def test_no_sdk_is_imported_unless_it_is_chosen() -> None:
    program = (
        "import sys; from datingtoday.infra.config.providers import SmsSection;"
        "from datingtoday.infra.sms.make import make_sms_provider; make_sms_provider(SmsSection());"
        "print({name.partition('.')[0] for name in sys.modules}"
        " & {'requests', 'darabonba', 'alibabacloud_dysmsapi20170525', 'tencentcloud'})"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
