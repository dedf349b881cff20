"""On a database and a Redis of one's own: `datingtoday serve`, and gunicorn with the WSGI entry."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from datingtoday.infra import migrations
from tests.cli.running_server import Start, clean_environ
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.processes import Port, end, spawn


def own_servers(backend: Backend) -> dict[str, str]:
    return {
        "DATABASE_URI": backend.database_uri,
        "REDIS_URI": backend.redis_uri,
        "APP_APPKEY": "OWNKEY",
        "APP_APPSECRET": secrets.token_hex(16),
        "SECURITY_SECRET_KEY": secrets.token_hex(32),
        "SMS_ALLOW_CONSOLE": "1",
    }


def test_it_runs_on_servers_of_ones_own(start: Start, backend: Backend) -> None:
    settings = own_servers(backend)
    server = start(**settings)
    assert migrations.is_current(backend.database_uri)
    assert server.redis_pid() is None
    assert settings["APP_APPSECRET"] not in server.printed
    assert server.get("/").status_code < 500
    assert server.stop() == 0


def test_gunicorn_runs_the_wsgi_entry(data: Path, backend: Backend) -> None:
    migrations.upgrade(backend.database_uri)
    environ = {f"DATINGTODAY_{name}": value for name, value in own_servers(backend).items()}
    port = Port()
    data.mkdir(parents=True)
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--bind",
        f"127.0.0.1:{port.number}",
        "datingtoday.wsgi:application",
    ]
    log = data.parent / "log"
    process = spawn(command, log=log, cwd=data, env=clean_environ(**environ))
    try:
        url = f"http://127.0.0.1:{port.number}"

        def answer() -> requests.Response | None:
            assert process.poll() is None, log.read_text()
            try:
                return requests.post(f"{url}/api/auth/sendsms", timeout=30)
            except requests.ConnectionError:
                return None

        found = wait_until(answer, "gunicorn to answer", deadline_s=60)
        assert found is not None
        assert found.json() == {"code": 300, "msg": "appkey is none."}
    finally:
        end(process, signal.SIGTERM)
        port.release()


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "[DATABASE] uri: is missing; only `datingtoday serve` runs without it"),
        ({"DATINGTODAY_SMS_ECO": "1"}, "[SMS] eco: DATINGTODAY_SMS_ECO: unknown key"),
    ],
)
def test_gunicorn_stops_at_wrong_settings(data: Path, environ: dict[str, str], said: str) -> None:
    data.mkdir(parents=True)
    port = Port()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "gunicorn",
            "--bind",
            f"127.0.0.1:{port.number}",
            "datingtoday.wsgi:application",
        ],
        capture_output=True,
        text=True,
        cwd=data,
        env=clean_environ(**environ),
        timeout=60,
    )
    port.release()
    assert done.returncode == 4
    assert f"datingtoday: {said}" in done.stderr
    assert "Traceback" not in done.stderr
