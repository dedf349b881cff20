"""`datingtoday call` against a running server, and `datingtoday sign explain`."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from datingtoday.cli import main as cli
from datingtoday.protocol.signing.strings_to_sign import hmac_string, md5_strings, sign_hmac, sign_md5
from tests.cli.running_server import RunningServer, Start

SECRET = "0123456789abcdef"
DEMO_PHONE = "13800000001"


def call(
    capsys: pytest.CaptureFixture[str], server: RunningServer, *arguments: str
) -> tuple[int, dict[str, Any]]:
    exit_code = cli.run(
        ["call", "--data", str(server.data), "--config", "/dev/null", "--url", server.url, *arguments]
    )
    return exit_code, json.loads(capsys.readouterr().out or "{}")


def test_signed_requests_to_a_running_server(
    start: Start, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start()
    exit_code, answer = call(capsys, server, "GET", "/api/app/config")
    assert (exit_code, answer["code"]) == (0, 0)

    # Nobody is asked for the demo's code, and the login is used again.
    exit_code, shown = call(capsys, server, "GET", "/api/user/show", "--as", DEMO_PHONE)
    assert (exit_code, shown["data"]["phone"]) == (0, f"+86{DEMO_PHONE}")
    _, sessions = call(capsys, server, "GET", "/api/auth/sessions", "--as", DEMO_PHONE)
    assert len(sessions["data"]) == 1

    # A login that has ended is made anew.
    call(capsys, server, "POST", "/api/auth/logout", "--as", DEMO_PHONE)
    exit_code, again = call(capsys, server, "GET", "/api/user/show", "--as", DEMO_PHONE)
    assert (exit_code, again["data"]["user_id"]) == (0, shown["data"]["user_id"])

    exit_code, refused = call(capsys, server, "GET", "/api/user/show", "peerId=x", "--as", DEMO_PHONE)
    assert (exit_code, refused["code"]) == (1, 300)

    line_of = ["call", "--data", str(server.data), "--config", "/dev/null", "--url", server.url, "--curl"]
    for method, path in (("GET", "/api/label/list"), ("POST", "/api/auth/sendsms")):
        assert cli.run([*line_of, method, path, "phone=13912345678"]) == 0
        done = subprocess.run(
            ["bash", "-c", capsys.readouterr().out], capture_output=True, text=True, check=True
        )
        assert json.loads(done.stdout)["code"] == 0, done.stdout


def test_nobody_answers(tmp_path: Any, capsys: pytest.CaptureFixture[str], start: Start) -> None:
    (tmp_path / "secrets.ini").write_text(f"[APP]\nappkey = TESTKEY1\nappsecret = {SECRET}\n")
    line = ["call", "--data", str(tmp_path), "--config", "/dev/null", "GET", "/api/app/config"]
    assert cli.run([*line, "--url", "http://127.0.0.1:9"]) == 1
    assert "is the server running?" in capsys.readouterr().err
    assert cli.run([*line, "--url", "ftp://127.0.0.1"]) == 1
    assert cli.run([*line, "not-a-pair"]) == 2


@pytest.mark.parametrize("is_right", [True, False])
@pytest.mark.parametrize("sign_method", ["md5", "hmac-sha256"])
def test_explained_signatures(
    capsys: pytest.CaptureFixture[str], sign_method: str, is_right: bool, tmp_path: Any
) -> None:
    params = {
        "phone": "13800138000", "appkey": "432ABZ", "timestamp": "1795305600", "nonce": "4f3a",
        "sign_method": sign_method,
    }  # fmt: skip
    # The mistake: the values of another request.
    signed = params if is_right else {**params, "timestamp": "1795305600000"}
    if sign_method == "md5":
        sign = sign_md5(next(md5_strings(signed, SECRET)))
    else:
        sign = sign_hmac(hmac_string("POST" if is_right else "GET", "/api/auth/sendsms", params), SECRET)
    pairs = [f"{name}={value}" for name, value in {**params, "sign": sign}.items()]
    line = [
        "sign",
        "explain",
        "POST",
        "/api/auth/sendsms",
        *pairs,
        "--secret",
        SECRET,
        "--data",
        str(tmp_path),
    ]
    assert cli.run(line) == (0 if is_right else 1)
    printed = capsys.readouterr().out
    assert SECRET not in printed
    assert (sign in printed) is is_right
    mistake = "another timestamp" if sign_method == "md5" else "another method"
    assert ("your sign is right" if is_right else mistake) in printed
