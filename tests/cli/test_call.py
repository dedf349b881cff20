"""`datingtoday call` against a running server, and `datingtoday sign explain`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

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
    assert "--url ftp://127.0.0.1: an http:// or https:// address" in capsys.readouterr().err
    for pair in ("not-a-pair", "=x"):
        assert cli.run([*line, pair]) == 2
        assert f"{pair}: parameters are given as NAME=VALUE" in capsys.readouterr().err


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


def test_an_empty_value_in_an_address_is_signed_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    params = {"bio": "", "appkey": "432ABZ", "timestamp": "1795305600", "nonce": "4f3a"}
    sign = sign_md5(next(md5_strings(params, SECRET)))
    address = "/api/user/show?" + urlencode({**params, "sign": sign})
    assert cli.run(["sign", "explain", "GET", address, "--secret", SECRET, "--data", str(tmp_path)]) == 0
    assert "your sign is right" in capsys.readouterr().out


def explained(
    capsys: pytest.CaptureFixture[str], *arguments: str, path: str = "/api/auth/sendsms"
) -> tuple[int, str]:
    """Exit code and last line of an explanation of a request with md5."""
    params = ["phone=13800138000", "appkey=432ABZ", "timestamp=1795305600", "nonce=4f3a"]
    exit_code = cli.run(["sign", "explain", "POST", path, *params, "--secret", SECRET, *arguments])
    return exit_code, capsys.readouterr().out.strip().splitlines()[-1]


def test_own_string_tells_a_wrong_string_from_a_wrong_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = "phone=1380013800017953056004f3a"
    for own in (right, f"{right}<appsecret>", f"{right}{SECRET}"):
        exit_code, told = explained(capsys, "--string", own)
        assert (exit_code, "your string is right, so the secret or the hash is wrong" in told) == (0, True)
    exit_code, told = explained(capsys, "--string", right.replace("phone=", "phone:"))
    assert exit_code == 1
    assert (
        "differs from character 6 on: it has ':1380013800017953056', right is '=1380013800017953056'" in told
    )
    (tmp_path / "string").write_text(f"{right}\n")
    exit_code, told = explained(capsys, "--string", f"@{tmp_path / 'string'}")
    assert (exit_code, "it has '\\n', right is ''" in told) == (1, True)
    assert SECRET not in told


def test_what_cannot_be_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for pair in ("not-a-pair", "=x"):
        assert cli.run(["sign", "explain", "GET", "/x", pair, "--secret", SECRET]) == 2
        assert f"{pair}: parameters are given as NAME=VALUE" in capsys.readouterr().err
    assert cli.run(["sign", "explain", "GET", "/x", "--config", "/dev/null", "--data", str(tmp_path)]) == 2
    assert "there is no appsecret in the settings: give one with --secret" in capsys.readouterr().err


def test_a_wrong_sign_stays_wrong_with_a_right_string(capsys: pytest.CaptureFixture[str]) -> None:
    right = "phone=1380013800017953056004f3a"
    exit_code, told = explained(capsys, f"sign={'0' * 32}", "--string", right)
    assert (exit_code, "your string is right" in told) == (1, True)


@pytest.mark.parametrize(
    ("sign_method", "sign", "said"),
    [
        ("md5", "0" * 31, "31 characters are no md5 signature in hex"),
        ("sha1", "x", "1 characters are no sha1 signature in hex"),
    ],
)
def test_a_sign_of_another_length(
    capsys: pytest.CaptureFixture[str], sign_method: str, sign: str, said: str
) -> None:
    exit_code, told = explained(capsys, f"sign_method={sign_method}", f"sign={sign}")
    assert (exit_code, said in told) == (1, True), told


def test_a_forgotten_sign_method_and_a_whole_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert "send sign_method=hmac-sha256" in explained(capsys, f"sign={'0' * 64}")[1]
    assert "32 are an md5 signature" in explained(capsys, "sign_method=hmac-sha256", f"sign={'0' * 32}")[1]
    params = {"phone": "13800138000", "appkey": "432ABZ", "timestamp": "1795305600", "nonce": "4f3a"}
    address = "http://192.0.2.7:8000/api/auth/sendsms"
    params["sign_method"] = "hmac-sha256"
    for signed, told in ((address, "without scheme and host"), ("/api/auth/sendsms", "your sign is right")):
        sign = sign_hmac(hmac_string("POST", signed, params), SECRET)
        assert told in explained(capsys, "sign_method=hmac-sha256", f"sign={sign}", path=address)[1]


def test_values_that_were_signed_and_not_sent_are_known_by_the_endpoint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    params = {"phone": "13800138000", "appkey": "432ABZ", "timestamp": "1795305600", "nonce": "4f3a"}
    sign = sign_md5(next(md5_strings({**params, "purpose": "login"}, SECRET)))
    assert "you signed purpose=login but did not send it" in explained(capsys, f"sign={sign}")[1]


def test_the_explanation_is_in_the_language_of_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert "你的签名不正确：不属于常见错误" in explained(capsys, f"sign={'0' * 32}")[1]
    assert "第 1 个字符起不同" in explained(capsys, "--string", "x")[1]
