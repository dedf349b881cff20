"""`datingtoday call` beside a server that answers as the test says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from datingtoday.cli.main import run
from tests.cli.test_api_client import LOGIN, PHONE, SENDSMS, Server
from tests.stand_ins.http_server import Received

Capture = pytest.CaptureFixture[str]
LIST = "/api/label/list"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A server at the port of the settings."""
    with Server() as made:
        for name, value in {
            "CONFIG": "/dev/null",
            "DATA": tmp_path,
            "SERVER_PORT": made.port,
            "APP_APPKEY": "TESTKEY1",
            "APP_APPSECRET": "5b1f0c1d2e3f4a5b",
        }.items():
            monkeypatch.setenv(f"DATINGTODAY_{name}", str(value))
        monkeypatch.setenv("LC_ALL", "C")
        yield made


def params_of(request: Received) -> dict[str, str]:
    text = request.query or request.body.decode()
    return {name: values[0] for name, values in parse_qs(text).items()}


@pytest.mark.parametrize(
    ("answer", "code"),
    [({"code": 0, "data": "约会"}, 0), ({"code": 1, "msg": "no"}, 1), ({"code": 300}, 1), ([7], 1)],
)
def test_the_answer_is_printed_and_its_code_decides(
    server: Server, capsys: Capture, answer: Any, code: int
) -> None:
    server.answers[LIST] = answer
    assert run(["call", "get", LIST, "gender=1", "name=a=b"]) == code
    shown = answer if isinstance(answer, dict) else {"data": answer}
    assert capsys.readouterr() == (json.dumps(shown, ensure_ascii=False, indent=2) + "\n", "")
    (asked,) = server.requests
    assert (asked.method, asked.path) == ("GET", LIST)
    params = params_of(asked)
    assert (params["gender"], params["name"], "token" in params) == ("1", "a=b", False)


def test_a_login_that_has_ended_is_made_anew_once(server: Server, capsys: Capture) -> None:
    server.answers[LIST] = {"code": 504}
    assert run(["call", "POST", LIST, "--as", PHONE]) == 1
    assert server.asked == [SENDSMS, LOGIN, LIST, SENDSMS, LOGIN, LIST]
    assert params_of(server.requests[-1])["token"] == "t7"
    server.answers[LIST] = {"code": 0}
    server.requests.clear()
    assert run(["call", "POST", LIST, "--as", PHONE, "--code", "1"]) == 0
    assert server.asked == [LIST], "the new one is kept"
    server.requests.clear()
    server.answers[LIST] = {"code": 504}
    assert run(["call", "POST", LIST]) == 1
    assert server.asked == [LIST], "nobody is logged in"


def test_a_line_for_the_shell_is_printed_and_nothing_is_sent(server: Server, capsys: Capture) -> None:
    assert run(["call", "GET", LIST, "--curl"]) == 0
    assert capsys.readouterr().out.startswith(
        f"curl -sS 'http://127.0.0.1:{server.port}{LIST}?appkey=TESTKEY1&"
    )
    assert server.requests == []


def test_another_server(server: Server, capsys: Capture) -> None:
    with Server() as other:
        assert run(["call", "GET", LIST, "--url", other.url]) == 0
        assert (other.asked, server.asked) == ([LIST], [])
    capsys.readouterr()
    assert run(["call", "GET", "label/list"]) == 2
    assert "PATH label/list: begins with a /" in capsys.readouterr().err
