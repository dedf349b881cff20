"""A certificate that is made for the tests."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.plugins.tools import program

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
