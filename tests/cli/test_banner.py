"""The lines that the banner offers, run by real shells, with curl replaced by something that shows what it got."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from datingtoday.cli.banner import banner, base_url, login_line, network_address, sendsms_line
from datingtoday.infra.config.settings import load_settings

CURL = '#!/bin/sh\nfor argument; do printf "%s\\n" "$argument"; done\n'
TOOLS = ("sh", "date", "od", "tr", "cut")


def run_line(line: str, folder: Path, shell: str, md5: str, typed: str = "") -> tuple[str, dict[str, str]]:
    """Address and parameters of a curl line."""
    tools = folder / f"{shell}-{md5}"
    tools.mkdir()
    for name in (*TOOLS, shell, md5):
        path = shutil.which(name)
        assert path, name
        if not (tools / name).exists():
            (tools / name).symlink_to(path)
    (tools / "curl").write_text(CURL)
    (tools / "curl").chmod(0o755)
    done = subprocess.run(
        [shell, "-c", line], input=typed, capture_output=True, text=True, env={"PATH": str(tools)}, check=True
    )
    assert done.stderr == ""
    arguments = done.stdout.removeprefix("code: ").split("\n")
    body = arguments[arguments.index("-d") + 1]
    return arguments[arguments.index("-d") + 2], {name: value[0] for name, value in parse_qs(body).items()}


@pytest.mark.parametrize("shell", [pytest.param("dash", marks=pytest.mark.needs("dash")), "bash"])
@pytest.mark.parametrize("md5", ["md5sum", pytest.param("openssl", marks=pytest.mark.needs("openssl"))])
@pytest.mark.parametrize("secret", ["f00dfeed", 'it\'s $HOME `x` "y" \\n!z%s&'])
def test_the_lines_sign_as_the_protocol_says(tmp_path: Path, shell: str, md5: str, secret: str) -> None:
    for number, (line, typed, own) in enumerate(
        [
            (sendsms_line("http://h:1", "KEY", secret), "", "appkey=KEY&phone=13800138000"),
            (login_line("http://h:1", "KEY", secret), "123456\n", "appkey=KEY&code=123456&phone=13800138000"),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        url, params = run_line(line, folder, shell, md5, typed)
        assert url == f"http://h:1/api/auth/{'login' if typed else 'sendsms'}"
        assert abs(int(params["timestamp"]) - time.time()) < 30
        assert len(params["nonce"]) == 16
        text = f"{own}{params['timestamp']}{params['nonce']}{secret}"
        assert params["sign"] == hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        rest = {name: value for name, value in params.items() if name not in ("timestamp", "nonce", "sign")}
        assert "&".join(f"{name}={value}" for name, value in sorted(rest.items())) == own


def test_two_requests_are_never_the_same(tmp_path: Path) -> None:
    line = sendsms_line("http://h:1", "KEY", "f00dfeed")
    nonces = set()
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        nonces.add(run_line(line, folder, "bash", "md5sum")[1]["nonce"])
    assert len(nonces) == 5


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:81"),
        ("0.0.0.0", "http://127.0.0.1:81"),
        ("::", "http://[::1]:81"),
        ("::1", "http://[::1]:81"),
        ("example.com", "http://example.com:81"),
    ],
)
def test_addresses(host: str, url: str) -> None:
    assert base_url(host, 81) == url


def test_the_embedded_default_shows_what_one_needs(tmp_path: Path) -> None:
    settings = load_settings("/dev/null", tmp_path, {}, create_secrets=True)
    text = banner(settings, "127.0.0.1", 8123)
    for part in (
        "http://127.0.0.1:8123/api",
        "http://127.0.0.1:8123/docs",
        str(tmp_path),
        settings.app.appkey,
        settings.app.appsecret,
        "the answer contains it",
        "应答中直接返回",
    ):
        assert part in text
    assert settings.security.secret_key not in text
    quiet = load_settings(
        "/dev/null", tmp_path, {"DATINGTODAY_SMS_ECHO": "0", "DATINGTODAY_DOCS_ENABLED": "0"}
    )
    assert "printed in this terminal" in banner(quiet, "127.0.0.1", 8123)
    by_sms = {"DATINGTODAY_SMS_ECHO": "0", "DATINGTODAY_SMS_PROVIDER": "aliyun"}
    text = banner(load_settings("/dev/null", tmp_path, by_sms), "127.0.0.1", 8123)
    assert "it comes by SMS; put your own number into the lines" in text
    assert "printed in this terminal" not in text
    assert "/docs" not in banner(quiet, "127.0.0.1", 8123)


def test_what_signs_nothing_any_more_is_not_offered(tmp_path: Path) -> None:
    settings = load_settings("/dev/null", tmp_path, {}, create_secrets=True)
    text = banner(settings, "127.0.0.1", 8123, is_app_changed=True)
    assert settings.app.appkey in text and "datingtoday app" in text
    assert settings.app.appsecret not in text and "curl" not in text


def test_nothing_secret_is_shown_with_a_database_of_your_own(tmp_path: Path) -> None:
    environ = {
        "DATINGTODAY_DATABASE_URI": "mysql+pymysql://u:hunter2secret@h/d",
        "DATINGTODAY_APP_APPKEY": "OWNKEY",
        "DATINGTODAY_APP_APPSECRET": "f00dfeedf00dfeed",
    }
    text = banner(load_settings("/dev/null", tmp_path, environ), "0.0.0.0", 81)
    assert "http://127.0.0.1:81/api" in text
    for secret in ("hunter2secret", "f00dfeed", "OWNKEY", "Demo people"):
        assert secret not in text


def test_the_first_line_is_the_page_to_open(tmp_path: Path) -> None:
    settings = load_settings("/dev/null", tmp_path, {})
    text = banner(settings, "127.0.0.1", 8000)
    assert "http://127.0.0.1:8000/demo/split" in text.splitlines()[0]
    assert "888888" in text
    off = banner(load_settings("/dev/null", tmp_path, {"DATINGTODAY_DEMO_ENABLED": "0"}), "127.0.0.1", 8000)
    assert "demo" not in off


def test_the_whole_text_where_there_is_nothing_to_try(tmp_path: Path) -> None:
    settings = load_settings("/dev/null", tmp_path, {"DATINGTODAY_DEMO_ENABLED": "0"}, create_secrets=True)
    lines = banner(settings, "127.0.0.1", 8000, is_app_changed=True).splitlines()
    width = max(len(str(tmp_path)), len("changed with `datingtoday app`"))
    assert lines[1:] == [
        "",
        f"  API           {'http://127.0.0.1:8000/api':<{width}}  接口",
        f"  Documentation {'http://127.0.0.1:8000/docs':<{width}}  文档",
        f"  Data folder   {tmp_path!s:<{width}}  数据目录",
        f"  appkey        {settings.app.appkey:<{width}}  客户端标识",
        f"  appsecret     {'changed with `datingtoday app`':<{width}}  签名密钥",
        "",
        "  Ctrl-C stops the server.",
        "  按 Ctrl-C 停止服务。",
    ]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", None),
        ("127.8.0.1", None),
        ("::1", None),
        ("localhost", None),
        ("192.168.1.5", "192.168.1.5"),
        ("my.example", "my.example"),
    ],
)
def test_addresses_that_others_reach(host: str, address: str | None) -> None:
    assert network_address(host) == address


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_who_listens_everywhere_has_the_address_by_which_the_system_leaves(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    class Probe(socket.socket):
        def connect(self, address: tuple[str, int]) -> None:  # type: ignore[override]
            asked.append(address)

        def getsockname(self) -> tuple[str, int]:
            return ("10.1.2.3", 4_567)

    monkeypatch.setattr(socket, "socket", Probe)
    assert network_address(host) == "10.1.2.3"
    ((address, _),) = asked
    assert address == "192.0.2.1"


def test_phones_in_the_network_get_a_qr_code(tmp_path: Path) -> None:
    settings = load_settings("/dev/null", tmp_path, {})
    text = banner(settings, "192.168.1.5", 8000)
    assert "http://192.168.1.5:8000/demo\n" in text
    assert "█" in text and "▀" in text, "two rows of squares in each line"
    assert "█" not in banner(settings, "127.0.0.1", 8000)
