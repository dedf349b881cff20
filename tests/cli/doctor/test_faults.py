"""Findings about servers that answer, but not as they should."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text

from datingtoday.cli.doctor.servers import reason_of
from datingtoday.infra.config.settings import Settings, load_settings
from datingtoday.infra.db import Database
from datingtoday.infra.jobs.leases import now_ms
from datingtoday.infra.jobs.models import JobLease
from datingtoday.infra.jobs.status import HEARTBEAT
from tests.cli.doctor.conftest import SECRETS, examined, fix_of, load, states
from tests.plugins.redis_server import RedisServer
from tests.plugins.schema import bring_up
from tests.stand_ins.http_server import Answer, Hangup, HttpStandIn

SECRET = "hunter2secret"


@pytest.fixture
def database_uri(tmp_path: Path) -> str:
    uri = f"sqlite:///{tmp_path}/doctor.sqlite3"
    bring_up(uri)
    return uri


class TestApi:
    @pytest.fixture
    def server(self) -> Iterator[HttpStandIn]:
        made = HttpStandIn()
        with made:
            yield made

    @pytest.fixture
    def settings(self, server: HttpStandIn, tmp_path: Path, database_uri: str) -> Settings:
        return load(
            tmp_path / "data", DATABASE_URI=database_uri, SERVER_PORT=server.port, SERVER_HOST="0.0.0.0"
        )

    @pytest.mark.parametrize(
        ("answer", "state", "said"),
        [
            (Answer(200, b'{"data": {"database": "up"}}'), "ok", "answers on 127.0.0.1:"),
            (
                Answer(503, b'{"data": {"database": "down", "redis": "up", "push": "down"}}'),
                "error",
                "/readyz answers 503: database, push",
            ),
            (Answer(503, b'{"code": 503}'), "error", "/readyz answers 503: "),
            (Answer(201, b"{}"), "error", "/readyz answers 201: "),
            (Answer(500, b"<html>"), "error", "/readyz answers 500: "),
            (Answer(500, b"[]"), "error", "/readyz answers 500: "),
            (Hangup(), "warning", "no API server answers on 127.0.0.1:"),
        ],
    )
    def test_readiness(
        self, server: HttpStandIn, settings: Settings, answer: Any, state: str, said: str
    ) -> None:
        server.misbehave = answer
        [finding] = examined(settings, "processes")["processes.api"]
        assert finding.state == state and said in finding.message.en
        assert [request.path for request in server.requests] == ["/readyz"]

    def test_absent_processes_are_errors_beside_a_server_that_runs(
        self, server: HttpStandIn, settings: Settings
    ) -> None:
        server.misbehave = Answer(200, b"{}")
        found = examined(settings, "processes")
        assert states(found)["processes.worker"] == "error" and "processes.jobs" not in found
        assert found["processes.worker"][0].message.en == "no background worker runs (-)"
        server.misbehave = Answer(503, b"{}")
        assert states(examined(settings, "processes"))["processes.worker"] == "warning"


@pytest.mark.parametrize(
    ("failures", "beat_s", "expected"),
    [
        (3, 40, {"worker": "ok", "jobs": "ok"}),
        (4, 40, {"worker": "ok", "jobs": "error"}),
        (0, 50, {"worker": "warning", "jobs": "ok"}),
    ],
)
def test_jobs_that_fail_and_a_worker_that_is_silent(
    tmp_path: Path, database_uri: str, failures: int, beat_s: int, expected: dict[str, str]
) -> None:
    database = Database(database_uri)
    now = now_ms(database.engine.dialect.name)
    common = {"due_ms": now, "holder": "", "until_ms": 0, "started_ms": 0, "took_ms": 0, "runs": 1}
    with database.transaction() as session:
        for name, failed in ((HEARTBEAT, 0), ("purge", failures)):
            session.execute(
                insert(JobLease).values(
                    **common, name=name, finished_ms=now - beat_s * 1000, failures=failed, error="no disk"
                )
            )
    database.dispose()
    found = examined(load(tmp_path / "data", DATABASE_URI=database_uri), "processes")
    assert {name: states(found)[f"processes.{name}"] for name in ("worker", "jobs")} == expected
    if beat_s == 50:
        assert re.search(r"no background worker runs \(5\d s\)", found["processes.worker"][0].message.en)
    if failures > 3:
        [finding] = found["processes.jobs"]
        assert finding.message.en == "the job purge failed 4 times: no disk"


def test_a_table_and_a_column_that_are_missing(tmp_path: Path, database_uri: str) -> None:
    settings = load(tmp_path / "data", DATABASE_URI=database_uri)
    assert states(examined(settings, "schema")) == {"schema.revision": "ok", "schema.structure": "ok"}
    database = Database(database_uri)
    with database.transaction() as session:
        session.execute(text("DROP TABLE replay_bucket"))
    found = examined(settings, "schema")
    assert states(found) == {"schema.revision": "ok", "schema.tables": "error"}
    assert [it.message.en for it in found["schema.tables"]] == ["the table replay_bucket is missing"]
    with database.transaction() as session:
        session.execute(text("CREATE TABLE replay_bucket (name VARCHAR(20) PRIMARY KEY)"))
    database.dispose()
    [finding] = examined(settings, "schema")["schema.columns"]
    assert finding.message.en.startswith("replay_bucket lacks the columns first_used_at, holder, lost_at")


def test_secrets_that_can_be_guessed(tmp_path: Path) -> None:
    assert states(examined(load(tmp_path), "secrets"))["secrets.strength"] == "ok"
    for name, key in (("APP_APPSECRET", "appsecret"), ("SECURITY_SECRET_KEY", "secret_key")):
        found = examined(load(tmp_path, **{name: "0123" * 16}), "secrets")
        assert found[f"secrets.{key}"][0].state == "error" and "secrets.strength" not in found
    for secret, is_good in (("01234567" * 8, True), ("0123456" * 9 + "0", False)):
        found = examined(load(tmp_path, SECURITY_SECRET_KEY=secret), "secrets")
        assert ("secrets.strength" in found) is is_good, "eight different characters"
    same = dict.fromkeys(("APP_APPSECRET", "SECURITY_SECRET_KEY"), "8c6f1b2e9d3a4057" * 4)
    assert states(examined(load(tmp_path, **same), "secrets"))["secrets.reused"] == "error"
    nothing = examined(load_settings(None, tmp_path, {}), "secrets")
    assert set(nothing) == {"secrets.files"}, "nothing to judge before the first start"


def test_the_file_of_the_settings_is_named(tmp_path: Path, database_uri: str) -> None:
    [finding] = examined(load(tmp_path, DATABASE_URI=database_uri), "settings")["settings.valid"]
    assert finding.message.en == "valid (-)"
    file = tmp_path / "config.ini"
    file.write_text(f"[DATABASE]\nuri = {database_uri}\n")
    environ = {f"DATINGTODAY_{name}": value for name, value in SECRETS.items()}
    [finding] = examined(load_settings(file, tmp_path, environ), "settings")["settings.valid"]
    assert finding.message.en == f"valid ({file})"


def test_a_long_reason_is_cut() -> None:
    assert reason_of(OSError("x" * 300)) == "x" * 200
    assert reason_of(OSError("a\n b")) == "a b" and reason_of(OSError()) == "OSError"


class TestRedis:
    """Users of one server with different rights, as [REDIS] names them by role."""

    @pytest.fixture
    def user(self, private_redis: Callable[..., RedisServer], tmp_path: Path) -> Callable[..., Settings]:
        server = private_redis()

        def permit(role: str, *rules: str) -> Settings:
            with server.client() as client:
                client.execute_command("ACL", "SETUSER", role, "reset", "on", f">{SECRET}", *rules)
                client.execute_command(
                    "ACL", "SETUSER", "all", "reset", "on", f">{SECRET}", "~*", "&*", "+@all"
                )
            names = {"guard": "REDIS_URI", "cache": "REDIS_CACHE_URI", "queues": "REDIS_QUEUE_URI"}
            uris = {
                key: f"redis://{role if name == role else 'all'}:{SECRET}@127.0.0.1:{server.port}/{number}"
                for number, (name, key) in enumerate(names.items())
            }
            return load(tmp_path / "data", **uris)

        return permit

    def test_a_cache_needs_no_info(self, user: Callable[..., Settings]) -> None:
        found = examined(user("cache", "~*", "&*", "+@all", "-info"), "redis")
        assert states(found)["redis.cache.info"] == states(found)["redis.cache.commands"] == "ok"
        assert "redis.cache.memory" not in found
        found = examined(user("cache", "~*", "&*", "+@all", "-info", "-zadd"), "redis")
        assert fix_of(found, "redis.cache.commands").endswith("ACL SETUSER cache +zadd")

    def test_the_guard_needs_it(self, user: Callable[..., Settings]) -> None:
        found = examined(user("guard", "~*", "&*", "+@all", "-info"), "redis")
        assert fix_of(found, "redis.guard.suitable").endswith("ACL SETUSER guard +info")
        assert "redis.guard.commands" not in found

    @pytest.mark.parametrize(
        ("rules", "command", "repair"),
        [
            (("~*", "&*", "+@all", "-subscribe"), "SUBSCRIBE", "+subscribe"),
            (("~*", "resetchannels", "+@all"), "SUBSCRIBE", "'~*' '&*'"),
            (("~other:*", "&*", "+@all"), "GET", "'~*' '&*'"),
            (("~*", "&*", "+@all", "-xadd"), "XADD", "+xadd"),
        ],
    )
    def test_a_command_that_is_refused_and_its_repair(
        self, user: Callable[..., Settings], rules: tuple[str, ...], command: str, repair: str
    ) -> None:
        found = examined(user("queues", *rules), "redis")["redis.queues.commands"]
        [refused] = [it for it in found if it.message.en.startswith(f"{command} is refused")]
        assert refused.state == "error" and refused.fix is not None
        assert refused.fix.en.endswith(f"ACL SETUSER queues {repair}") and refused.fix.zh == refused.fix.en
        assert SECRET not in str(found)
        assert states(examined(user("queues", "~*", "&*", "+@all"), "redis"))["redis.queues.commands"] == "ok"
