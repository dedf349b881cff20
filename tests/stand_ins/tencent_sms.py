"""Stands in for sms.tencentcloudapi.com: SendSms of 2021-01-11 behind the signature TC3-HMAC-SHA256.

Written after the vendor's description of "Signature v3", without a look at its SDK's signer; `signature_of` is
checked against the example that the vendor publishes. (This signature has no nonce: the vendor accepts a repeated
request for five minutes.)
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import ssl
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.stand_ins.http_server import Answer, HttpStandIn, Received

ALGORITHM = "TC3-HMAC-SHA256"
MAX_AGE_S = 5 * 60
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=(?P<id>[^/,]+)/(?P<date>\d{{4}}-\d\d-\d\d)/(?P<service>\w+)/tc3_request, "
    r"SignedHeaders=(?P<signed>[a-z0-9;-]+), Signature=(?P<hex>[0-9a-f]{64})"
)
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@dataclass(frozen=True)
class TencentMessage:
    """Messages that the stand-in would have sent."""

    phone_number: str
    app_id: str
    sign_name: str
    template_id: str
    params: list[str]
    region: str


class Refused(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code, self.message = code, message


def signature_of(
    secret: str,
    service: str,
    timestamp: int,
    method: str,
    query: str,
    headers: Mapping[str, str],
    signed: list[str],
    body: bytes,
) -> str:
    """The signature in hex. `headers` by lower-case name; values take part in lower case, as described."""
    canonical = "\n".join(
        [
            method,
            "/",
            query,
            "".join(f"{name}:{headers[name].strip().lower()}\n" for name in signed),
            ";".join(signed),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    date = datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d")
    to_sign = "\n".join(
        [
            ALGORITHM,
            str(timestamp),
            f"{date}/{service}/tc3_request",
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    key = f"TC3{secret}".encode()
    for part in (date, service, "tc3_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


class TencentSmsStandIn(HttpStandIn):
    """Accepts what the vendor would accept from the one account that it knows.

    `refuse_number_with` makes the next messages fail in the status of their number, `refuse_with` in the error of
    the request. `clock` is the vendor's time in epoch seconds.
    """

    def __init__(
        self,
        *,
        secret_id: str,
        secret_key: str,
        app_id: str,
        sign_name: str,
        template_id: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.secret_id = secret_id
        self.secret_key = secret_key
        self.app_id = app_id
        self.sign_name = sign_name
        self.template_id = template_id
        self.sent: list[TencentMessage] = []
        self.refuse_with: tuple[str, str] | None = None
        self.refuse_number_with: tuple[str, str] | None = None
        self.clock: Callable[[], float] = time.time
        super().__init__(tls)

    def answer(self, request: Received) -> Answer:
        response: dict[str, Any] = {"RequestId": str(uuid.uuid4())}
        try:
            self._verify(request)
            response["SendStatusSet"] = self._send(request)
        except Refused as error:
            response["Error"] = {"Code": error.code, "Message": error.message}
        # The vendor sends this content type for answers and errors alike, and always status 200.
        body = json.dumps({"Response": response}, ensure_ascii=False).encode()
        return Answer(200, body, {"Content-Type": "application/json"})

    def _verify(self, request: Received) -> None:
        headers = request.headers
        match = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if match is None:
            raise Refused("AuthFailure.InvalidAuthorization", "Authorization is not valid.")
        signed = match["signed"].split(";")
        if not {"content-type", "host"} <= set(signed) or signed != sorted(set(signed)):
            raise Refused("AuthFailure.InvalidAuthorization", "SignedHeaders are incomplete or not sorted.")
        if match["id"] != self.secret_id:
            raise Refused("AuthFailure.SecretIdNotFound", "The SecretId is not found.")
        if not headers.get("x-tc-timestamp", "").isdigit():
            raise Refused("MissingParameter", "The request is missing a required parameter `Timestamp`.")
        timestamp = int(headers["x-tc-timestamp"])
        if abs(self.clock() - timestamp) > MAX_AGE_S:
            message = (
                "The provided credentials could not be validated because of exceeding request time limit."
            )
            raise Refused("AuthFailure.SignatureExpire", message)
        if match["service"] != "sms":
            raise Refused("AuthFailure.SignatureFailure", "The service of the credential scope is wrong.")
        if match["date"] != datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d"):
            raise Refused("AuthFailure.SignatureFailure", "The date of the credential scope is wrong.")
        if request.path != "/":
            raise Refused("InvalidAction", "There is only one address.")
        expected = signature_of(
            self.secret_key,
            match["service"],
            timestamp,
            request.method,
            request.query,
            headers,
            signed,
            request.body,
        )
        if not hmac.compare_digest(expected, match["hex"]):
            message = (
                "The provided credentials could not be validated. Please check your signature is correct. "
                f"Payload: {request.body.decode(errors='replace')}"
            )
            raise Refused("AuthFailure.SignatureFailure", message)

    def _send(self, request: Received) -> list[dict[str, Any]]:
        headers = request.headers
        if headers.get("x-tc-action") != "SendSms":
            raise Refused("InvalidAction", "The request with action is not valid.")
        if headers.get("x-tc-version") != "2021-01-11":
            raise Refused("NoSuchVersion", "The request with version is not valid.")
        if not headers.get("x-tc-region"):
            raise Refused("MissingParameter", "The request is missing a required parameter `Region`.")
        if self.refuse_with is not None:
            raise Refused(*self.refuse_with)
        try:
            given = json.loads(request.body)
        except ValueError:
            raise Refused("InvalidParameter", "The request body is not JSON.") from None
        numbers = given.get("PhoneNumberSet")
        if not numbers:
            raise Refused("MissingParameter.EmptyPhoneNumberSet", "No numbers.")
        return [self._send_one(phone, given, headers["x-tc-region"]) for phone in numbers]

    def _send_one(self, phone: str, given: dict[str, Any], region: str) -> dict[str, Any]:
        refusal = self._refusal(phone, given)
        if refusal is None:
            self.sent.append(
                TencentMessage(
                    phone,
                    given["SmsSdkAppId"],
                    given["SignName"],
                    given["TemplateId"],
                    given["TemplateParamSet"],
                    region,
                )
            )
        code, message = refusal or ("Ok", "send success")
        return {
            "SerialNo": "" if refusal else f"5000:{time.time_ns()}",
            "PhoneNumber": phone,
            "Fee": 0 if refusal else 1,
            "SessionContext": "",
            "Code": code,
            "Message": message,
            "IsoCode": "CN" if phone.startswith("+86") else "DEF",
        }

    def _refusal(self, phone: str, given: dict[str, Any]) -> tuple[str, str] | None:
        if self.refuse_number_with is not None:
            return self.refuse_number_with
        if _E164.fullmatch(phone) is None:
            return "InvalidParameterValue.IncorrectPhoneNumber", f"{phone} is incorrect"
        if given.get("SmsSdkAppId") != self.app_id:
            return "UnauthorizedOperation.SmsSdkAppIdVerifyFail", "SmsSdkAppId verify fail"
        if given.get("SignName") != self.sign_name:
            return "FailedOperation.SignatureIncorrectOrUnapproved", "signature is incorrect or unapproved"
        if given.get("TemplateId") != self.template_id:
            return "FailedOperation.TemplateIncorrectOrUnapproved", "template is incorrect or unapproved"
        params = given.get("TemplateParamSet")
        if not isinstance(params, list) or len(params) != 1 or not isinstance(params[0], str):
            return "FailedOperation.TemplateParamSetNotMatchApprovedTemplate", "the template has one variable"
        return None
