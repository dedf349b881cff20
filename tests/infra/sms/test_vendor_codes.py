"""Each vendor's own error codes, in the places where the vendor puts them."""

from __future__ import annotations

import pytest

from datingtoday.infra.sms.provider import SmsFailed, SmsFailureKind
from tests.infra.sms.conftest import CODE, PHONE
from tests.infra.sms.vendors import Aliyun, Tencent, Vendor
from tests.stand_ins.http_server import Answer

THROTTLED, NUMBER = SmsFailureKind.THROTTLED, SmsFailureKind.NUMBER
SETTINGS, UNAVAILABLE = SmsFailureKind.SETTINGS, SmsFailureKind.UNAVAILABLE


def failure(vendor: Vendor) -> SmsFailed:
    with pytest.raises(SmsFailed) as caught:
        vendor.provider().send_code(PHONE, CODE, purpose="login", ttl_s=300)
    assert vendor.sent() == []
    assert caught.value.request_id
    return caught.value


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("isv.BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5", THROTTLED),
        ("isv.DAY_LIMIT_CONTROL", "触发日发送限额", THROTTLED),
        ("VALVE:D_MC", "重复过滤", THROTTLED),
        ("isv.MOBILE_NUMBER_ILLEGAL", f"{PHONE}invalid mobile number", NUMBER),
        ("isv.DOMESTIC_NUMBER_NOT_SUPPORTED", "国际/港澳台消息模板不支持发送境内号码", NUMBER),
        ("isv.AMOUNT_NOT_ENOUGH", "账户余额不足", SETTINGS),
        ("isv.SMS_TEMPLATE_ILLEGAL", "模板不合法", SETTINGS),
        ("isp.RAM_PERMISSION_DENY", "RAM权限不足", SETTINGS),
        ("isv.SOMETHING_NEW", "?", SETTINGS),
    ],
)
def test_aliyun_codes_of_the_service(aliyun: Aliyun, code: str, message: str, kind: SmsFailureKind) -> None:
    aliyun.refuse(code, message)
    error = failure(aliyun)
    assert (error.reason, error.kind, error.maybe_sent) == (code, kind, False)
    assert error.retryable is (kind is THROTTLED)


@pytest.mark.parametrize(
    ("status", "code", "reason", "kind", "maybe_sent"),
    [
        (400, "Throttling.User", "Throttling.User", THROTTLED, False),
        (503, "Throttling", "Throttling", THROTTLED, False),
        (400, "SignatureNonceUsed", "SignatureNonceUsed", UNAVAILABLE, False),
        (403, "Forbidden.RAM", "Forbidden.RAM", SETTINGS, False),
        (404, "InvalidAccessKeyId.NotFound", "InvalidAccessKeyId.NotFound", SETTINGS, False),
        (500, "InternalError", "InternalError", UNAVAILABLE, True),
        (503, "ServiceUnavailable", "ServiceUnavailable", UNAVAILABLE, True),
        (500, "SomethingNew", "SomethingNew", UNAVAILABLE, True),
        (500, None, "http_500", UNAVAILABLE, True),
        (400, None, "http_400", SETTINGS, False),
    ],
)
def test_aliyun_codes_of_the_gateway(
    aliyun: Aliyun, status: int, code: str | None, reason: str, kind: SmsFailureKind, maybe_sent: bool
) -> None:
    data = {"RequestId": "7C5F0E0C-0000", "HostId": "dysmsapi", "Message": f"about {PHONE} {CODE}"}
    if code is not None:
        data["Code"] = code
    aliyun.stand_in.misbehave = Answer.of_json(status, data)
    error = failure(aliyun)
    assert (error.reason, error.kind, error.maybe_sent) == (reason, kind, maybe_sent)
    assert len(aliyun.stand_in.requests) == 1


def test_aliyun_asks_for_patience_and_is_not_asked_again(aliyun: Aliyun) -> None:
    data = {"RequestId": "7C5F0E0C-0000", "Code": "Throttling.User", "Message": ""}
    answer = Answer.of_json(400, data)
    answer.headers["x-acs-retry-after"] = "10"
    aliyun.stand_in.misbehave = answer
    assert failure(aliyun).kind is THROTTLED
    assert len(aliyun.stand_in.requests) == 1


@pytest.mark.parametrize(
    ("code", "kind", "maybe_sent"),
    [
        ("LimitExceeded.PhoneNumberThirtySecondLimit", THROTTLED, False),
        ("LimitExceeded.PhoneNumberDailyLimit", THROTTLED, False),
        ("LimitExceeded.AppCountryOrRegionInBlacklist", NUMBER, False),
        ("FailedOperation.PhoneNumberInBlacklist", NUMBER, False),
        ("InvalidParameterValue.IncorrectPhoneNumber", NUMBER, False),
        ("UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone", NUMBER, False),
        ("FailedOperation.InsufficientBalanceInSmsPackage", SETTINGS, False),
        ("UnauthorizedOperation.SmsSdkAppIdVerifyFail", SETTINGS, False),
        ("FailedOperation.SomethingNew", SETTINGS, False),
        ("InternalError.Timeout", UNAVAILABLE, True),
    ],
)
def test_tencent_codes_of_the_number(
    tencent: Tencent, code: str, kind: SmsFailureKind, maybe_sent: bool
) -> None:
    tencent.refuse(code, f"about {PHONE} {CODE}")
    error = failure(tencent)
    assert (error.reason, error.kind, error.maybe_sent) == (code, kind, maybe_sent)
    assert error.retryable is (kind in (THROTTLED, UNAVAILABLE))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("RequestLimitExceeded", THROTTLED),
        ("LimitExceeded.AppDailyLimit", THROTTLED),
        ("AuthFailure.SecretIdNotFound", SETTINGS),
        ("UnsupportedOperation.UnsupportedRegion", SETTINGS),
        ("InternalError", UNAVAILABLE),
    ],
)
def test_tencent_codes_of_the_request(tencent: Tencent, code: str, kind: SmsFailureKind) -> None:
    tencent.stand_in.refuse_with = (code, f"about {PHONE} {CODE}")
    error = failure(tencent)
    assert (error.reason, error.kind) == (code, kind)


@pytest.mark.parametrize(("status", "kind"), [(500, UNAVAILABLE), (403, SETTINGS)])
def test_tencent_has_no_errors_with_another_status(
    tencent: Tencent, status: int, kind: SmsFailureKind
) -> None:
    ok = {"Response": {"SendStatusSet": [{"Code": "Ok", "SerialNo": "5000:1"}], "RequestId": "7c5f"}}
    tencent.stand_in.misbehave = Answer.of_json(status, ok)
    with pytest.raises(SmsFailed) as caught:
        tencent.provider().send_code(PHONE, CODE, purpose="login", ttl_s=300)
    assert (caught.value.reason, caught.value.kind) == (f"http_{status}", kind)


def test_tencent_errors_are_found_under_any_content_type(tencent: Tencent) -> None:
    data = {"Response": {"Error": {"Code": "AuthFailure.TokenFailure", "Message": ""}, "RequestId": "7c5f"}}
    # Answer.of_json adds a charset; the SDK alone would take this for a success without results.
    tencent.stand_in.misbehave = Answer.of_json(200, data)
    assert failure(tencent).reason == "AuthFailure.TokenFailure"
