"""The stand-ins themselves: their signatures against the vendors' published examples, and what they refuse."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.infra.sms.conftest import CODE, PHONE
from tests.infra.sms.vendors import Aliyun, Tencent, Vendor
from tests.stand_ins import aliyun_sms, tencent_sms
from tests.stand_ins.http_server import Received


def test_acs3_signature_of_the_vendors_example() -> None:
    """ "V3 request structure and signature", example with fixed parameters (RunInstances)."""
    nothing = hashlib.sha256(b"").hexdigest()
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": nothing,
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    query = "RegionId=cn-shanghai&ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"
    assert (
        aliyun_sms.signature_of("YourAccessKeySecret", "POST", "/", query, headers, sorted(headers), nothing)
        == "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


def test_tc3_signature_of_the_vendors_example() -> None:
    """ "Signature v3", example DescribeInstances."""
    body = b'{"Limit": 1, "Filters": [{"Values": ["\\u672a\\u547d\\u540d"], "Name": "instance-name"}]}'
    headers = {"content-type": "application/json; charset=utf-8", "host": "cvm.tencentcloudapi.com"}
    assert (
        tencent_sms.signature_of(
            "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE", "cvm", 1551113065, "POST", "", headers, sorted(headers), body
        )
        == "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"
    )


def accepted(vendor: Vendor) -> Received:
    vendor.provider().send_code(PHONE, CODE, purpose="login", ttl_s=300)
    assert len(vendor.sent()) == 1
    return vendor.stand_in.requests[-1]


def again(vendor: Vendor, request: Received) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", vendor.stand_in.port, timeout=5)
    try:
        connection.putrequest(
            request.method, f"{request.path}?{request.query}", skip_host=True, skip_accept_encoding=True
        )
        for name, value in request.headers.items():
            connection.putheader(name, value)
        connection.endheaders(request.body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def without(headers: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


def test_aliyun_refuses_a_repeated_request(aliyun: Aliyun) -> None:
    request = accepted(aliyun)
    status, data = again(aliyun, request)
    assert (status, data["Code"]) == (400, "SignatureNonceUsed")
    assert {"RequestId", "HostId", "Code", "Message"} <= set(data)
    assert len(aliyun.sent()) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda r: replace(r, query=r.query.replace("18922986865", "18922986866")), "SignatureDoesNotMatch"),
        (lambda r: replace(r, headers=r.headers | {"x-acs-signature-nonce": "x"}), "SignatureDoesNotMatch"),
        (lambda r: replace(r, headers=r.headers | {"x-acs-extra": "x"}), "IncompleteSignature"),
        (lambda r: replace(r, headers=without(r.headers, "authorization")), "IncompleteSignature"),
        (lambda r: replace(r, headers=without(r.headers, "x-acs-date")), "IncompleteSignature"),
        (lambda r: replace(r, method="GET"), "SignatureDoesNotMatch"),
        (
            lambda r: replace(r, headers=r.headers | {"x-acs-content-sha256": "0" * 64}),
            "SignatureDoesNotMatch",
        ),
    ],
)
def test_aliyun_refuses_a_changed_request(aliyun: Aliyun, change: Any, code: str) -> None:
    status, data = again(aliyun, change(accepted(aliyun)))
    assert (status, data["Code"]) == (400, code)
    assert len(aliyun.sent()) == 1


def test_aliyun_knows_one_key(aliyun: Aliyun) -> None:
    request = accepted(aliyun)
    headers = {name: value.replace("LTAItestkey", "LTAIother") for name, value in request.headers.items()}
    status, data = again(aliyun, replace(request, headers=headers))
    assert (status, data["Code"]) == (404, "InvalidAccessKeyId.NotFound")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (
            lambda r: replace(r, body=r.body.replace(b"18922986865", b"18922986866")),
            "AuthFailure.SignatureFailure",
        ),
        (
            lambda r: replace(
                r, headers=r.headers | {"x-tc-timestamp": str(int(r.headers["x-tc-timestamp"]) + 1)}
            ),
            "AuthFailure.SignatureFailure",
        ),
        (
            lambda r: replace(
                r, headers=r.headers | {"authorization": r.headers["authorization"].replace("/sms/", "/cvm/")}
            ),
            "AuthFailure.SignatureFailure",
        ),
        (
            lambda r: replace(r, headers=r.headers | {"x-tc-timestamp": "1551113065"}),
            "AuthFailure.SignatureExpire",
        ),
        (
            lambda r: replace(r, headers=without(r.headers, "authorization")),
            "AuthFailure.InvalidAuthorization",
        ),
        (
            lambda r: replace(
                r,
                headers=r.headers
                | {"authorization": r.headers["authorization"].replace("AKIDtestid", "AKIDother")},
            ),
            "AuthFailure.SecretIdNotFound",
        ),
    ],
)
def test_tencent_refuses_a_changed_request(tencent: Tencent, change: Any, code: str) -> None:
    status, data = again(tencent, change(accepted(tencent)))
    assert status == 200
    assert set(data["Response"]) == {"Error", "RequestId"}
    assert data["Response"]["Error"]["Code"] == code
    assert len(tencent.sent()) == 1


def test_tencent_accepts_a_repeated_request_as_the_vendor_does(tencent: Tencent) -> None:
    status, data = again(tencent, accepted(tencent))
    assert (status, data["Response"]["SendStatusSet"][0]["Code"]) == (200, "Ok")
