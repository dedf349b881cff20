"""A certificate that is made for the tests, and the command that renders files with it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from datingtoday.cli.main import run
from tests.plugins.tools import program

CONFIG = """
[DATABASE]
uri = mysql+pymysql://datingtoday:k3Wq9x@127.0.0.1:3306/datingtoday?charset=utf8mb4
[REDIS]
uri = redis://127.0.0.1:6379/0
[APP]
appkey = OWNKEY77
appsecret = 5c1e7f0e8f0b4b1f
[SECURITY]
secret_key = 77aa77aa77aa77aa77aa77aa77aa77aa77aa77aa77aa77aa77aa77aa77aa77aa
[SMS]
allow_console = 1
[SERVER]
trusted_proxies = 127.0.0.1
port = 18000
[PUSH]
port = 18100
[PROTOCOL]
max_body_bytes = 5000000
[STORAGE]
x_accel = /_media/
"""
DOMAIN = "api.example.com"


@dataclass(frozen=True)
class Certificate:
    """Self-signed certificate of the tests' domain and of this machine."""

    file: Path
    key: Path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificate")
    made = Certificate(folder / "fullchain.pem", folder / "privkey.pem")
    openssl = program("openssl")
    assert openssl is not None
    command = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={DOMAIN} -addext".split()
    names = f"subjectAltName=DNS:{DOMAIN},IP:127.0.0.1"
    subprocess.run(
        [openssl, *command, names, "-out", made.file, "-keyout", made.key], check=True, capture_output=True
    )
    return made


class Render:
    """The command, with options that work; `config` may be rewritten."""

    def __init__(self, folder: Path, certificate: Certificate) -> None:
        self.config = folder / "config.ini"
        self.config.write_text(CONFIG)
        self.out = folder / "out"
        self._options = {
            "domain": DOMAIN,
            "config": self.config,
            "data": folder / "data",
            "out": self.out,
            "certificate": certificate.file,
            "certificate-key": certificate.key,
            "http-port": 18080,
            "https-port": 18443,
            "nginx-log-dir": folder,
        }

    def __call__(self, *more: str, **options: object) -> int:
        options = {name.replace("_", "-"): value for name, value in options.items()}
        words = [
            f"--{name}={value}" for name, value in (self._options | options).items() if value is not None
        ]
        return run(["deploy", "render", *words, *more])


@pytest.fixture
def render(tmp_path: Path, certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Render:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return Render(tmp_path, certificate)
