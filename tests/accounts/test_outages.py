"""The database goes away and comes back: 503 in between, nothing hangs, nothing is half done."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import make_url

from datingtoday.app import create_app
from datingtoday.infra.config.settings import load_settings
from datingtoday.infra.db import ANSWER_S, Database, DatabaseDown
from tests.accounts.at_once import at_once
from tests.accounts.conftest import AppWith
from tests.accounts.rows import all_rows
from tests.accounts.test_sendsms import other_than
from tests.plugins.api import APPKEY, APPSECRET, SECRET_KEY, Answer, Api, RecordingSms, new_phone, settings_of
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.redis_server import RedisServer
from tests.plugins.schema import bring_up
from tests.plugins.sql_server import SqlServer

NO_HANG_S = 10

_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


def log_in(api: Api, phone: str, code: str) -> Answer:
    return api.post("/api/auth/login", phone=phone, code=code)


def timed(work: Callable[[], Answer]) -> tuple[Answer, float]:
    started = time.monotonic()
    return work(), time.monotonic() - started


class TestMariaDbIsKilled:
    def test_logins_fail_in_order_and_work_again(
        self,
        private_sql_server: Callable[[], SqlServer],
        private_redis: Callable[..., RedisServer],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        server, redis = private_sql_server(), private_redis("real")
        api = self.api_on(server.create_database(), redis, tmp_path)
        user, phone = api.new_user(), new_phone()
        code = api.new_code(phone)
        assert api.get("/api/user/show", user).code == 0

        server.kill()
        for work in (
            lambda: log_in(api, phone, code),
            lambda: api.post("/api/auth/sendsms", phone=new_phone()),
            lambda: api.post("/api/auth/logout", user),
            lambda: api.get("/api/user/show", user, peerId=user.user_id + 1),
            lambda: log_in(Api(api.app, api.sms), new_phone(), "123456"),
        ):
            answer, took_s = timed(work)
            assert (answer.status, answer.code) == (503, 503), answer.json
            assert answer.headers["Retry-After"] == "1"
            assert took_s < NO_HANG_S

        server.start()
        # The same code: the tries that failed were no tries.
        wait_until(lambda: log_in(api, phone, code).code == 0, "a login", deadline_s=30)
        assert api.get("/api/user/show", user).code == 0

    def test_one_that_hangs_holds_nobody_for_long(
        self,
        private_sql_server: Callable[[], SqlServer],
        private_redis: Callable[..., RedisServer],
        tmp_path: Path,
    ) -> None:
        """It takes connections and answers nothing, which only a limit of our own can end."""
        server, redis = private_sql_server(), private_redis("real")
        api = self.api_on(server.create_database(), redis, tmp_path)
        phone = new_phone()
        code = api.new_code(phone)
        assert api.parts.base.database.answer_s == ANSWER_S
        short = 1.0
        database = Database(api.parts.base.database.uri)
        database.answer_s = short
        with database.transaction() as session:
            session.execute(text("SELECT 1"))
        server.pause()
        try:
            started = time.monotonic()
            with pytest.raises(DatabaseDown), database.transaction() as session:
                session.execute(text("SELECT 1"))
            # The connection at hand, then a new one, as documented.
            assert time.monotonic() - started < ANSWER_S
        finally:
            server.resume()
        assert log_in(api, phone, code).code == 0

    @staticmethod
    def api_on(database_uri: str, redis: RedisServer, tmp_path: Path) -> Api:
        values = {
            "DATABASE_URI": database_uri,
            "REDIS_URI": redis.uri,
            "APP_APPKEY": APPKEY,
            "APP_APPSECRET": APPSECRET,
            "SECURITY_SECRET_KEY": SECRET_KEY,
            "LOG_ACCESS": "0",
            # A right login after failures of the part, not of the client: none of them may count.
            "LIMITS_WRONG_CODES_PER_ADDRESS_PER_HOUR": "1",
        }
        settings = load_settings(
            None, tmp_path, {f"DATINGTODAY_{name}": value for name, value in values.items()}
        )
        bring_up(database_uri)
        sms = RecordingSms()
        return Api(create_app(settings, sms=sms), sms)


@pytest.mark.parametrize("right", [True, False])
def test_a_commit_that_fails_is_an_outage_too(
    app_with: AppWith, right: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong code commits its try although it is refused: either way the database is met once more at the end."""
    api, phone = app_with(), new_phone()
    code = api.new_code(phone)
    before = all_rows(api.parts)
    engine = api.parts.base.database.engine
    do_commit, begun, lost = engine.dialect.do_commit, threading.Event(), []

    def note(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        if statement.startswith("UPDATE sms_code"):
            begun.set()

    def lose(connection: Any) -> None:
        if not begun.is_set():
            do_commit(connection)
            return
        lost.append(connection)
        if api.parts.base.database.is_sqlite:
            raise sqlite3.OperationalError("disk I/O error")
        connection.close()
        raise pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query")

    event.listen(engine, "before_cursor_execute", note)
    monkeypatch.setattr(engine.dialect, "do_commit", lose)
    answer = log_in(api, phone, code if right else other_than(code))
    monkeypatch.setattr(engine.dialect, "do_commit", do_commit)
    event.remove(engine, "before_cursor_execute", note)
    assert len(lost) == 1
    assert (answer.status, answer.code) == (503, 503)
    assert all_rows(api.parts) == before
    assert log_in(api, phone, code).code == 0


def test_no_free_connection_is_an_outage_too(app_with: AppWith) -> None:
    api, phone = app_with(DATABASE_POOL_SIZE=1, DATABASE_TIMEOUT_S=0.2), new_phone()
    code = api.new_code(phone)
    engine = api.parts.base.database.engine
    with engine.connect(), engine.connect():
        answer, took_s = timed(lambda: log_in(api, phone, code))
    assert (answer.status, answer.code) == (503, 503)
    assert took_s < NO_HANG_S
    assert log_in(api, phone, code).code == 0


class TestRedisIsDown:
    def test_nobody_logs_in_and_nothing_changes(
        self, backend: Backend, tmp_path: Path, private_redis: Callable[..., RedisServer]
    ) -> None:
        redis = private_redis(backend.kind)
        settings = settings_of(backend, tmp_path, REDIS_URI=redis.uri, REDIS_CACHE_URI=redis.uri)
        bring_up(settings.database.uri)
        sms = RecordingSms()
        api = Api(create_app(settings, sms=sms), sms)
        phone = new_phone()
        code = api.new_code(phone)
        before = all_rows(api.parts)
        redis.kill()
        for work in (
            lambda: log_in(api, phone, code),
            lambda: api.post("/api/auth/sendsms", phone=new_phone()),
        ):
            answer, took_s = timed(work)
            assert (answer.status, answer.code) == (503, 503)
            assert took_s < NO_HANG_S
        assert all_rows(api.parts) == before
        assert len(sms.sent) == 1


@contextmanager
def locked_by_another_process(database_uri: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds SQLite's write lock until its input ends."""
    file = make_url(database_uri).database
    assert file
    with subprocess.Popen(
        [sys.executable, "-I", "-c", _LOCK, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "locked\n"
            yield process
        finally:
            process.kill()


class TestSqliteIsLocked:
    @pytest.mark.parametrize("backend", ["embedded"], indirect=True)
    def test_a_login_waits_for_a_while(self, app_of: Callable[..., Api], backend: Backend) -> None:
        api, phone = app_of(), new_phone()
        code = api.new_code(phone)
        with locked_by_another_process(backend.database_uri) as locker:
            assert locker.stdin is not None
            login, _ = at_once([lambda: log_in(api, phone, code), locker.stdin.close])
        assert login is not None and login.data["is_new"] is True

    @pytest.mark.parametrize("backend", ["embedded"], indirect=True)
    def test_but_not_for_ever(self, app_of: Callable[..., Api], backend: Backend) -> None:
        api = app_of(DATABASE_TIMEOUT_S=0.3, LIMITS_WRONG_CODES_PER_ADDRESS_PER_HOUR=1)
        phone = new_phone()
        user, code = api.new_user(), api.new_code(phone)
        # The first request of all agrees with SQL on what Redis remembers.
        assert api.get("/api/user/show", user).code == 0
        before = all_rows(api.parts)
        with locked_by_another_process(backend.database_uri):
            for work in (
                lambda: log_in(api, phone, code),
                lambda: api.post("/api/auth/sendsms", phone=new_phone()),
                lambda: api.post("/api/auth/logout", user),
            ):
                answer, took_s = timed(work)
                assert (answer.status, answer.code) == (503, 503), answer.json
                assert 0.2 < took_s < NO_HANG_S
            # Reading needs no lock.
            assert api.get("/api/user/show", user).code == 0
        assert all_rows(api.parts) == before
        assert log_in(api, phone, code).code == 0
