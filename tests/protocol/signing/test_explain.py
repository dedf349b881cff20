"""A wrong signature explains itself to developers on the same machine, and to nobody else."""

from __future__ import annotations

import hashlib
import hmac
import io
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from datingtoday.protocol.signing.client_apps import KnownApp
from datingtoday.protocol.signing.explain import MASKED_SECRET
from tests.plugins.api import APPSECRET, Answer, Api, hmac_sign, md5_sign
from tests.protocol.conftest import LabOn
from tests.protocol.lab import USER, Lab

POST = "/api/probe/echo"
SECRET = APPSECRET
LOCAL = "127.0.0.1"
Params = dict[str, str]


@pytest.fixture
def lab(lab_of: LabOn) -> Lab:
    return lab_of(explain=True)


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def msg_of(
    params: Params, *, key: Callable[[str], Any] = str.encode, skip: tuple[str, ...] = ("appkey",)
) -> str:
    outside = {"timestamp", "nonce", "token", "sign", *skip}
    return "&".join(
        sorted((f"{name}={value}" for name, value in params.items() if name not in outside), key=key)
    )


def tail_of(params: Params) -> str:
    return params["timestamp"] + params["nonce"]


def quoted(params: Params, how: Callable[[str], str]) -> Params:
    return {name: how(value) for name, value in params.items()}


def without(params: Params, *names: str) -> Params:
    return {name: value for name, value in params.items() if name not in names}


MD5_MISTAKES: dict[str, tuple[Callable[[Params], str], str]] = {
    "sorted by name": (
        lambda p: md5(
            "&".join(f"{name}={p[name]}" for name in sorted(without(p, "appkey", "token", "timestamp", "nonce")))
            + p["token"] + tail_of(p) + SECRET
        ),
        "sorted by name",
    ),
    "not sorted": (
        lambda p: md5(
            "&".join(f"{n}={v}" for n, v in p.items() if n not in ("appkey", "token", "timestamp", "nonce"))
            + p["token"] + tail_of(p) + SECRET
        ),
        "did not sort",
    ),
    "quoted": (lambda p: md5_sign(quoted(p, quote), SECRET), "URL-encoded values"),
    "quoted with plus": (lambda p: md5_sign(quoted(p, quote_plus), SECRET), "URL-encoded values"),
    "quoted wholly": (lambda p: md5_sign(quoted(p, lambda text: quote(text, safe="")), SECRET), "URL-encoded values"),
    "token left out": (lambda p: md5_sign(without(p, "token"), SECRET), "token but left it out"),
    "user id left out": (lambda p: md5_sign(without(p, "userId"), SECRET), "userId but left it out"),
    "empty value left out": (lambda p: md5_sign(without(p, "empty"), SECRET), "left out empty values"),
    "sign_method left out": (lambda p: md5_sign(without(p, "sign_method"), SECRET), "sign_method takes part"),
    "seconds": (lambda p: md5_sign({**p, "timestamp": p["timestamp"][:10]}, SECRET), "another timestamp"),
    "microseconds": (lambda p: md5_sign({**p, "timestamp": p["timestamp"] + "000"}, SECRET), "another timestamp"),
    "nonce first": (
        lambda p: md5(msg_of(p) + p["token"] + p["nonce"] + p["timestamp"] + SECRET), "timestamp comes before nonce",
    ),
    "no secret": (lambda p: md5(msg_of(p) + p["token"] + tail_of(p)), "left out the appsecret"),
    "secret first": (lambda p: md5(SECRET + msg_of(p) + p["token"] + tail_of(p)), "belongs at the end"),
    "joined with &": (
        lambda p: md5("&".join([msg_of(p), p["token"], p["timestamp"], p["nonce"], SECRET])),
        "only parameters are joined",
    ),
    "all among the parameters": (
        lambda p: md5("&".join(sorted(f"{name}={value}" for name, value in p.items())) + SECRET),
        "do not stand among the parameters",
    ),
    "hmac-md5": (
        lambda p: hmac.new(SECRET.encode(), (msg_of(p) + p["token"] + tail_of(p)).encode(), "md5").hexdigest(),
        "HMAC with MD5",
    ),
    "another secret": (lambda p: md5_sign(p, "another secret"), "none of the usual mistakes"),
}  # fmt: skip
HMAC_MISTAKES: dict[str, tuple[Callable[[Params], str], str]] = {
    "another method": (lambda p: hmac_sign("GET", POST, p, SECRET), "another method"),
    "method in lower case": (lambda p: hmac_sign("post", POST, p, SECRET), "another method"),
    "path without api": (lambda p: hmac_sign("POST", POST.removeprefix("/api"), p, SECRET), "another path"),
    "path with slash": (lambda p: hmac_sign("POST", POST + "/", p, SECRET), "another path"),
    "not encoded": (
        lambda p: hmac_raw("&".join(f"{n}={p[n]}" for n in sorted(p))), "percent-encode names and values",
    ),
    "plus for blanks": (
        lambda p: hmac_raw("&".join(f"{quote_plus(n)}={quote_plus(p[n])}" for n in sorted(p))),
        "a space is %20, not +",
    ),
    "no line for the file": (
        lambda p: hmac_text("POST\n" + POST + "\n" + encoded(p)), "file's sha256 is missing",
    ),
    "sign_method left out": (
        lambda p: hmac_sign("POST", POST, without(p, "sign_method"), SECRET), "sign_method takes part",
    ),
    "another secret": (lambda p: hmac_sign("POST", POST, p, "another secret"), "none of the usual mistakes"),
}  # fmt: skip


def encoded(params: Params) -> str:
    return "&".join(f"{quote(n, safe='-._~')}={quote(params[n], safe='-._~')}" for n in sorted(params))


def hmac_raw(query: str) -> str:
    return hmac_text(f"POST\n{POST}\n{query}\n{hashlib.sha256(b'').hexdigest()}")


def hmac_text(text: str) -> str:
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


def request(client: Api, sign_method: str) -> Params:
    own = {"photo": "a", "photo1": "b c/d", "empty": "", "Zeta": "你 好+&"}
    params = client.params("POST", POST, own, user=USER, sign_method=sign_method)
    params.pop("sign")
    return params


def explained(answer: Answer) -> dict[str, str]:
    assert (answer.status, answer.code) == (200, 500)
    data: dict[str, str] = answer.json["data"]
    assert set(data) == {"string_to_sign", "hint"}
    assert SECRET not in answer.body.decode()
    return data


@pytest.mark.parametrize("mistake", MD5_MISTAKES)
def test_each_mistake_with_md5_has_its_hint(lab: Lab, mistake: str) -> None:
    client = lab.client(address=LOCAL)
    params = request(client, "md5")
    make, hint = MD5_MISTAKES[mistake]
    answer = client.send("POST", POST, {**params, "sign": make(params)})
    data = explained(answer)
    assert hint in data["hint"]
    assert data["string_to_sign"] == msg_of(params) + USER.token + tail_of(params) + MASKED_SECRET
    # What is shown is what would have been right.
    right = md5(data["string_to_sign"].replace(MASKED_SECRET, SECRET))
    assert client.send("POST", POST, {**params, "sign": right}).code == 0


@pytest.mark.parametrize("mistake", HMAC_MISTAKES)
def test_each_mistake_with_hmac_has_its_hint(lab: Lab, mistake: str) -> None:
    client = lab.client(address=LOCAL)
    params = request(client, "hmac-sha256")
    make, hint = HMAC_MISTAKES[mistake]
    data = explained(client.send("POST", POST, {**params, "sign": make(params)}))
    assert hint in data["hint"]
    right = hmac_text(data["string_to_sign"])
    assert client.send("POST", POST, {**params, "sign": right}).code == 0


def test_the_file_left_out_has_its_hint(lab: Lab) -> None:
    client = lab.client(address=LOCAL)
    params: dict[str, Any] = client.params("POST", "/api/probe/file", {}, sign_method="hmac-sha256")
    data = {**params, "file": (io.BytesIO(b"content"), "a")}
    answer = client.send("POST", "/api/probe/file", data=data, content_type="multipart/form-data")
    assert "left the file out" in explained(answer)["hint"]


@pytest.mark.parametrize("sign_method", ["md5", "hmac-sha256"])
@pytest.mark.parametrize("secret", [SECRET, "a secret/with+signs%41"])
def test_a_secret_that_is_sent_is_not_sent_back(lab: Lab, sign_method: str, secret: str) -> None:
    lab.apps._configured = KnownApp(lab.client().appkey, ((secret, None),), False)
    client = lab.client(address=LOCAL)
    params = client.params("POST", POST, {"appsecret": secret}, sign_method=sign_method)
    params["sign"] = "0" * len(params["sign"])
    answer = client.send("POST", POST, params)
    assert "you sent the appsecret" in answer.json["data"]["hint"]
    for form in (secret, quote(secret, safe="-._~")):
        assert form not in answer.body.decode()


def test_the_hint_is_in_the_language_that_is_asked_for(lab: Lab) -> None:
    client = lab.client(address=LOCAL)
    params = request(client, "md5")
    answer = client.send(
        "POST",
        POST,
        {**params, "sign": md5_sign(without(params, "token"), SECRET)},
        headers={"Accept-Language": "zh"},
    )
    assert "没有把它放进签名" in explained(answer)["hint"]


FORWARDED = ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Real-IP", "Via"]


@pytest.mark.parametrize(
    ("address", "headers", "is_told"),
    [
        ("127.0.0.1", {}, True),
        ("127.8.8.8", {}, True),
        ("::1", {}, True),
        ("::ffff:127.0.0.1", {}, True),
        ("10.0.0.1", {}, False),
        ("::ffff:10.0.0.1", {}, False),
        ("2001:db8::1", {}, False),
        *(("127.0.0.1", {name: "10.0.0.1"}, False) for name in FORWARDED),
        *(("127.0.0.1", {name: ""}, False) for name in FORWARDED),
        ("10.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, False),
    ],
)
def test_only_peers_on_this_machine_are_told(lab: Lab, address: str, headers: Params, is_told: bool) -> None:
    client = lab.client(address=address)
    params = {**request(client, "md5"), "sign": "0" * 32}
    answer = client.send("POST", POST, params, headers=headers)
    assert answer.code == 500
    assert ("data" in answer.json) == is_told


def test_nobody_is_told_unless_it_is_switched_on(lab_of: LabOn) -> None:
    client = lab_of().client(address=LOCAL)
    answer = client.send("POST", POST, {**request(client, "md5"), "sign": "0" * 32})
    assert answer.json == {"code": 500, "msg": "signature is error."}


def test_behind_a_trusted_proxy_nobody_is_on_this_machine(lab_of: LabOn) -> None:
    lab = lab_of(explain=True, trusted_proxies=["127.0.0.1"])
    client = lab.client(address=LOCAL)
    params = {**request(client, "md5"), "sign": "0" * 32}
    for forwarded in ("127.0.0.1", "10.0.0.1", "127.0.0.1, 127.0.0.1"):
        answer = client.send("POST", POST, params, headers={"X-Forwarded-For": forwarded})
        assert "data" not in answer.json
