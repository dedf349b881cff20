"""The guard alone: a small application on a Redis and a database of its own, with a clock that tests may stop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from flask import Blueprint, Flask

from datingtoday.infra.cache import ReadyCache
from datingtoday.infra.db import Base, Database
from datingtoday.infra.memory import Reading
from datingtoday.infra.redis import RedisRole
from datingtoday.protocol.call import GUARD
from datingtoday.protocol.error_answers import answer_errors
from datingtoday.protocol.errors import AccountBanned, NoPermission, TokenExpired
from datingtoday.protocol.guard import Guard, GuardOptions
from datingtoday.protocol.login import Login, digest_of
from datingtoday.protocol.peer import Peers
from datingtoday.protocol.signing.check import SignatureCheck
from datingtoday.protocol.signing.client_apps import ClientApps, KnownApp
from datingtoday.protocol.signing.models import ClientApp, ClientSecret, KeptSignature, ReplayBucket
from datingtoday.protocol.signing.replay import ReplayGuard
from tests.plugins.api import APPKEY, APPSECRET, Api, RecordingSms, User
from tests.protocol.probe import probe_routes

USER = User(100784, "575f680ddbd0d494a1b5fad8497293d2", "18922986865")
OTHER_USER = User(100785, "0" * 31 + "1", "18922986866")
ENDED = User(100786, "0" * 31 + "2", "18922986867")
BANNED = User(100787, "0" * 31 + "3", "18922986868")


class Clock:
    """The server's time; real until it is stopped."""

    def __init__(self) -> None:
        self._stopped_ns: int | None = None

    def __call__(self) -> int:
        return time.time_ns() if self._stopped_ns is None else self._stopped_ns

    @property
    def ms(self) -> int:
        return self() // 1_000_000

    def stop(self, at_s: float | None = None) -> None:
        """Now, or at a moment; a clock that stands already stays where it is, unless told otherwise."""
        if at_s is not None:
            self._stopped_ns = int(at_s * 1e9)
        elif self._stopped_ns is None:
            self._stopped_ns = time.time_ns()

    def advance(self, seconds: float) -> None:
        assert self._stopped_ns is not None, "stop it first"
        self._stopped_ns += int(seconds * 1e9)


class KnownTokens:
    """A verifier that knows the four people above."""

    def reading(self, digest: str) -> Reading:
        return Reading([digest], [digest], [("GET", f"session:{digest}")])

    def verify(
        self, user_id: int, digest: str, reading: Reading, answers: Sequence[Any], now: datetime
    ) -> Login:
        owners = {digest_of(user.token): user.user_id for user in (USER, OTHER_USER, ENDED, BANNED)}
        if owners.get(digest) != user_id:
            raise NoPermission
        if digest == digest_of(ENDED.token):
            raise TokenExpired
        if digest == digest_of(BANNED.token):
            raise AccountBanned(data={"until": None, "reason": ""})
        return Login(user_id=user_id, session_id=1)


class Lab:
    """One process of a service. Two labs on the same servers are two processes.

    :param blueprint: in place of the probe routes.
    """

    def __init__(
        self,
        database_uri: str,
        redis_uri: str,
        *,
        clock: Clock | None = None,
        app: KnownApp | None = None,
        blueprint: Blueprint | None = None,
        trusted_proxies: Sequence[str] = (),
        redis_timeout_s: float = 3,
        **options: Any,
    ) -> None:
        self.clock = clock or Clock()
        window_s, ahead_s = options.pop("window_s", 60), options.pop("ahead_s", 5)
        explains, observe = options.pop("explain", False), options.pop("observe", None)
        self.options = replace(GuardOptions(limit_per_user_per_minute=None), **options)
        self.database = Database(database_uri)
        self.redis = RedisRole(redis_uri, timeout_s=redis_timeout_s)
        self.replay = ReplayGuard(
            self.redis,
            self.database,
            window_s=window_s,
            ahead_s=ahead_s,
            clock=self.clock,
        )
        self.apps = ClientApps(self.database, app or KnownApp(APPKEY, ((APPSECRET, None),), False))
        self.flask = Flask("lab", static_folder=None)
        self.flask.register_blueprint(blueprint or probe_routes())
        answer_errors(self.flask)
        self.guard = Guard(
            SignatureCheck(self.apps, self.replay, explains=explains),
            KnownTokens(),
            self.database,
            ReadyCache(self.redis, self.database),
            Peers(trusted_proxies),
            self.options,
            observe=observe,
            clock=self.clock,
        )
        self.flask.extensions[GUARD] = self.guard
        self.guard.install(self.flask)

    def client(self, *, address: str | None = None) -> Api:
        """A client with an address of its own, whose clock is the lab's."""
        return LabApi(self, address)

    def create_tables(self) -> Lab:
        tables = [Base.metadata.tables[model.__tablename__] for model in _MODELS]
        Base.metadata.create_all(self.database.engine, tables=tables)
        return self

    def let_time_pass(self, seconds: float) -> None:
        """For the stopped clock and for what Redis remembers."""
        self.clock.advance(seconds)
        passed_ms = int(seconds * 1000)
        client = self.redis.client
        for key in list(client.scan_iter("guard:*")):
            left_ms = int(client.pttl(key))
            if left_ms > passed_ms:
                client.pexpire(key, left_ms - passed_ms)
            elif left_ms >= 0:
                client.delete(key)

    def forget_everything(self) -> None:
        """As before the first start ever."""
        if self.redis.is_cluster:
            self.redis.client.execute_command("FLUSHALL", target_nodes="all")
        else:
            self.redis.execute("FLUSHALL")
        with self.database.transaction() as session:
            for model in (ReplayBucket, KeptSignature):
                session.query(model).delete()
        self.replay.forget_process_state()

    def close(self) -> None:
        self.redis.close()
        self.database.dispose()


_MODELS = (ClientApp, ClientSecret, ReplayBucket, KeptSignature)


class LabApi(Api):
    """Signs with the time of the lab's clock."""

    def __init__(self, lab: Lab, address: str | None = None) -> None:
        super().__init__(lab.flask, RecordingSms(), address=address)
        self._clock = lab.clock

    def params(self, method: str, path: str, own: dict[str, Any], **options: Any) -> dict[str, str]:
        options.setdefault("timestamp", str(self._clock.ms))
        return super().params(method, path, own, **options)
