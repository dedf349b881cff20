"""The embedded Redis and its folder, without a Redis: patience, names of every length, and what was never started."""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from datingtoday.infra.server import embedded_redis
from datingtoday.infra.server.data_folder import DataFolder, EmbeddedError, is_alive, is_in_use
from datingtoday.infra.server.embedded_redis import EmbeddedRedis, find_server_binary

NOBODY = 2**22 + 7
"""A number that no process has: the largest is 2**22."""


@pytest.fixture
def folder(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = run_folder / tmp_path_factory.mktemp("edges").name
    made.mkdir()
    return made


@pytest.fixture
def at_end() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def program(folder: Path, text: str) -> str:
    """A program in place of Redis."""
    script = folder / "program"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    return str(script)


class TestFolder:
    def held(self, folder: Path, at_end: ExitStack, noted: str) -> int:
        """A child of a server that has died holds on to its lock."""
        file = (folder / "server.lock").open("w", encoding="ascii")
        at_end.callback(file.close)
        file.write(noted)
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        return file.fileno()

    @pytest.mark.parametrize("noted", [f"{NOBODY}\n", "", "x\n"])
    def test_what_a_dead_server_left_is_waited_for(self, folder: Path, at_end: ExitStack, noted: str) -> None:
        number = self.held(folder, at_end, noted)
        taken = DataFolder(folder)
        with pytest.raises(EmbeddedError, match="in use") as refused:
            taken.take(patience_s=0.1)
        assert (str(NOBODY) in refused.value.en) is (str(NOBODY) in noted)
        threading.Timer(0.1, fcntl.flock, (number, fcntl.LOCK_UN)).start()
        taken.take(patience_s=30)
        taken.release()

    def test_a_server_that_lives_is_not_waited_for(
        self, folder: Path, at_end: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.held(folder, at_end, f"{os.getpid()}\n")
        slept: list[float] = []
        monkeypatch.setattr("datingtoday.infra.server.data_folder.time.sleep", slept.append)
        with pytest.raises(EmbeddedError):
            DataFolder(folder).take(patience_s=30)
        assert slept == []

    def test_its_owner_stands_in_it_and_nothing_else(self, folder: Path) -> None:
        lock = folder / "server.lock"
        lock.write_text("123456789012345\nmore\n")
        taken = DataFolder(folder)
        taken.take()
        assert lock.read_text() == f"{os.getpid()}\n"
        taken.release()
        assert lock.read_text() == ""
        taken.release()
        assert not is_in_use(folder)

    def test_processes_of_others_are_alive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert is_alive(os.getpid()) and not is_alive(NOBODY)

        def refuse(_: int, number: int) -> None:
            assert number == 0
            raise PermissionError

        monkeypatch.setattr(os, "kill", refuse)
        assert is_alive(1)


class TestNeverStarted:
    def test_it_has_nothing_to_say_and_nothing_to_end(self, folder: Path) -> None:
        server, called = EmbeddedRedis(folder), list[str]()
        assert server.pid is None
        for ask in (lambda: server.uri, server.wait_until_ready):
            with pytest.raises(RuntimeError, match="not started"):
                ask()
        assert server.restart_if_dead() is False
        server.stop(lambda: called.append("last write"))
        assert called == []

    def test_a_program_is_a_file_that_can_be_run(self, folder: Path) -> None:
        (folder / "text").write_text("")
        for name in ("text", "none", "."):
            with pytest.raises(EmbeddedError, match="no executable file"):
                find_server_binary(str(folder / name))
        assert find_server_binary(program(folder, "exit 0")) == folder / "program"


class TestStart:
    def test_one_that_does_not_answer_is_given_up(self, folder: Path, at_end: ExitStack) -> None:
        server = EmbeddedRedis(folder, program(folder, "exec sleep 60"))
        at_end.callback(server.stop)
        server.start()
        began = time.monotonic()
        with pytest.raises(EmbeddedError, match=r"not ready after 0.3 s"):
            server.wait_until_ready(0.3)
        assert time.monotonic() - began >= 0.3
        assert server.restart_if_dead() is False, "it runs"

    def test_traces_that_are_gone_already_are_none_to_remove(self, folder: Path) -> None:
        server = EmbeddedRedis(folder, program(folder, "exec sleep 60"))
        server.start()
        note = folder / "redis" / "server.json"
        assert note.exists()
        note.unlink()
        server.stop()
        assert server.pid is None

    def test_one_that_was_stopped_is_not_waited_for(self, folder: Path) -> None:
        server = EmbeddedRedis(folder, program(folder, "echo its last word; exec sleep 60"))
        server.start()
        server.stop()
        assert server.pid is None and server.restart_if_dead() is False
        with pytest.raises(EmbeddedError, match="did not start: "):
            server.wait_until_ready(60)

    def test_its_last_words_are_told(self, folder: Path, at_end: ExitStack) -> None:
        for text, why in (
            ("echo one; echo the last word; exit 1", "the last word"),
            ("exit 1", "it wrote nothing"),
        ):
            server = EmbeddedRedis(folder / why[:3], program(folder, text))
            at_end.callback(server.stop)
            server.start()
            with pytest.raises(EmbeddedError, match=why):
                server.wait_until_ready(30)

    @pytest.mark.parametrize(("size", "is_kept"), [(1_000_000, False), (1_000_001, True)])
    def test_a_log_of_a_megabyte_is_put_aside(
        self, folder: Path, at_end: ExitStack, size: int, is_kept: bool
    ) -> None:
        (folder / "redis").mkdir()
        log = folder / "redis" / "server.log"
        log.write_bytes(b"x" * size)
        server = EmbeddedRedis(folder, program(folder, "exec sleep 60"))
        at_end.callback(server.stop)
        server.start()
        assert (folder / "redis" / "server.log.1").exists() is is_kept
        assert log.stat().st_size == (0 if is_kept else size)


class TestSocket:
    def test_a_path_of_a_hundred_and_seven_bytes_is_the_longest(self, folder: Path) -> None:
        base = folder / "redis"
        for length, is_near in ((106, True), (107, True), (108, False)):
            near = base / ("d" * (length - len(os.fsencode(base / "redis.sock")) - 1))
            found = embedded_redis._new_socket_path(near)
            assert (found == near / "redis.sock") is is_near
            if not is_near:
                assert found.parent.stat().st_mode & 0o777 == 0o700
                found.parent.rmdir()

    def test_a_temporary_folder_that_is_too_long_as_well(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        long = folder / ("t" * 120)
        long.mkdir()
        monkeypatch.setattr(tempfile, "mkdtemp", lambda prefix: str(long))
        with pytest.raises(EmbeddedError, match="too long for a unix socket"):
            embedded_redis._new_socket_path(folder / ("x" * 120))
        assert not long.exists()
