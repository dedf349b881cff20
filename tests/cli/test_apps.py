"""`datingtoday app`: on both databases, and beside a server that runs."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy.exc import IntegrityError

from datingtoday.cli.main import run
from datingtoday.infra.db import Database, DatabaseDown
from datingtoday.protocol.signing import client_apps
from datingtoday.protocol.signing.client_apps import all_apps
from tests.cli.running_server import PROGRAM, RunningServer, Start, clean_environ
from tests.plugins.api import hmac_sign, md5_sign
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.schema import bring_up

SECRET = "configured-secret-1"


class Program:
    """Runs the command in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        code = run(["app", *arguments])
        self.out, self.err = self._capsys.readouterr()
        return code

    def pair(self) -> tuple[str, str]:
        """The appkey and the secret that were printed, and nothing else."""
        found = re.fullmatch(r"appkey = (\S+)\nappsecret = (\S+)\n", self.out)
        assert found, self.out
        return found[1], found[2]


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """Without settings, in an empty folder, in English."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("DATINGTODAY_") or name in ("LC_ALL", "LC_MESSAGES"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LANG", "C.UTF-8")
    return Program(capsys)


@pytest.fixture
def app(bare: Program, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Program:
    """With a configured database that is up to date, and a client program in the settings."""
    monkeypatch.setenv("DATINGTODAY_DATABASE_URI", backend.database_uri)
    monkeypatch.setenv("DATINGTODAY_APP_APPKEY", "CONFIGURED1")
    monkeypatch.setenv("DATINGTODAY_APP_APPSECRET", SECRET)
    bring_up(backend.database_uri)
    return bare


def live_secrets(backend: Backend, appkey: str) -> list[tuple[str, datetime | None]]:
    database = Database(backend.database_uri)
    try:
        with database.transaction(write=False) as session:
            found = next(row for row in all_apps(session) if row.appkey == appkey)
            return [(secret.secret, secret.expires_at) for secret in found.live_secrets(datetime.now(UTC))]
    finally:
        database.dispose()


def test_the_life_of_a_client_program(app: Program, backend: Backend) -> None:
    assert app("create", "iOS 客户端") == 0
    appkey, first = app.pair()
    assert "this once" in app.err
    assert [secret for secret, _ in live_secrets(backend, appkey)] == [first]

    assert app("rotate", appkey) == 0
    assert app.pair()[0] == appkey
    second = app.pair()[1]
    secrets = dict(live_secrets(backend, appkey))
    assert list(secrets) == [first, second]
    assert secrets[second] is None
    ends_at = secrets[first]
    assert ends_at is not None
    assert abs(ends_at - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=5)
    assert f"the old secret works until {ends_at:%Y-%m-%d %H:%M:%S} UTC" in app.err
    assert app("list") == 0
    assert f"2 live, the older until {ends_at:%Y-%m-%d %H:%M} UTC" in app.out
    assert [line.split()[0] for line in app.out.splitlines()] == ["appkey", "CONFIGURED1", appkey]

    assert app("rotate", appkey) == 1
    assert app.out == ""
    assert "--finish" in app.err
    assert app("rotate", appkey, "--finish") == 0
    assert [secret for secret, _ in live_secrets(backend, appkey)] == [second]
    assert app("rotate", appkey, "--overlap", "0") == 0
    third = app.pair()[1]
    assert "the old secret no longer works" in app.err
    assert [secret for secret, _ in live_secrets(backend, appkey)] == [third]

    for arguments, state, methods in (
        (("disable", appkey), "disabled", "md5, hmac-sha256"),
        (("hmac-only", appkey, "on"), "disabled", "hmac-sha256"),
        (("enable", appkey), "enabled", "hmac-sha256"),
        (("hmac-only", appkey, "off"), "enabled", "md5, hmac-sha256"),
    ):
        assert app(*arguments) == 0
        assert app("list") == 0
        row = next(line for line in app.out.splitlines() if line.startswith(appkey))
        assert re.split(r" {2,}", row) == [appkey, "iOS 客户端", state, methods, "1 live"]
        for secret in (first, second, third, SECRET):
            assert secret not in app.out + app.err


def test_secrets_are_printed_once_and_never_the_same(app: Program) -> None:
    pairs = []
    for _ in range(3):
        assert app("create", "same name") == 0
        pairs.append(app.pair())
    assert len({appkey for appkey, _ in pairs}) == len({secret for _, secret in pairs}) == 3
    assert all(len(secret) >= 32 for _, secret in pairs)


def test_the_one_of_the_settings_is_listed_and_gets_its_row_with_its_first_change(
    app: Program, backend: Backend
) -> None:
    assert app("list") == 0
    assert re.search(r"^CONFIGURED1 +\[APP\] +enabled +md5, hmac-sha256 +in the settings$", app.out, re.M)
    assert app("enable", "CONFIGURED1") == 0
    assert app.err == ""

    assert app("rotate", "CONFIGURED1", "--overlap", "12h") == 0
    assert "in the database from now on" in app.err
    assert [secret for secret, _ in live_secrets(backend, "CONFIGURED1")] == [SECRET, app.pair()[1]]
    assert app("disable", "CONFIGURED1") == 0
    assert "from now on" not in app.err
    assert app("list") == 0
    assert len(re.findall("CONFIGURED1", app.out)) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("create", ""), 1, "1 to 64 characters"),
        (("create", "x" * 65), 1, "1 to 64 characters"),
        (("create",), 2, "--help"),
        (("rotate", "NOBODY"), 1, "datingtoday app list"),
        (("rotate", "NOBODY", "--finish"), 1, "datingtoday app list"),
        (("disable", "NOBODY"), 1, "datingtoday app list"),
        (("enable", "NOBODY"), 1, "datingtoday app list"),
        (("hmac-only", "NOBODY", "on"), 1, "datingtoday app list"),
        (("hmac-only", "NOBODY", "maybe"), 2, "--help"),
        (("rotate", "NOBODY", "--overlap", "soon"), 2, "7d, 12h, 30m"),
        (("rotate", "NOBODY", "--overlap", "-1d"), 2, "7d, 12h, 30m"),
        (("rotate", "NOBODY", "--overlap", "367d"), 2, "7d, 12h, 30m"),
        (("list", "--config", "none.ini"), 2, "none.ini"),
    ],
)
def test_errors_say_what_to_do(app: Program, arguments: tuple[str, ...], code: int, says: str) -> None:
    assert app(*arguments) == code
    assert app.out == ""
    assert len(app.err.splitlines()) == 1
    assert says in app.err


def test_one_that_signs_with_hmac_only_from_the_beginning(app: Program) -> None:
    assert app("create", "x", "--hmac-only") == 0
    appkey, _ = app.pair()
    assert app("list") == 0
    assert re.search(rf"^{appkey} +x +enabled +hmac-sha256 +1 live$", app.out, re.M)


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (
            IntegrityError("INSERT", None, Exception("duplicate")),
            "another process changed the same client program at the same time; try again",
        ),
        (DatabaseDown("gone away"), "the database cannot be reached; nothing was changed"),
    ],
)
def test_what_goes_wrong_on_the_way_is_one_line(
    app: Program, monkeypatch: pytest.MonkeyPatch, failure: Exception, said: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failure

    closed: list[Database] = []
    dispose = Database.dispose

    def note(database: Database) -> None:
        closed.append(database)
        dispose(database)

    monkeypatch.setattr(Database, "dispose", note)
    monkeypatch.setattr(client_apps, "create", fail)
    assert app("create", "x") == 1
    assert (app.out, app.err) == ("", f"datingtoday: {said}\n")
    assert len(closed) == 1


def test_errors_speak_the_language_of_the_terminal(app: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert app("disable", "NOBODY") == 1
    assert "没有 appkey 为 NOBODY 的客户端程序" in app.err
    assert app("create", "程序") == 0
    assert "只显示这一次" in app.err


def test_without_a_database_it_says_how_to_get_one(
    bare: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bare("list", "--data", str(tmp_path / "data")) == 1
    assert "datingtoday serve" in bare.err
    assert not (tmp_path / "data").exists()
    monkeypatch.setenv("DATINGTODAY_DATABASE_URI", f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    assert bare("create", "x") == 1
    assert "datingtoday db upgrade" in bare.err


def test_a_database_that_is_down_is_one_line(bare: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATINGTODAY_DATABASE_URI", "mysql+pymysql://u:hunter2secret@127.0.0.1:1/d")
    assert bare("list") == 1
    assert len(bare.err.splitlines()) == 1
    assert "hunter2secret" not in bare.err


def code_of(server: RunningServer, appkey: str, secret: str, *, hmac: bool = False) -> int:
    """Code that a request of this client program gets."""
    path = "/api/label/list"
    now = datetime.now(UTC)
    params = {"appkey": appkey, "timestamp": f"{now.timestamp():.3f}", "nonce": os.urandom(8).hex()}
    if hmac:
        params["sign_method"] = "hmac-sha256"
        params["sign"] = hmac_sign("GET", path, params, secret)
    else:
        params["sign"] = md5_sign(params, secret)
    return int(requests.get(server.url + path, params=params, timeout=30).json()["code"])


def test_beside_a_running_server(start: Start, data: Path) -> None:
    server = start()
    server.wait_for_workers()

    def command(*arguments: str) -> str:
        return subprocess.run(
            [PROGRAM, "app", *arguments, "--data", data],
            env=clean_environ(),
            cwd=data.parent,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout

    def becomes(code: int, secret: str, *, hmac: bool = False) -> None:
        """On every worker: several requests in a row, on connections of their own."""
        wait_until(
            lambda: {code_of(server, appkey, secret, hmac=hmac) for _ in range(6)} == {code}, f"code {code}"
        )

    appkey, secret = re.findall(r"= (\S+)", command("create", "beside"))
    becomes(0, secret)
    new = re.findall(r"= (\S+)", command("rotate", appkey))[1]
    becomes(0, new)
    becomes(0, secret)
    command("rotate", appkey, "--finish")
    becomes(500, secret)
    becomes(0, new)
    command("hmac-only", appkey, "on")
    becomes(300, new)
    becomes(0, new, hmac=True)
    command("disable", appkey)
    becomes(1003, new, hmac=True)
    command("enable", appkey)
    becomes(0, new, hmac=True)
    listed = command("list")
    assert "[APP]" in listed
    assert appkey in listed
    assert new not in listed
