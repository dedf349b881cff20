"""The check that the whole suite relies on: answers that differ from the document are found."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.plugins.api import Api
from tests.plugins.contract import JSON, Contract, contract_of

LOGIN = "/api/auth/login"
GOOD = {
    "token": "0" * 32,
    "expire_time": "2026-11-22 08:00:00",
    "expired_time": "2026-11-22 08:00:00",
    "user_id": 1,
    "is_new": True,
}


@pytest.fixture
def contract(api: Api) -> Contract:
    return contract_of(api.app)


def check(contract: Contract, told: Any, *, status: int = 200, content_type: str = JSON) -> None:
    contract.check("POST", LOGIN, status, content_type, orjson.dumps(told))


def success(**data: Any) -> dict[str, Any]:
    return {"code": 0, "msg": "success", "data": GOOD | data}


def test_what_is_declared_passes(contract: Contract) -> None:
    check(contract, success())
    check(contract, {"code": 503, "msg": "sms code error"})
    check(contract, {"code": 1001, "msg": "request expired", "data": {"server_time": 1}})
    check(contract, {"code": 429, "msg": "…", "data": {"retry_after_s": 1}}, status=429)


@pytest.mark.parametrize(
    "told",
    [
        success(user_id="1"),
        success(user_id=None),
        success(expire_time="2026-11-22T08:00:00Z"),
        success(phone="+8613800138000"),
        {"code": 0, "msg": "success"},
        {"code": 0, "msg": "success", "data": [GOOD]},
        {"code": 0, "msg": "success", "data": {name: GOOD[name] for name in GOOD if name != "token"}},
        {"code": 1401, "msg": "not accepted by the other side"},
        {"code": 503, "msg": "sms code error", "data": {"tries_left": 3}},
        {"code": 503, "msg": 1},
        {"code": 503},
        {"msg": "success"},
    ],
)
def test_what_differs_is_found(contract: Contract, told: Any) -> None:
    with pytest.raises(AssertionError):
        check(contract, told)


def test_other_statuses_and_types_are_found(contract: Contract) -> None:
    with pytest.raises(AssertionError, match="HTTP 418 is not declared"):
        check(contract, {"code": 418, "msg": "…"}, status=418)
    with pytest.raises(AssertionError, match="came as text/html"):
        check(contract, success(), content_type="text/html")


def test_what_is_not_documented_is_left_alone(contract: Contract) -> None:
    contract.check("GET", "/nowhere", 404, "text/html", b"")
    contract.check("DELETE", LOGIN, 405, "text/html", b"")
