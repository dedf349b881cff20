"""The steps of a start of `datingtoday serve`, one by one, in this process."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from datingtoday.cli.commands import serve
from datingtoday.cli.main import CommandFailed
from datingtoday.infra import migrations
from datingtoday.infra.config.settings import Settings, load_settings
from datingtoday.infra.db import DatabaseDown
from datingtoday.infra.redis import RedisDown
from datingtoday.infra.redis_suitability import RedisUnsuitable
from datingtoday.infra.server.listening import PortTaken
from datingtoday.protocol.signing.client_apps import KnownApp
from datingtoday.protocol.signing.replay import GuardMisconfigured

Capture = pytest.CaptureFixture[str]
OWN = {"DATABASE_URI": "mysql+pymysql://u:p@127.0.0.1:1/d", "REDIS_URI": "redis://127.0.0.1:1/0"}


def settings(folder: Path, **values: Any) -> Settings:
    given = {"APP_APPKEY": "TESTKEY1", "APP_APPSECRET": "own-secret", **values}
    return load_settings("/dev/null", folder, {f"DATINGTODAY_{name}": str(it) for name, it in given.items()})


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")


class TestPort:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
        """Requests for a socket: host, port and tries. All ports up to 8002 are taken."""
        found: list[tuple[str, int, int]] = []

        def listen_from(host: str, wanted: int, *, tries: int) -> Any:
            found.append((host, wanted, tries))
            if host == "nowhere":
                raise socket.gaierror(-2, "Name or service not known")
            if host == "192.0.2.1":
                raise OSError(99, "Cannot assign requested address")
            if wanted + tries <= 8003:
                raise PortTaken
            return SimpleNamespace(getsockname=lambda: (host, max(wanted, 8003)))

        monkeypatch.setattr(serve, "listen_from", listen_from)
        return found

    def test_the_next_twenty_are_tried_as_well_and_it_is_told(
        self, asked: list[tuple[str, int, int]], tmp_path: Path, capsys: Capture
    ) -> None:
        assert serve._listen(settings(tmp_path))[1] == 8003
        assert asked == [("127.0.0.1", 8000, 21)]
        assert capsys.readouterr().err == "datingtoday: port 8000 is taken, using 8003\n"
        assert serve._listen(settings(tmp_path, SERVER_PORT=9000))[1] == 9000
        assert capsys.readouterr().err == ""

    def test_in_production_it_is_that_one_or_none(
        self, asked: list[tuple[str, int, int]], tmp_path: Path
    ) -> None:
        with pytest.raises(CommandFailed) as refused:
            serve._listen(settings(tmp_path, **OWN))
        assert asked == [("127.0.0.1", 8000, 1)]
        assert refused.value.text == (
            "port 8000 is taken; end what listens there, or choose another with --port",
            "端口 8000 已被占用；请结束占用它的程序，或用 --port 另选",
        )

    @pytest.mark.parametrize(
        ("values", "en"),
        [
            ({"SERVER_HOST": "nowhere"}, "[SERVER] host: nowhere: Name or service not known"),
            (
                {"SERVER_HOST": "192.0.2.1"},
                "cannot listen on 192.0.2.1:8000: Cannot assign requested address; choose another --host or --port",
            ),
            ({"SERVER_PORT": 7900}, "port 7900 and the 20 after it are taken; choose another with --port"),
        ],
    )
    @pytest.mark.usefixtures("asked")
    def test_what_is_in_the_way(self, tmp_path: Path, values: dict[str, Any], en: str) -> None:
        with pytest.raises(CommandFailed) as refused:
            serve._listen(settings(tmp_path, **values))
        assert refused.value.en == en and refused.value.zh


class TestDatabase:
    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        found: list[str] = []

        def upgrade(uri: str, tell: Any) -> None:
            found.append("upgrade")
            tell("0001 first")

        monkeypatch.setattr(migrations, "current", lambda _: self.at)
        monkeypatch.setattr(migrations, "head", lambda: "0099")
        monkeypatch.setattr(migrations, "upgrade", upgrade)
        monkeypatch.setattr(migrations, "require_utf8", lambda _: found.append("utf8"))
        monkeypatch.setattr(
            migrations, "require_current", lambda _, newer_too: found.append(f"current {newer_too}")
        )
        return found

    at: str | None = None

    @pytest.mark.parametrize(
        ("at", "given", "called", "is_marked"),
        [
            (None, (False, False, True), ["upgrade"], True),
            (None, (False, False, False), ["upgrade"], False),
            ("0098", (False, False, True), ["upgrade"], False),
            ("0099", (False, False, True), [], False),
            (None, (True, False, True), ["utf8", "current False"], False),
            (None, (True, True, True), ["upgrade"], False),
            ("0099", (True, True, False), [], False),
        ],
    )
    def test_it_is_migrated_unasked_only_where_it_is_the_servers_own(
        self,
        calls: list[str],
        tmp_path: Path,
        capsys: Capture,
        at: str | None,
        given: tuple[bool, bool, bool],
        called: list[str],
        is_marked: bool,
    ) -> None:
        self.at, (own, asked, with_people) = at, given
        serve._migrate(settings(tmp_path, **(OWN if own else {})), asked=asked, with_people=with_people)
        assert calls == called
        assert capsys.readouterr().err == ("database: 0001 first\n" if "upgrade" in called else "")
        assert (tmp_path / "unfinished-seed").exists() is is_marked

    def test_a_newer_schema_is_served_where_that_is_set(self, calls: list[str], tmp_path: Path) -> None:
        serve._migrate(settings(tmp_path, **OWN, DATABASE_NEWER_SCHEMA=1), asked=False, with_people=False)
        assert calls == ["utf8", "current True"]


class TestPeople:
    @pytest.fixture
    def seeded(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        found: list[int] = []
        monkeypatch.setattr(serve, "_seed", lambda _, users: found.append(users))
        return found

    @pytest.mark.parametrize(
        ("users", "own", "is_marked", "expected"),
        [(40, False, True, [40]), (40, False, False, []), (0, False, True, []), (40, True, True, [])],
    )
    def test_they_are_made_up_until_they_are_complete(
        self, seeded: list[int], tmp_path: Path, users: int, own: bool, is_marked: bool, expected: list[int]
    ) -> None:
        mark = tmp_path / serve.UNFINISHED_SEED
        if is_marked:
            mark.touch()
        base = SimpleNamespace(settings=settings(tmp_path, **(OWN if own else {})))
        serve._seed_if_unfinished(SimpleNamespace(base=base), users)
        assert seeded == expected
        assert mark.exists() is (is_marked and not expected)

    @pytest.mark.parametrize(("users", "demo", "told"), [(29, 1, False), (30, 1, True), (30, 0, False)])
    def test_enough_of_them_have_a_story(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        capsys: Capture,
        users: int,
        demo: int,
        told: bool,
    ) -> None:
        calls: list[Any] = []

        class Load:
            def __init__(self, parts: Any) -> None: ...

            def number_of_people(self) -> int:
                return 7

            def load(self, count: int, seed: int, now: datetime, tell: Any, *, skip: int) -> list[int]:
                calls.append((count, seed, skip))
                return [1, 2]

            def make_edition(self, now: datetime) -> None:
                calls.append("edition")

        def story(parts: Any) -> Any:
            return SimpleNamespace(tell=lambda ids, now: calls.append(ids))

        monkeypatch.setattr("datingtoday.cli.seeding.load.SeedLoad", Load)
        monkeypatch.setattr("datingtoday.cli.seeding.story.DemoStory", story)
        base = SimpleNamespace(settings=settings(tmp_path, DEMO_ENABLED=demo))
        serve._seed(SimpleNamespace(base=base), users)
        assert calls == [(users, 1, 7), *([[1, 2]] if told else []), "edition"]
        assert f"first start: {users} made-up people" in capsys.readouterr().err


class TestPreparation:
    """With stand-ins for the parts, which note their calls."""

    @pytest.fixture
    def parts(self) -> Any:
        calls: list[str] = []
        editions = SimpleNamespace(is_due=lambda _: True, make=lambda _: calls.append("edition"))
        replay = SimpleNamespace(prepare=lambda: calls.append("prepare"))
        apps = SimpleNamespace(find=lambda key: KnownApp(key, (("own-secret", None),), False))
        base = SimpleNamespace(
            guard_redis=SimpleNamespace(close=lambda: calls.append("redis closed")),
            database=SimpleNamespace(dispose=lambda: calls.append("database closed")),
        )
        return SimpleNamespace(
            calls=calls,
            base=base,
            protocol=SimpleNamespace(replay=replay, apps=apps),
            discovery=SimpleNamespace(editions=editions),
        )

    def test_everything_is_made_before_and_nothing_is_left_open(self, parts: Any, tmp_path: Path) -> None:
        assert serve._prepare(parts, settings(tmp_path)) is False
        assert parts.calls == ["prepare", "edition", "redis closed", "database closed"]
        parts.discovery.editions.is_due = lambda _: False
        parts.calls.clear()
        serve._prepare(parts, settings(tmp_path))
        assert parts.calls == ["prepare", "redis closed", "database closed"]

    @pytest.mark.parametrize(
        ("app", "is_changed"),
        [
            (None, True),
            (KnownApp("TESTKEY1", (("own-secret", None),), True), True),
            (KnownApp("TESTKEY1", (("another", None),), False), True),
            (KnownApp("TESTKEY1", (("own-secret", datetime(2020, 1, 1, tzinfo=UTC)),), False), True),
            (KnownApp("TESTKEY1", (("another", None), ("own-secret", None)), False), False),
        ],
    )
    def test_a_client_program_that_is_another_by_now(
        self, parts: Any, tmp_path: Path, app: KnownApp | None, is_changed: bool
    ) -> None:
        parts.protocol.apps.find = lambda _: app
        assert serve._prepare(parts, settings(tmp_path)) is is_changed

    @pytest.mark.parametrize("failure", [RedisDown("it is away"), DatabaseDown("it is away")])
    def test_servers_that_are_away_may_come_back(
        self, parts: Any, tmp_path: Path, capsys: Capture, failure: Exception
    ) -> None:
        fail(parts, failure)
        assert serve._prepare(parts, settings(tmp_path)) is False
        assert "not reachable yet, answering 503 until it is: it is away" in capsys.readouterr().err
        assert parts.calls == ["redis closed", "database closed"]

    @pytest.mark.parametrize(
        ("failure", "text"),
        [
            (RedisUnsuitable("change it", "请修改"), ("change it", "请修改")),
            (GuardMisconfigured("evicts"), ("evicts", "evicts")),
        ],
    )
    def test_a_server_that_will_never_do_ends_the_start(
        self, parts: Any, tmp_path: Path, failure: Exception, text: tuple[str, str]
    ) -> None:
        fail(parts, failure)
        with pytest.raises(CommandFailed) as refused:
            serve._prepare(parts, settings(tmp_path))
        assert refused.value.text == text
        assert parts.calls == ["redis closed", "database closed"]


def fail(parts: Any, failure: Exception) -> None:
    def prepare() -> None:
        raise failure

    parts.protocol.replay.prepare = prepare


class TestProcesses:
    @pytest.mark.parametrize(
        ("values", "names"),
        [
            ({}, ["dt-worker", "dt-push"]),
            ({"WORKER_WITH_SERVE": 0}, ["dt-push"]),
            ({"PUSH_ENABLED": 0}, ["dt-worker"]),
            ({"SERVER_WORKER_CLASS": "gevent"}, ["dt-worker"]),
            ({"SERVER_WORKER_CLASS": "gevent", "PUSH_ENABLED": 0, "WORKER_WITH_SERVE": 0}, []),
        ],
    )
    def test_those_beside_the_workers_of_the_api(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, values: dict[str, Any], names: list[str]
    ) -> None:
        made, calls = (object(), object()), list[Any]()
        monkeypatch.setattr("datingtoday.push.handover.make_pair", lambda: made)
        monkeypatch.setattr("datingtoday.push.handover.HandOver", lambda *given: given)
        monkeypatch.setattr("datingtoday.worker.run_until_told", lambda parts: calls.append(parts))
        monkeypatch.setattr(
            "datingtoday.push.server.run_push",
            lambda parts, listeners, handover: calls.append((parts, listeners, handover)),
        )
        app: Any = SimpleNamespace(wsgi_app="app")
        parts: Any = object()
        children = serve._children(app, parts, settings(tmp_path, **values))
        assert [it.name for it in children] == names
        assert app.wsgi_app == (("app", made[0]) if "dt-push" in names else "app")
        for child in children:
            child.run()
        expected = {"dt-worker": parts, "dt-push": (parts, [], made[1])}
        assert calls == [expected[name] for name in names]

    def test_redis_is_looked_after_where_it_is_ours(self) -> None:
        calls: list[str] = []
        redis: Any = SimpleNamespace(restart_if_dead=lambda: calls.append("restart"))
        serve._restart_if_dead(None)
        serve._restart_if_dead(redis)
        assert calls == ["restart"]


class TestSignals:
    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
        """Calls by which the handlers would have ended this process."""
        found: list[tuple[Any, ...]] = []

        def leave(code: int) -> None:
            found.append(("exit", code))
            raise SystemExit(code)

        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        monkeypatch.setattr(os, "_exit", leave)
        monkeypatch.setattr(os, "kill", lambda pid, number: found.append(("kill", pid, number)))
        monkeypatch.setattr(os, "write", lambda file, text: found.append(("write", file, text)))
        yield found
        for number, handler in before.items():
            signal.signal(number, handler)

    @pytest.mark.parametrize("pid", [None, 4711])
    @pytest.mark.parametrize(
        ("number", "ends"),
        [
            (signal.SIGTERM, [("exit", 0)]),
            (signal.SIGINT, [("write", 2, b"\ndatingtoday: stopped before it served\n"), ("exit", 130)]),
        ],
    )
    def test_before_it_serves_they_end_it_at_once(
        self, calls: list[tuple[Any, ...]], number: signal.Signals, ends: list[Any], pid: int | None
    ) -> None:
        redis: Any = SimpleNamespace(pid=pid)
        for which in (None, redis):
            calls.clear()
            serve._end_at_once_on_signals(which)
            handler = signal.getsignal(number)
            assert callable(handler)
            with pytest.raises(SystemExit):
                handler(number, None)
            told = [("kill", pid, signal.SIGTERM)] if which is not None and pid else []
            assert calls == [*told, *ends]
