"""Codes by Alibaba Cloud SMS (Dysmsapi 2017-05-25, SendSms), on the vendor's SDK.

Importing this module imports the SDK (1.5 s, 250 modules): only `make_sms_provider` does, where it is chosen.
"""

from __future__ import annotations

import json

from alibabacloud_dysmsapi20170525.client import Client
from alibabacloud_dysmsapi20170525.models import SendSmsRequest
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.core import DaraCore
from darabonba.exceptions import UnretryableException
from darabonba.runtime import RuntimeOptions

from datingtoday.infra.milliseconds import to_ms
from datingtoday.infra.sms.provider import SmsFailed, SmsFailureKind
from datingtoday.infra.sms.remote import Endpoint, RemoteSms, endpoint_session, keep_out_of_logs

DEFAULT_ENDPOINT = "https://dysmsapi.aliyuncs.com"

_POOL_SIZE = 10
_KINDS = {
    "isv.BUSINESS_LIMIT_CONTROL": SmsFailureKind.THROTTLED,
    "isv.DAY_LIMIT_CONTROL": SmsFailureKind.THROTTLED,
    "isv.MONTH_LIMIT_CONTROL": SmsFailureKind.THROTTLED,
    "VALVE:M_MC": SmsFailureKind.THROTTLED,
    "VALVE:H_MC": SmsFailureKind.THROTTLED,
    "VALVE:D_MC": SmsFailureKind.THROTTLED,
    "isv.MOBILE_NUMBER_ILLEGAL": SmsFailureKind.NUMBER,
    "isv.DOMESTIC_NUMBER_NOT_SUPPORTED": SmsFailureKind.NUMBER,
    "isv.NOT_SUPPORTED_COUNTRY": SmsFailureKind.NUMBER,
    "isp.SYSTEM_ERROR": SmsFailureKind.UNAVAILABLE,
    "isp.GATEWAY_ERROR": SmsFailureKind.UNAVAILABLE,
    "InternalError": SmsFailureKind.UNAVAILABLE,
    "ServiceUnavailable": SmsFailureKind.UNAVAILABLE,
    "SignatureNonceUsed": SmsFailureKind.UNAVAILABLE,
}


class AliyunSms(RemoteSms):
    """The template must have the one variable `${code}`.

    Numbers outside the mainland need a template and a signature of the vendor's international kind; it
    refuses mainland ones.
    """

    name = "aliyun"

    def __init__(
        self,
        *,
        access_key_id: str,
        access_key_secret: str,
        sign_name: str,
        template_code: str,
        endpoint: Endpoint,
        timeout_s: float,
    ) -> None:
        super().__init__(endpoint, timeout_s)
        self._sign_name = sign_name
        self._template_code = template_code
        timeout_ms = to_ms(timeout_s)
        # Without retry_options the SDK tries once. A second attempt could send a second message.
        self._runtime = RuntimeOptions(connect_timeout=timeout_ms, read_timeout=timeout_ms)
        # Both keys given: the SDK asks no environment, profile file or metadata service for credentials.
        self._client = Client(
            Config(
                access_key_id=access_key_id,
                access_key_secret=access_key_secret,
                endpoint=endpoint.netloc,
                protocol=endpoint.scheme,
                max_idle_conns=_POOL_SIZE,
                user_agent="datingtoday",
            )
        )
        keep_out_of_logs("darabonba-core", "alibabacloud-tea", "credentials")
        # The SDK offers no way to hand it a connection; it looks one up here, under the port of its request
        # object, which is 80 whatever the endpoint's is. If it stops to, the tests with proxies and redirects
        # fail.
        DaraCore._sessions[f"{endpoint.origin}:80:pool={_POOL_SIZE}"] = endpoint_session(endpoint, self.name)

    def _request(self, phone: str, code: str) -> str | None:
        request = SendSmsRequest(
            phone_numbers=_vendor_number(phone),
            sign_name=self._sign_name,
            template_code=self._template_code,
            template_param=json.dumps({"code": code}),
        )
        try:
            answer = self._client.send_sms_with_options(request, self._runtime).body
        except AlibabaCloudException as error:
            # An HTTP error with the vendor's JSON. The SDK writes a missing code as the word None.
            reason = error.code if error.code not in ("", "None") else f"http_{error.status_code}"
            raise self._refused(reason, error.status_code, error.request_id) from None
        except UnretryableException as error:
            if isinstance(error.inner_exception, SmsFailed):
                raise error.inner_exception from None
            raise
        if answer is None or not isinstance(answer.code, str):
            raise SmsFailed(self.name, "unreadable_answer", SmsFailureKind.UNAVAILABLE, maybe_sent=True)
        if answer.code != "OK":
            raise self._refused(answer.code, 200, answer.request_id)
        return answer.biz_id if isinstance(answer.biz_id, str) else None

    def _refused(self, reason: str, status: int, request_id: object) -> SmsFailed:
        kind = _KINDS.get(reason)
        if kind is None and reason.startswith("Throttling"):
            kind = SmsFailureKind.THROTTLED
        if kind is None:
            kind = SmsFailureKind.UNAVAILABLE if status >= 500 else SmsFailureKind.SETTINGS
        return SmsFailed(
            self.name,
            reason,
            kind,
            # A breakdown inside may have come after the message was passed on; a refusal came before.
            maybe_sent=kind is SmsFailureKind.UNAVAILABLE and reason != "SignatureNonceUsed",
            request_id=request_id if isinstance(request_id, str) else None,
        )


def _vendor_number(phone: str) -> str:
    """Mainland numbers without country code, others with it; neither with the plus."""
    return phone.removeprefix("+86").removeprefix("+")
