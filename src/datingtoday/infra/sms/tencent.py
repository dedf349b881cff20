"""Codes by Tencent Cloud SMS (2021-01-11, SendSms, signed with TC3-HMAC-SHA256), on the vendor's SDK.

Importing this module imports the SDK: only `make_sms_provider` does, where it is chosen.
"""

from __future__ import annotations

from typing import Any

import requests
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.sms.v20210111.models import SendSmsRequest
from tencentcloud.sms.v20210111.sms_client import SmsClient

from datingtoday.infra.sms.provider import SmsFailed, SmsFailureKind
from datingtoday.infra.sms.remote import (
    Endpoint,
    RemoteSms,
    endpoint_session,
    http_failure,
    keep_out_of_logs,
)

DEFAULT_ENDPOINT = "https://sms.tencentcloudapi.com"

_KINDS = {
    "FailedOperation.PhoneNumberInBlacklist": SmsFailureKind.NUMBER,
    "FailedOperation.PhoneNumberParseFail": SmsFailureKind.NUMBER,
    "InvalidParameterValue.IncorrectPhoneNumber": SmsFailureKind.NUMBER,
    "LimitExceeded.AppCountryOrRegionInBlacklist": SmsFailureKind.NUMBER,
    "UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone": SmsFailureKind.NUMBER,
    "UnsupportedOperation.GlobalTemplateToChineseMainlandPhone": SmsFailureKind.NUMBER,
}
_KINDS_BY_PREFIX = {
    "LimitExceeded": SmsFailureKind.THROTTLED,
    "RequestLimitExceeded": SmsFailureKind.THROTTLED,
    "InternalError": SmsFailureKind.UNAVAILABLE,
}


class TencentSms(RemoteSms):
    """The template must have the one variable `{1}`, the code.

    Numbers outside the mainland need a template of the vendor's international kind; it refuses mainland ones.
    """

    name = "tencent"

    def __init__(
        self,
        *,
        secret_id: str,
        secret_key: str,
        app_id: str,
        sign_name: str,
        template_id: str,
        region: str,
        endpoint: Endpoint,
        timeout_s: float,
    ) -> None:
        super().__init__(endpoint, timeout_s)
        self._app_id = app_id
        self._sign_name = sign_name
        self._template_id = template_id
        # A plain Credential: the SDK asks no environment, profile file or metadata service. No retryer and no
        # region breaker, which would repeat the request or send it to another endpoint.
        http = HttpProfile(protocol=endpoint.scheme, endpoint=endpoint.netloc, reqMethod="POST")
        self._client = SmsClient(
            Credential(secret_id, secret_key),
            region,
            ClientProfile(signMethod="TC3-HMAC-SHA256", httpProfile=http, disable_region_breaker=True),
        )
        keep_out_of_logs("tencentcloud_sdk_common")
        self._client.request = _Connection(endpoint, timeout_s)

    def _request(self, phone: str, code: str) -> str | None:
        request = SendSmsRequest()
        request.PhoneNumberSet = [phone]
        request.SmsSdkAppId = self._app_id
        request.SignName = self._sign_name
        request.TemplateId = self._template_id
        request.TemplateParamSet = [code]
        try:
            answer = self._client.SendSms(request)
        except TencentCloudSDKException as error:
            # The SDK wraps whatever happened inside it, our own exceptions too.
            inside = error.__context__
            if isinstance(inside, SmsFailed):
                raise inside from None
            if inside is not None:
                raise self._unreadable() from None
            raise self._refused(error.code, error.requestId) from None
        results = answer.SendStatusSet
        if not results or len(results) != 1 or not isinstance(results[0].Code, str):
            raise self._unreadable()
        if results[0].Code != "Ok":
            raise self._refused(results[0].Code, answer.RequestId)
        return results[0].SerialNo if isinstance(results[0].SerialNo, str) else None

    def _refused(self, reason: object, request_id: object) -> SmsFailed:
        if not isinstance(reason, str):
            return self._unreadable()
        kind = _KINDS.get(reason) or _KINDS_BY_PREFIX.get(reason.partition(".")[0], SmsFailureKind.SETTINGS)
        return SmsFailed(
            self.name,
            reason,
            kind,
            # A breakdown inside may have come after the message was passed on; a refusal came before.
            maybe_sent=kind is SmsFailureKind.UNAVAILABLE,
            request_id=request_id if isinstance(request_id, str) else None,
        )

    def _unreadable(self) -> SmsFailed:
        return SmsFailed(self.name, "unreadable_answer", SmsFailureKind.UNAVAILABLE, maybe_sent=True)


class _Connection:
    """Takes the place of the SDK's `ApiRequest`."""

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._session = endpoint_session(endpoint, TencentSms.name)

    def send_request(self, request: Any) -> requests.Response:
        """Send what the SDK has signed (its `RequestInternal`). Raises SmsFailed."""
        response = self._session.request(
            request.method,
            self._endpoint.origin + request.uri,
            data=request.data.encode(),
            headers=request.header,
            timeout=self._timeout_s,
        )
        # The vendor tells its errors with status 200; another one comes from something in between.
        if response.status_code != 200:
            raise http_failure(TencentSms.name, response.status_code)
        # It is a JSON object (EndpointAdapter has looked), and the SDK finds errors under this type only.
        response.headers["Content-Type"] = "application/json"
        return response
