"""On a database and a Redis of your own: `datingtoday serve`, and gunicorn with the WSGI entry."""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from sqlalchemy import create_engine, text

from datingtoday.infra import migrations
from tests.cli.running_server import PROGRAM, Start, clean_environ
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


def test_it_runs_on_servers_of_your_own(start: Start, backend: Backend) -> None:
    settings = own_servers(backend)
    server = start("--migrate", **settings)
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


def serve(data: Path, environ: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """`datingtoday serve` that is expected to end by itself."""
    data.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [PROGRAM, "serve", "--data", data, *options],
        capture_output=True,
        text=True,
        cwd=data,
        env=clean_environ(**environ),
        timeout=60,
        check=False,
    )


def own_environ(backend: Backend) -> dict[str, str]:
    return {f"DATINGTODAY_{name}": value for name, value in own_servers(backend).items()}


def test_a_taken_port_is_an_error_in_production(data: Path, backend: Backend) -> None:
    migrations.upgrade(backend.database_uri)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        done = serve(data, own_environ(backend), "--port", str(number))
    assert done.returncode == 1
    assert f"port {number} is taken" in done.stderr


@pytest.mark.parametrize("revision", [None, "0001", "9999"])
def test_another_schema_is_neither_served_nor_migrated_unasked(
    data: Path, backend: Backend, revision: str | None
) -> None:
    if revision is not None:
        migrations.upgrade(backend.database_uri)
        engine = create_engine(backend.database_uri)
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": revision})
        engine.dispose()
    cure = "install the newer program" if revision == "9999" else "run `datingtoday db upgrade`"
    port = Port()
    done = serve(data, own_environ(backend), "--port", str(port.number))
    assert (done.returncode, cure in done.stderr) == (1, True), done.stderr
    assert migrations.current(backend.database_uri) == revision
    if revision is None:
        # The same check, one start less to wait for.
        port.release()
        return
    under_gunicorn = subprocess.run(
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
        env=clean_environ(**own_environ(backend)),
        timeout=60,
        check=False,
    )
    port.release()
    assert (under_gunicorn.returncode, cure in under_gunicorn.stderr) == (4, True), under_gunicorn.stderr
    assert migrations.current(backend.database_uri) == revision


@pytest.mark.parametrize("backend", ["real"], indirect=True)
def test_after_a_rollback_the_schema_of_the_newer_release_is_served(
    start: Start, data: Path, backend: Backend
) -> None:
    migrations.upgrade(backend.database_uri)
    engine = create_engine(backend.database_uri)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    server = start(**own_servers(backend), DATABASE_NEWER_SCHEMA="1")
    assert server.get("/").ok
    options = ["--config", "/dev/null", "--data", str(data)]
    done = subprocess.run(
        [PROGRAM, "worker", *options],
        capture_output=True,
        text=True,
        cwd=data,
        env=clean_environ(**own_environ(backend)),
        timeout=60,
        check=False,
    )
    assert (done.returncode, "[DATABASE] newer_schema" in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize("backend", ["real"], indirect=True)
def test_a_latin1_database_is_refused_with_the_alter_that_helps(data: Path, backend: Backend) -> None:
    engine = create_engine(backend.database_uri)
    name = engine.url.database
    with engine.connect() as connection:
        connection.execute(text(f"ALTER DATABASE `{name}` CHARACTER SET latin1"))
    alter = f"ALTER DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    with pytest.raises(migrations.MigrationError, match="latin1") as refused:
        migrations.upgrade(backend.database_uri)
    assert alter in refused.value.en
    assert alter in serve(data, own_environ(backend)).stderr
    assert migrations.current(backend.database_uri) is None
    with engine.connect() as connection:
        connection.execute(text(alter))
    engine.dispose()
    migrations.upgrade(backend.database_uri)
