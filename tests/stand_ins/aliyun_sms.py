"""Stands in for dysmsapi.aliyuncs.com: SendSms of 2017-05-25 behind the signature ACS3-HMAC-SHA256.

Written after the vendor's description of "V3 request structure and signature", without a look at its SDK's
signer; `signature_of` is checked against the example that the vendor publishes.
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
from urllib.parse import parse_qsl, quote

from tests.stand_ins.http_server import Answer, HttpStandIn, Received

ALGORITHM = "ACS3-HMAC-SHA256"
MAX_AGE_S = 15 * 60
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=(?P<id>[^,]+),SignedHeaders=(?P<signed>[a-z0-9;-]+),Signature=(?P<hex>[0-9a-f]{{64}})"
)
_MAINLAND = re.compile(r"(\+?86|0086|\+)?1[3-9][0-9]{9}")
_INTERNATIONAL = re.compile(r"(?!86)[1-9][0-9]{6,14}")


@dataclass(frozen=True)
class AliyunMessage:
    """Messages that the stand-in would have sent."""

    phone_number: str
    sign_name: str
    template_code: str
    params: dict[str, str]


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


def signature_of(
    secret: str,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    signed: list[str],
    payload: str,
) -> str:
    """The signature in hex. `headers` by lower-case name, `query` as sent, `payload` the hex digest of the body."""
    canonical_query = "&".join(
        f"{_encode(name)}={_encode(value)}"
        for name, value in sorted(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    )
    canonical_headers = "".join(f"{name}:{headers[name].strip()}\n" for name in signed)
    canonical = "\n".join(
        [method, path or "/", canonical_query, canonical_headers, ";".join(signed), payload]
    )
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")


class AliyunSmsStandIn(HttpStandIn):
    """Accepts what the vendor would accept from the one account that it knows.

    `refuse_with` makes the next messages fail as the service does: HTTP 200 with that `Code`. `clock` is the
    vendor's time in epoch seconds.
    """

    def __init__(
        self,
        *,
        access_key_id: str,
        access_key_secret: str,
        sign_name: str,
        template_code: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.access_key_id = access_key_id
        self.access_key_secret = access_key_secret
        self.sign_name = sign_name
        self.template_code = template_code
        self.sent: list[AliyunMessage] = []
        self.refuse_with: tuple[str, str] | None = None
        self.clock: Callable[[], float] = time.time
        self._nonces: set[str] = set()
        super().__init__(tls)

    def answer(self, request: Received) -> Answer:
        request_id = str(uuid.uuid4()).upper()
        try:
            self._verify(request)
            message = self._understand(request)
        except Refused as error:
            data = {"RequestId": request_id, "Code": error.code, "Message": error.message}
            if error.status != 200:
                data["HostId"] = request.headers.get("host", "")
            return Answer.of_json(error.status, data)
        self.sent.append(message)
        biz_id = f"{time.time_ns()}^0"
        return Answer.of_json(200, {"Message": "OK", "RequestId": request_id, "Code": "OK", "BizId": biz_id})

    def _verify(self, request: Received) -> None:
        match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if match is None:
            raise Refused(400, "IncompleteSignature", "The request signature does not conform to standards.")
        signed = match["signed"].split(";")
        # Host and every x-acs- header must be covered, or they could be exchanged.
        needed = {name for name in request.headers if name.startswith("x-acs-")} | {"host"}
        required = {
            "x-acs-action",
            "x-acs-version",
            "x-acs-date",
            "x-acs-signature-nonce",
            "x-acs-content-sha256",
        }
        missing = (needed | required) - set(signed) | (set(signed) - set(request.headers))
        if missing or signed != sorted(set(signed)):
            raise Refused(400, "IncompleteSignature", f"Not signed, or not sorted: {sorted(missing)}")
        if match["id"] != self.access_key_id:
            raise Refused(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        payload = hashlib.sha256(request.body).hexdigest()
        if request.headers["x-acs-content-sha256"] != payload:
            raise Refused(400, "SignatureDoesNotMatch", "The content does not match x-acs-content-sha256.")
        expected = signature_of(
            self.access_key_secret,
            request.method,
            request.path,
            request.query,
            request.headers,
            signed,
            payload,
        )
        if not hmac.compare_digest(expected, match["hex"]):
            # The vendor repeats what it signed, and with it number and code.
            message = (
                f"Specified signature is not matched with our calculation. server string: {request.query}"
            )
            raise Refused(400, "SignatureDoesNotMatch", message)
        try:
            date = datetime.strptime(request.headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise Refused(
                400, "InvalidTimeStamp.Format", "Specified time stamp is not well formatted."
            ) from None
        if abs(self.clock() - date.timestamp()) > MAX_AGE_S:
            raise Refused(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
        nonce = request.headers["x-acs-signature-nonce"]
        if nonce in self._nonces:
            raise Refused(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        self._nonces.add(nonce)

    def _understand(self, request: Received) -> AliyunMessage:
        if (request.headers["x-acs-action"], request.headers["x-acs-version"]) != ("SendSms", "2017-05-25"):
            raise Refused(404, "InvalidAction.NotFound", "Specified api is not found.")
        if self.refuse_with is not None:
            raise Refused(200, *self.refuse_with)
        given = dict(parse_qsl(request.query, keep_blank_values=True))
        given |= dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        phone = given.get("PhoneNumbers", "")
        if _MAINLAND.fullmatch(phone) is None and _INTERNATIONAL.fullmatch(phone) is None:
            raise Refused(200, "isv.MOBILE_NUMBER_ILLEGAL", f"{phone}invalid mobile number")
        if given.get("SignName") != self.sign_name:
            raise Refused(200, "isv.SMS_SIGNATURE_ILLEGAL", "该账号下找不到对应签名")
        if given.get("TemplateCode") != self.template_code:
            raise Refused(200, "isv.SMS_TEMPLATE_ILLEGAL", "该账号下找不到对应模板")
        try:
            params = json.loads(given.get("TemplateParam", ""))
        except ValueError:
            raise Refused(200, "isv.INVALID_JSON_PARAM", "JSON参数不合法") from None
        if not isinstance(params, dict) or not all(isinstance(value, str) for value in params.values()):
            raise Refused(200, "isv.INVALID_JSON_PARAM", "JSON参数不合法，只接受字符串值")
        if "code" not in params:
            raise Refused(200, "isv.TEMPLATE_MISSING_PARAMETERS", "模板变量缺少参数")
        return AliyunMessage(phone, given["SignName"], given["TemplateCode"], params)
