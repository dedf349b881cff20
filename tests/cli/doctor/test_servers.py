"""Findings on real servers: in order, and broken one setting at a time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datingtoday.cli.doctor import database_checks
from datingtoday.cli.doctor.redis_checks import probes
from datingtoday.infra.config.settings import Settings
from tests.cli.doctor.conftest import examined, fix_of, load, states, troubles
from tests.plugins.api import Api
from tests.plugins.backend import Backend
from tests.plugins.redis_server import RedisServer
from tests.plugins.schema import bring_up
from tests.plugins.sql_server import SqlServer

NOWHERE = "redis://127.0.0.1:1/0"
MINUTE_NS = 60 * 10**9


class TestInOrder:
    def test_servers_and_schema(self, backend: Backend, settings_on: Callable[..., Settings]) -> None:
        bring_up(backend.database_uri)
        found = examined(settings_on(), "database", "schema", "redis", "storage")
        assert troubles(found) == []
        assert {"schema.structure", "schema.revision", "database.connection"} <= found.keys() or (
            "database.flush_log" in found
        )


class TestClock:
    def test_in_order(self, settings_on: Callable[..., Settings]) -> None:
        found = examined(settings_on(), "clock")
        assert {state for name, state in states(found).items() if name != "clock.synchronized"} == {"ok"}

    @pytest.mark.parametrize("minutes", [-5, 5])
    def test_five_minutes_wrong(
        self, backend: Backend, settings_on: Callable[..., Settings], minutes: int
    ) -> None:
        def wrong() -> int:
            return time.time_ns() + minutes * MINUTE_NS

        found = examined(settings_on(), "clock", clock_ns=wrong)
        redis = next(name for name in found if name.startswith("clock.guard"))
        asked = [redis] if backend.database_uri.startswith("sqlite") else [redis, "clock.database"]
        for check in asked:
            (finding,) = found[check]
            assert finding.state == "error"
            assert f"{-minutes * 60:+d}." in finding.message.en.replace("+299.", "+300.").replace(
                "-299.", "-300."
            )
            assert "1001" in finding.message.zh
            assert "timedatectl set-ntp true" in fix_of(found, check)

    def test_seconds_are_a_warning_where_they_are_tolerated(
        self, settings_on: Callable[..., Settings]
    ) -> None:
        found = examined(settings_on(), "clock", clock_ns=lambda: time.time_ns() + 20 * 10**9)
        # Ahead by 20 s: clients seem to be late, which is tolerated for a minute.
        assert {state for name, state in states(found).items() if name != "clock.synchronized"} == {"warning"}
        behind = examined(settings_on(), "clock", clock_ns=lambda: time.time_ns() - 20 * 10**9)
        assert "error" in states(behind).values()


class TestDatabase:
    def test_everything_that_is_wrong_has_a_repair_that_works(
        self, private_sql_server: Callable[..., SqlServer], tmp_path: Path
    ) -> None:
        server = private_sql_server(
            "--log-bin=bin",
            "--sync-binlog=0",
            "--binlog-format=STATEMENT",
            "--innodb-flush-log-at-trx-commit=2",
            "--sql-mode=",
            "--max-connections=30",
        )
        uri = server.create_database("dt_broken")
        server.administer("ALTER DATABASE dt_broken CHARACTER SET latin1")
        settings = load(tmp_path, DATABASE_URI=uri, REDIS_URI=NOWHERE)
        found = examined(settings, "database")
        assert {name: state for name, state in states(found).items() if state != "ok"} == {
            "database.flush_log": "error",
            "database.sync_binlog": "error",
            "database.binlog_format": "error",
            "database.charset": "error",
            "database.sql_mode": "error",
            "database.max_connections": "warning",
        }
        for check in troubles(found):
            server.administer(statement_of(fix_of(found, check)))
        assert troubles(examined(settings, "database")) == []

        bring_up(uri)
        server.administer(
            "USE dt_broken; DROP INDEX ix_user_follow_peer_id_create_time_user_id ON user_follow;"
            "DROP INDEX uq_user_order_trade_no ON user_order;"
            "ALTER TABLE kept_signature ENGINE = MyISAM"
        )
        found = examined(settings, "schema")
        assert states(found)["schema.indexes"] == states(found)["schema.tables"] == "error"
        assert len(found["schema.indexes"]) == 2
        for finding in (*found["schema.indexes"], *found["schema.tables"]):
            assert finding.fix is not None
            server.administer(statement_of(finding.fix.en))
        assert troubles(examined(settings, "schema")) == []
        server.administer("USE dt_broken; ALTER TABLE user_follow DROP COLUMN create_time")
        assert "schema.columns" in troubles(examined(settings, "schema"))

        server.stop()
        found = examined(settings, "database", "schema", "clock")
        assert states(found)["database.connection"] == "error"
        assert "p@ss" not in str(found) and "p%40ss" not in str(found)

    @pytest.mark.parametrize(
        ("version", "state"),
        [
            ("10.5.23-MariaDB-log", "error"),
            ("10.11.6-MariaDB", "ok"),
            ("5.5.5-11.4.2-MariaDB", "ok"),
            ("5.7.44", "error"),
            ("8.0.36", "ok"),
            ("8.4.0", "ok"),
        ],
    )
    def test_versions(self, version: str, state: str) -> None:
        assert database_checks._version({"version": version}).state == state

    def test_a_wrong_password_and_a_database_that_is_not_there(
        self, private_sql_server: Callable[..., SqlServer], tmp_path: Path
    ) -> None:
        server = private_sql_server()
        uri = server.uri("dt_none")
        found = examined(load(tmp_path, DATABASE_URI=uri, REDIS_URI=NOWHERE), "database")
        server.administer(statement_of(fix_of(found, "database.connection")))
        wrong = uri.replace("dt:", "dt:hunter2", 1)
        found = examined(load(tmp_path, DATABASE_URI=wrong, REDIS_URI=NOWHERE), "database")
        assert "Access denied" in found["database.connection"][0].message.en
        assert "hunter2" not in str(found)
        settings = load(tmp_path, DATABASE_URI=uri, REDIS_URI=NOWHERE)
        assert states(examined(settings, "database"))["database.charset"] == "ok"
        found = examined(settings, "schema")
        assert fix_of(found, "schema.revision") == "datingtoday db upgrade"

    def test_a_damaged_file(self, tmp_path: Path) -> None:
        path = tmp_path / "x.sqlite3"
        bring_up(f"sqlite:///{path}")
        content = bytearray(path.read_bytes())
        content[4096 * 3 : 4096 * 4] = b"\xff" * 4096
        path.write_bytes(content)
        found = examined(load(tmp_path, DATABASE_URI=f"sqlite:///{path}", REDIS_URI=NOWHERE), "database")
        assert troubles(found) == ["database.integrity"]


def statement_of(command: str) -> str:
    """The SQL of a command line that a finding recommends."""
    found = re.search(r'-e "(.*)"', command)
    assert found is not None, command
    return found[1]


def redis_settings(folder: Path, uri: str, **more: Any) -> Settings:
    return load(folder, DATABASE_URI=f"sqlite:///{folder}/none.sqlite3", REDIS_URI=uri, **more)


class TestRedis:
    def test_eviction_memory_and_persistence(
        self, private_redis: Callable[..., RedisServer], tmp_path: Path
    ) -> None:
        server = private_redis()
        settings = redis_settings(tmp_path, server.socket_uri)
        with server.client() as client:
            client.config_set("maxmemory", "100mb")
            client.config_set("maxmemory-policy", "allkeys-lru")
            client.config_set("appendonly", "no")
            found = examined(settings, "redis")
            name = "redis.guard+cache+queues"
            assert {check: state for check, state in states(found).items() if state != "ok"} == {
                f"{name}.eviction": "error",
                f"{name}.persistence": "warning",
            }
            for check in troubles(found):
                client.execute_command(*config_set_of(fix_of(found, check)))
            assert troubles(examined(settings, "redis")) == []
            used = int(client.info()["used_memory"])
            client.config_set("maxmemory", str(int(used / 0.9)))
            assert states(examined(settings, "redis"))[f"{name}.memory"] == "warning"
            client.config_set("maxmemory", str(int(used * 1.02)))
            found = examined(settings, "redis")
            assert states(found)[f"{name}.memory"] == "error"

    def test_a_cache_may_evict_and_should(
        self, private_redis: Callable[..., RedisServer], tmp_path: Path
    ) -> None:
        guard, cache = private_redis(), private_redis()
        settings = redis_settings(tmp_path, guard.socket_uri, REDIS_CACHE_URI=cache.socket_uri)
        with cache.client() as client:
            client.config_set("maxmemory", "100mb")
            client.config_set("appendonly", "no")
            found = examined(settings, "redis")
            assert troubles(found) == ["redis.cache.eviction"]
            client.execute_command(*config_set_of(fix_of(found, "redis.cache.eviction")))
        assert troubles(examined(settings, "redis")) == []
        assert "redis.guard+queues.version" in found

    @pytest.mark.real
    def test_renamed_commands(self, private_redis: Callable[..., RedisServer], tmp_path: Path) -> None:
        server = private_redis("real")
        server.stop()
        renamed = tmp_path / "renamed.conf"
        renamed.write_text('rename-command XADD ""\nrename-command EVAL secret-eval\n')
        server.start(include=str(renamed))
        found = examined(redis_settings(tmp_path, server.socket_uri), "redis")
        findings = found["redis.guard+cache+queues.commands"]
        assert {it.message.en.split()[0] for it in findings} >= {"EVAL", "XADD"}
        assert "rename-command EVAL" in fix_of(found, "redis.guard+cache+queues.commands")

    def test_a_user_without_permissions(
        self, private_redis: Callable[..., RedisServer], tmp_path: Path
    ) -> None:
        server = private_redis()
        uri = f"redis://limited:hunter2secret@127.0.0.1:{server.port}/0"
        settings = redis_settings(tmp_path, uri)
        with server.client() as client:
            client.execute_command(
                "ACL", "SETUSER", "limited", "on", ">hunter2secret", "~*", "&*", "+@all", "-@dangerous"
            )
            found = examined(settings, "redis")
            assert fix_of(found, "redis.guard+cache+queues.suitable").endswith("ACL SETUSER limited +info")
            client.execute_command("ACL", "SETUSER", "limited", "+info", "-xadd", "-zadd")
            found = examined(settings, "redis")
            fixes = [it.fix.en for it in found["redis.guard+cache+queues.commands"] if it.fix]
            assert {fix.split()[-1] for fix in fixes} >= {"+xadd", "+zadd"}
            for fix in fixes:
                client.execute_command(*fix.partition(" --askpass ")[2].split())
            assert troubles(examined(settings, "redis")) == []
            assert "hunter2secret" not in str(found)

    def test_a_server_that_is_down(self, private_redis: Callable[..., RedisServer], tmp_path: Path) -> None:
        server = private_redis()
        settings = redis_settings(tmp_path, server.uri)
        server.pause()
        try:
            found = examined(settings, "redis", "clock")
        finally:
            server.resume()
        assert troubles({k: v for k, v in found.items() if not k.startswith("clock")}) == [
            "redis.guard+cache+queues.connection"
        ]
        assert f"-p {server.port} PING" in fix_of(found, "redis.guard+cache+queues.connection")

    def test_a_cluster(self, private_redis: Callable[..., RedisServer], tmp_path: Path) -> None:
        server = private_redis(cluster=True)
        assert troubles(examined(redis_settings(tmp_path, server.uri), "redis")) == []

    def test_nothing_is_left_behind(self, private_redis: Callable[..., RedisServer], tmp_path: Path) -> None:
        server = private_redis()
        examined(redis_settings(tmp_path, server.socket_uri), "redis")
        with server.client() as client:
            assert client.keys() == []

    def test_every_command_of_the_program_is_probed(self, api: Api) -> None:
        user, other = api.new_user(), api.new_user()
        for path in ("/api/user/hot/list", "/api/message/sync", "/api/user/search"):
            api.get(path, user)
        api.get("/api/user/show", user, peerId=other.user_id)
        api.post("/api/message/send", user, peerId=other.user_id, type="text", text="hi", clientId="a1b2c3d4")
        api.parts.base.streams.flush()
        with api.parts.base.guard_redis.client as client:
            used = {name.removeprefix("cmdstat_").upper() for name in client.info("commandstats")}
        probed = {str(call[0]) for call in probes("guard+cache+queues", "k")}
        # Of the connection's handshake and of the tests' own.
        apart = {"CLIENT|SETINFO", "CLIENT", "HELLO", "SELECT", "PING", "FLUSHALL", "SCRIPT|FLUSH", "SCRIPT",
                 "COMMAND", "KEYS", "SCAN", "CONFIG|SET", "CONFIG|GET", "CLUSTER|INFO", "DBSIZE", "UNSUBSCRIBE",
                 "CLIENT|SETNAME", "AUTH", "DEBUG", "TTL", "PTTL", "TYPE", "RESET", "QUIT", "SHUTDOWN"}  # fmt: skip
        own = {name for name in used - apart if name.partition("|")[0] not in probed}
        assert own - {"SUBSCRIBE"} == set()


def config_set_of(command: str) -> list[str]:
    """The words of the ``CONFIG SET`` in a command line that a finding recommends."""
    found = re.search(r"(CONFIG SET \S+ \S+)", command)
    assert found is not None, command
    return found[1].split()
