"""The two vendors side by side: how to play them, how to configure them, what was sent."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from datingtoday.infra.config.providers import SmsSection
from datingtoday.infra.sms.make import make_sms_provider
from datingtoday.infra.sms.provider import SmsProvider
from tests.stand_ins.aliyun_sms import AliyunSmsStandIn
from tests.stand_ins.http_server import HttpStandIn
from tests.stand_ins.tencent_sms import TencentSmsStandIn

SIGN = "今天约会"
TIMEOUT_S = 1.5


@dataclass(frozen=True)
class Sent:
    """A message as either vendor would have put it on the air."""

    number: str
    sign: str
    template: str
    code: str


class Vendor(ABC):
    """One vendor's stand-in with the settings that fit it."""

    name: str
    stand_in: HttpStandIn
    secrets: tuple[str, ...]
    wrong_secret: str
    """The vendor's error code for a signature by another secret."""
    too_old: tuple[str, float]
    """The vendor's error code for an old request, and how old that is, in seconds."""

    @abstractmethod
    def settings(self, **changes: Any) -> SmsSection: ...

    @abstractmethod
    def with_wrong_secret(self) -> SmsSection: ...

    @abstractmethod
    def refuse(self, code: str, message: str) -> None:
        """Let the next messages fail with the vendor's code."""

    @abstractmethod
    def sent(self) -> list[Sent]: ...

    @abstractmethod
    def number(self, phone: str) -> str:
        """The number in the vendor's notation."""

    def provider(self, **changes: Any) -> SmsProvider:
        return make_sms_provider(self.settings(**changes))


class Aliyun(Vendor):
    name = "aliyun"
    secrets = ("Kx93nS0secretOfAliyun",)
    wrong_secret = "SignatureDoesNotMatch"
    too_old = ("InvalidTimeStamp.Expired", 15 * 60 + 5)

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.stand_in: AliyunSmsStandIn = AliyunSmsStandIn(
            access_key_id="LTAItestkey",
            access_key_secret=self.secrets[0],
            sign_name=SIGN,
            template_code="SMS_20260001",
            tls=tls,
        )

    def settings(self, **changes: Any) -> SmsSection:
        values: dict[str, Any] = {
            "provider": "aliyun",
            "aliyun_access_key_id": "LTAItestkey",
            "aliyun_access_key_secret": self.secrets[0],
            "aliyun_sign_name": SIGN,
            "aliyun_template_code": "SMS_20260001",
            "aliyun_endpoint": self.stand_in.url,
            "timeout_s": TIMEOUT_S,
        }
        return SmsSection(**(values | changes))

    def with_wrong_secret(self) -> SmsSection:
        return self.settings(aliyun_access_key_secret=self.secrets[0] + "x")

    def refuse(self, code: str, message: str) -> None:
        self.stand_in.refuse_with = (code, message)

    def sent(self) -> list[Sent]:
        return [
            Sent(m.phone_number, m.sign_name, m.template_code, m.params["code"]) for m in self.stand_in.sent
        ]

    def number(self, phone: str) -> str:
        return phone[3:] if phone.startswith("+86") else phone[1:]


class Tencent(Vendor):
    name = "tencent"
    secrets = ("Zq71vT4secretOfTencent",)
    wrong_secret = "AuthFailure.SignatureFailure"
    too_old = ("AuthFailure.SignatureExpire", 5 * 60 + 5)

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.stand_in: TencentSmsStandIn = TencentSmsStandIn(
            secret_id="AKIDtestid",
            secret_key=self.secrets[0],
            app_id="1400006666",
            sign_name=SIGN,
            template_id="449739",
            tls=tls,
        )

    def settings(self, **changes: Any) -> SmsSection:
        values: dict[str, Any] = {
            "provider": "tencent",
            "tencent_secret_id": "AKIDtestid",
            "tencent_secret_key": self.secrets[0],
            "tencent_app_id": "1400006666",
            "tencent_sign_name": SIGN,
            "tencent_template_id": "449739",
            "tencent_endpoint": self.stand_in.url,
            "timeout_s": TIMEOUT_S,
        }
        return SmsSection(**(values | changes))

    def with_wrong_secret(self) -> SmsSection:
        return self.settings(tencent_secret_key=self.secrets[0] + "x")

    def refuse(self, code: str, message: str) -> None:
        self.stand_in.refuse_number_with = (code, message)

    def sent(self) -> list[Sent]:
        return [Sent(m.phone_number, m.sign_name, m.template_id, m.params[0]) for m in self.stand_in.sent]

    def number(self, phone: str) -> str:
        return phone
