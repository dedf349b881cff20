"""A private SQL server, a private Redis and several API workers, and what can happen to them."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import pymysql
import requests

from datingtoday.app import create_app
from datingtoday.infra.config.settings import load_settings
from tests.chat.connections import Request, requester
from tests.chat.listeners import Listener
from tests.plugins.api import APPKEY, APPSECRET, SECRET_KEY, Api, RecordingSms, User
from tests.plugins.polling import wait_until
from tests.plugins.processes import Port, end, spawn, tail_of
from tests.plugins.redis_server import RedisServer
from tests.plugins.schema import bring_up
from tests.plugins.sql_server import SqlServer
from tests.push.push_process import PushProcess

ROOT = Path(__file__).parents[2]


class _Addresses(NamedTuple):
    database_uri: str
    redis_uri: str
    cache_uri: str
    queue_uri: str


class Lab:
    """The servers of one run.

    :param factory: of `broken_servers.py`. :param pushes: number of push processes.
    """

    def __init__(
        self,
        folder: Path,
        sql_server: SqlServer,
        redis: RedisServer,
        *,
        factory: str = "whole",
        workers: int = 3,
        pushes: int = 0,
    ) -> None:
        self.sql_server, self.redis = sql_server, redis
        self.database_uri = sql_server.create_database()
        self._environ = {
            f"DATINGTODAY_{name}": value
            for name, value in {
                "DATABASE_URI": self.database_uri,
                "REDIS_URI": redis.uri,
                "APP_APPKEY": APPKEY,
                "APP_APPSECRET": APPSECRET,
                "SECURITY_SECRET_KEY": SECRET_KEY,
                "LIMITS_ENABLED": "0",
                "LOG_ACCESS": "0",
                "METRICS_ENABLED": "0",
                "DATA": str(folder),
            }.items()
        }
        bring_up(self.database_uri)
        self.api = Api(create_app(load_settings(None, folder, self._environ)), RecordingSms())
        self._stack = ExitStack()
        self._stack.callback(self.api.parts.base.database.dispose)
        self.log = folder / "gunicorn.log"
        self.pushes: list[PushProcess] = []
        for _ in range(pushes):
            push = PushProcess(_Addresses(self.database_uri, *[redis.uri] * 3), folder, LIMITS_ENABLED="0")
            self._stack.callback(push.close)
            self.pushes.append(push.start())
        self._start(factory, workers)
        for push in self.pushes:
            push.wait_until_ready()

    @property
    def port(self) -> int:
        return self._port.number

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self, user: User, url: str = "") -> Request:
        """:param url: of a proxy in front of it."""
        return requester(url or self.url, user, APPKEY, APPSECRET, timeout_s=15)

    def listen(self, user: User, ended: threading.Event) -> Listener:
        """A device that is connected to push."""
        return Listener(self.api, user, [push.url for push in self.pushes], ended)

    def workers(self) -> list[int]:
        pid = self._process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def as_root(self, *statements: str) -> None:
        """Statements that only the operator of the database may give."""
        with closing(self.sql_server.as_administrator()) as root:
            for statement in statements:
                root.cursor().execute(statement)

    def close(self) -> None:
        self._stack.close()

    def _start(self, factory: str, workers: int) -> None:
        self._port = Port()
        self._stack.callback(self._port.release)
        command: list[str | Path] = [
            Path(sys.executable).with_name("gunicorn"), f"tests.chat.broken_servers:{factory}()",
            "--bind", f"127.0.0.1:{self._port.number}", "--workers", str(workers), "--worker-class", "gthread",
            "--threads", "8", "--keep-alive", "30", "--timeout", "60", "--log-level", "warning", "--preload",
        ]  # fmt: skip
        self._process = spawn(command, log=self.log, cwd=ROOT, env={**os.environ, **self._environ})
        self._stack.callback(end, self._process)
        wait_until(self._answers, f"gunicorn\n{tail_of(self.log)}", deadline_s=60, every_s=0.1)

    def _answers(self) -> bool:
        assert self._process.poll() is None, tail_of(self.log, 30)
        try:
            return requests.get(self.url + "/healthz", timeout=2).status_code < 500
        except requests.RequestException:
            return False


Chance = random.Random
Fault = Callable[[Lab, Chance], None]
PAUSE_S = 5.0


def pause(seconds: float) -> None:
    """Let a fault last; what is waited for is the time itself."""
    threading.Event().wait(seconds)


def kill_worker(lab: Lab, chance: Chance) -> None:
    os.kill(chance.choice(lab.workers()), signal.SIGKILL)


def stop_worker(lab: Lab, chance: Chance, seconds: float = PAUSE_S) -> None:
    pid = chance.choice(lab.workers())
    os.kill(pid, signal.SIGSTOP)
    pause(seconds)
    os.kill(pid, signal.SIGCONT)


def kill_push(lab: Lab, chance: Chance) -> None:
    """Its supervisor starts it again."""
    push = chance.choice(lab.pushes)
    push.kill()
    push.start().wait_until_ready()


def stop_push(lab: Lab, chance: Chance, seconds: float = PAUSE_S) -> None:
    push = chance.choice(lab.pushes)
    assert push.process is not None
    push.process.send_signal(signal.SIGSTOP)
    pause(seconds)
    push.process.send_signal(signal.SIGCONT)


def wipe_redis(lab: Lab, chance: Chance) -> None:
    lab.redis.kill()
    lab.redis.wipe()
    lab.redis.start()


def set_redis_back(lab: Lab, chance: Chance) -> None:
    backup = lab.redis.back_up()
    pause(chance.uniform(1, 3))
    lab.redis.kill()
    lab.redis.restore(backup)
    lab.redis.start()


def stop_redis(lab: Lab, chance: Chance, seconds: float = PAUSE_S) -> None:
    lab.redis.pause()
    pause(seconds)
    lab.redis.resume()


def kill_database(lab: Lab, chance: Chance) -> None:
    lab.sql_server.kill()
    lab.sql_server.start()


def stop_database(lab: Lab, chance: Chance, seconds: float = PAUSE_S) -> None:
    lab.sql_server.pause()
    pause(seconds)
    lab.sql_server.resume()


def read_only(lab: Lab, chance: Chance, seconds: float = 3.0) -> None:
    lab.as_root("SET GLOBAL read_only = 1")
    pause(seconds)
    lab.as_root("SET GLOBAL read_only = 0")


def no_connections(lab: Lab, chance: Chance, seconds: float = 3.0) -> None:
    """Every connection is cut, and for a while there is room for hardly any."""
    with closing(lab.sql_server.as_administrator()) as root:
        cursor = root.cursor()
        cursor.execute("SET GLOBAL max_connections = 10")
        cursor.execute("SELECT id FROM information_schema.processlist WHERE user = 'dt'")
        for (number,) in cursor.fetchall():
            try:
                cursor.execute(f"KILL {number}")
            except pymysql.err.OperationalError as error:
                # 1094: it has ended by itself meanwhile.
                if error.args[0] != 1094:
                    raise
        pause(seconds)
        cursor.execute("SET GLOBAL max_connections = 300")


FAULTS: Mapping[str, Fault] = {
    "worker killed": kill_worker,
    "worker stopped": stop_worker,
    "push killed": kill_push,
    "push stopped": stop_push,
    "Redis wiped": wipe_redis,
    "Redis set back": set_redis_back,
    "Redis stopped": stop_redis,
    "database killed": kill_database,
    "database stopped": stop_database,
    "database read-only": read_only,
    "database out of connections": no_connections,
}
