"""The client of `datingtoday call`: what it makes of answers, and the logins that it keeps."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datingtoday.cli.api_client import LOGINS_FILE, ApiClient
from datingtoday.cli.main import CommandFailed
from datingtoday.infra.config.settings import Settings, load_settings
from datingtoday.protocol.signing.strings_to_sign import hmac_string, sign_hmac
from tests.stand_ins.http_server import Answer, HttpStandIn, Received

PHONE = "13912345678"
DEMO_PHONE = "13800000001"
LOGIN, SENDSMS = "/api/auth/login", "/api/auth/sendsms"


class Server(HttpStandIn):
    """Answers by path."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Any] = {
            SENDSMS: {"code": 0, "data": {"code": "493027"}},
            LOGIN: {"code": 0, "data": {"user_id": 7, "token": "t7"}},
        }

    def answer(self, request: Received) -> Answer:
        return Answer.of_json(200, self.answers.get(request.path, {"code": 0}))

    @property
    def asked(self) -> list[str]:
        return [request.path for request in self.requests]


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    with made:
        yield made


def settings(folder: Path, **values: str) -> Settings:
    environ = {"APP_APPKEY": "TESTKEY1", "APP_APPSECRET": "5b1f0c1d2e3f4a5b", **values}
    return load_settings(None, folder, {f"DATINGTODAY_{name}": value for name, value in environ.items()})


@pytest.fixture
def client(server: Server, tmp_path: Path) -> ApiClient:
    return ApiClient(settings(tmp_path), f"{server.url}/")


def test_parameters_of_get_stand_in_the_query_and_those_of_post_in_the_body(
    server: Server, client: ApiClient
) -> None:
    for method in ("GET", "POST"):
        assert client.request(method, "/api/x", {"a": "b c"}).send() == {"code": 0}
    got, posted = server.requests
    assert "a=b+c" in got.query and got.body == b""
    assert b"a=b+c" in posted.body and posted.query == ""
    assert (got.method, posted.method, got.path) == ("GET", "POST", "/api/x")


def test_requests_are_signed_now_and_never_twice_the_same(client: ApiClient) -> None:
    one, two = (client.request("POST", "/api/x", {"a": "b"}).params for _ in range(2))
    assert abs(int(one["timestamp"]) - time.time() * 1_000) < 60_000
    assert len(one["nonce"]) == 16 and one["nonce"] != two["nonce"]
    assert (one["a"], one["appkey"], one["sign_method"]) == ("b", "TESTKEY1", "hmac-sha256")
    unsigned = {name: value for name, value in one.items() if name != "sign"}
    assert one["sign"] == sign_hmac(hmac_string("POST", "/api/x", unsigned), "5b1f0c1d2e3f4a5b")


def test_a_line_for_the_shell(client: ApiClient, server: Server) -> None:
    got, posted = (client.request(method, "/api/x", {"a": "b"}) for method in ("GET", "POST"))
    assert re.fullmatch(rf"curl -sS '{server.url}/api/x\?a=b&\S+'", got.curl())
    assert re.fullmatch(rf"curl -sS -d 'a=b&\S+' {server.url}/api/x", posted.curl())


def test_answers_of_every_kind(server: Server, client: ApiClient) -> None:
    request = client.request("GET", "/api/x", {})
    server.answers["/api/x"] = [1, 2]
    assert request.send() == {"data": [1, 2]}
    server.misbehave = Answer(429, b'{"code": 429}')
    assert request.send() == {"code": 429}
    server.misbehave = Answer(502, b"<html>")
    with pytest.raises(CommandFailed, match="does not answer in JSON"):
        request.send()
    server.close()
    with pytest.raises(CommandFailed, match="is the server running"):
        request.send()


def test_a_login_is_kept_for_its_owner_only(server: Server, client: ApiClient, tmp_path: Path) -> None:
    expected = {"userId": "7", "token": "t7"}
    assert client.login(PHONE, None) == expected
    assert b"code=493027" in server.requests[1].body, "the code that the answer contains"
    assert client.login(PHONE, None) == expected
    assert server.asked == [SENDSMS, LOGIN], "the second time nothing is asked"
    assert (tmp_path / LOGINS_FILE).stat().st_mode & 0o777 == 0o600
    server.answers[LOGIN]["data"] = {"user_id": 8, "token": "t8"}
    assert client.login("13912345679", "111111") == {"userId": "8", "token": "t8"}
    assert server.asked[2:] == [LOGIN], "with a code none is asked for"
    assert client.login(PHONE, None) == expected, "the other one is kept"
    assert client.login(PHONE, "222222", anew=True) == {"userId": "8", "token": "t8"}
    assert client.login(PHONE, None) == {"userId": "8", "token": "t8"}
    assert client.login("13912345679", None)["token"] == "t8"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("call-logins")] == [LOGINS_FILE]


def test_logins_of_two_servers_are_two(server: Server, client: ApiClient, tmp_path: Path) -> None:
    client.login(PHONE, None)
    with Server() as other:
        ApiClient(settings(tmp_path), other.url).login(PHONE, "1")
        assert other.asked == [LOGIN]


def test_demo_people_have_a_code_of_their_own(server: Server, tmp_path: Path) -> None:
    demo = ApiClient(settings(tmp_path, DEMO_LOGIN_CODE="654321"), server.url)
    for phone in (DEMO_PHONE, f"+86{DEMO_PHONE}"):
        demo.login(phone, None)
    assert server.asked == [LOGIN, LOGIN]
    assert all(b"code=654321" in request.body for request in server.requests)


@pytest.mark.parametrize(
    "answer", [{"code": 0, "data": {}}, {"code": 0}, {"code": 429, "msg": "x", "data": {"code": "493027"}}]
)
def test_a_code_that_is_not_told_must_be_given(
    server: Server, client: ApiClient, answer: dict[str, Any]
) -> None:
    server.answers[SENDSMS] = answer
    with pytest.raises(CommandFailed, match="a code is needed"):
        client.login(PHONE, None)
    assert server.asked == [SENDSMS]


def test_a_login_that_is_refused_is_not_kept(server: Server, client: ApiClient, tmp_path: Path) -> None:
    server.answers[LOGIN] = {"code": 503, "msg": "wrong code"}
    with pytest.raises(CommandFailed, match="login refused: 503 wrong code"):
        client.login(PHONE, "1")
    assert not (tmp_path / LOGINS_FILE).exists()


@pytest.mark.parametrize(("code", "ended"), [(504, True), (1101, True), (1102, False), (0, False)])
def test_which_answers_say_that_a_login_has_ended(code: int, ended: bool) -> None:
    assert ApiClient.is_ended({"code": code}) is ended


def test_without_an_appkey_nothing_can_be_signed(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="no appkey to sign with"):
        ApiClient(load_settings(None, tmp_path, {}), "http://127.0.0.1:9")
