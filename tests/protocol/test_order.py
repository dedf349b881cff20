"""The order of the checks: of two things wrong with a request, the one that comes first is told."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pytest

from tests.plugins.api import Answer, md5_sign
from tests.protocol.conftest import LabOn
from tests.protocol.lab import BANNED, ENDED, OTHER_USER, USER, Lab

PATH = "/api/probe/size"
ADDRESS = "10.1.1.1"


@dataclass
class Request:
    """A request in the making."""

    params: dict[str, str]
    after: dict[str, str | None] = field(default_factory=dict)
    """Parameters changed after signing."""
    appended: str = ""
    """Parameters added to the body."""
    seen: bool = False
    """True if its nonce was used before."""


@dataclass(frozen=True)
class Fault:
    name: str
    step: int
    expect: tuple[int, int]
    """HTTP status and code."""
    names: str
    """Words of the message."""
    spoil: Callable[[Request], None]
    excludes: tuple[str, ...] = ()
    """Faults that cannot be there at the same time."""


def _set(**values: str | None) -> Callable[[Request], None]:
    def spoil(request: Request) -> None:
        for name, value in values.items():
            if value is None:
                request.params.pop(name, None)
            else:
                request.params[name] = value

    return spoil


def _after(**values: str | None) -> Callable[[Request], None]:
    return lambda request: request.after.update(values)


def _append(text: str) -> Callable[[Request], None]:
    def spoil(request: Request) -> None:
        request.appended += text

    return spoil


def _seen(request: Request) -> None:
    request.seen = True


def _older(request: Request) -> None:
    request.params["timestamp"] = str(int(request.params["timestamp"]) - 61_000)


FAULTS = [
    Fault("a name twice", 0, (200, 300), "page is given twice", _append("&page=1&page=1")),
    Fault("no appkey", 1, (200, 300), "appkey is none.", _set(appkey=None), ("unknown appkey",)),
    Fault("unknown appkey", 1, (200, 1003), "appkey unknown", _set(appkey="NOBODY"), ("no appkey",)),
    Fault("unknown method", 1, (200, 300), "sign_method", _set(sign_method="sha1")),
    Fault("no timestamp", 2, (200, 300), "timestamp is missing", _set(timestamp=None), ("timestamp", "old")),
    Fault("timestamp", 2, (200, 300), "timestamp is not valid", _set(timestamp="now"), ("no timestamp", "old")),
    Fault("no nonce", 2, (200, 300), "nonce is missing", _set(nonce=None), ("nonce", "seen")),
    Fault("nonce", 2, (200, 300), "nonce is not valid", _set(nonce="a b"), ("no nonce", "seen")),
    Fault("no sign", 2, (200, 300), "sign is missing", _after(sign=None), ("sign", "wrong sign")),
    Fault("sign", 2, (200, 300), "sign is not valid", _after(sign="x" * 32), ("no sign", "wrong sign")),
    Fault("old", 2, (200, 1001), "request expired", _older, ("no timestamp", "timestamp")),
    Fault("wrong sign", 3, (200, 500), "signature is error.", _after(sign="0" * 32), ("no sign", "sign")),
    Fault("seen", 4, (200, 1002), "request replayed", _seen, ("no nonce", "nonce")),
    Fault(
        "unknown token", 5, (200, 504), "no operation permission", _set(userId="1"), ("no token", "ended", "banned")
    ),
    Fault("no token", 5, (200, 504), "no operation permission", _set(token=None), ("unknown token", "ended", "banned")),
    Fault(
        "ended", 5, (200, 1101), "token expired", _set(userId=str(ENDED.user_id), token=ENDED.token),
        ("unknown token", "no token", "banned"),
    ),
    Fault(
        "banned", 5, (200, 1102), "account banned", _set(userId=str(BANNED.user_id), token=BANNED.token),
        ("unknown token", "no token", "ended"),
    ),
    Fault("own parameter", 7, (200, 300), "size is not valid", _set(size="11")),
]  # fmt: skip


def send(lab: Lab, *faults: Fault) -> Answer:
    client = lab.client(address=ADDRESS)
    request = Request(client.params("POST", PATH, {"size": 3}, user=USER))
    params = request.params
    params.pop("sign")
    for fault in faults:
        fault.spoil(request)
    if request.seen:
        # A right request with this nonce, of the same token (or, without one, address), was there before.
        own: dict[str, str] = {name: params[name] for name in ("userId", "token") if name in params}
        before = client.params("GET", "/api/probe/echo", own, nonce=params["nonce"])
        assert client.send("GET", "/api/probe/echo", before).code == 0
    params["sign"] = md5_sign({"timestamp": "", "nonce": "", **params}, client.appsecret)
    sent = {name: value for name, value in {**params, **request.after}.items() if value is not None}
    body = urlencode(sent) + request.appended
    return client.send("POST", PATH, data=body, content_type="application/x-www-form-urlencoded")


def test_the_request_without_faults_is_accepted(lab: Lab) -> None:
    assert send(lab).data == {"size": 3}


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.name) for fault in FAULTS])
def test_each_fault_is_told(lab: Lab, fault: Fault) -> None:
    answer = send(lab, fault)
    assert (answer.status, answer.code) == fault.expect
    assert fault.names in answer.msg


def test_of_two_faults_the_one_of_the_earlier_check_is_told(lab: Lab) -> None:
    tried = 0
    for first, second in itertools.combinations(FAULTS, 2):
        if second.name in first.excludes or first.name in second.excludes:
            continue
        tried += 1
        answer = send(lab, first, second)
        assert (answer.status, answer.code) == first.expect, (first.name, second.name, answer.json)
        assert first.names in answer.msg, (first.name, second.name, answer.json)
    assert tried > 100


def test_a_login_comes_before_limits_and_these_before_own_parameters(lab_of: LabOn) -> None:
    lab = lab_of(limit_per_user_per_minute=1)
    lab.clock.stop()
    assert send(lab).code == 0
    own = FAULTS[-1]
    ended = next(fault for fault in FAULTS if fault.name == "ended")

    limited = send(lab, own)
    assert (limited.status, limited.code) == (429, 429)
    assert limited.headers["Retry-After"] == str(limited.json["data"]["retry_after_s"])
    assert 1 <= limited.json["data"]["retry_after_s"] <= 60

    assert [send(lab, ended, own).code for _ in range(3)] == [1101] * 3


def test_a_limit_counts_accepted_requests_of_one_account_for_a_minute(lab_of: LabOn) -> None:
    lab = lab_of(limit_per_user_per_minute=2)
    lab.clock.stop(1_800_000_030)
    client = lab.client()
    captured = client.params("GET", "/api/probe/mine", {}, user=USER)
    assert client.send("GET", "/api/probe/mine", captured).code == 0
    wrong = {**client.params("GET", "/api/probe/mine", {}, user=USER), "sign": "0" * 32}
    for _ in range(5):
        # Neither a stranger with a captured request nor one with guesses uses up a user's limit.
        assert client.send("GET", "/api/probe/mine", captured).code == 1002
        assert client.send("GET", "/api/probe/mine", wrong).code == 500
    assert client.get("/api/probe/mine", USER).code == 0
    assert client.get("/api/probe/mine", USER).status == 429
    assert client.get("/api/probe/mine", OTHER_USER).code == 0
    lab.clock.advance(91)
    assert client.get("/api/probe/mine", USER).code == 0
