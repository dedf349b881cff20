"""The plugin itself, in test runs of its own: ends, crashes, and machines that lack the programs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.processes import Port, RunFolder, hearing, remove_dead_runs
from tests.plugins.sql_product import MYSQLD

PROJECT = Path(__file__).resolve().parents[2]
PLUGIN = 'pytest_plugins = ["tests.plugins.servers"]\n'
# A machine on which nothing but Python is installed.
BARE_MACHINE = "from tests.plugins import tools\ntools.program = lambda *names: None\n"
SOME_TESTS = """
import pytest

def test_on(backend): pass

@pytest.mark.real
def test_real(): pass

@pytest.mark.browser
def test_browser(): pass

@pytest.mark.needs("ffmpeg")
def test_ffmpeg(): pass

def test_sql(private_sql_server): pass

@pytest.mark.long
@pytest.mark.real
def test_long(): pass

def test_plain(): pass
"""
# Says which processes it started, then hangs.
HANGS = """
import os, pathlib, threading

def test_hangs(backend, private_redis, private_sql_server, run_folder, sql_address):
    if backend.is_real:
        servers = [backend.redis.pid, private_redis().pid, private_sql_server().pid, sql_address()["pid"]]
        ready = pathlib.Path("ready")
        ready.with_suffix(".half").write_text(f"{run_folder.parent} " + " ".join(map(str, [os.getpid(), *servers])))
        ready.with_suffix(".half").rename(ready)
        threading.Event().wait(300)
"""


def _write(folder: Path, test: str, conftest: str = "") -> None:
    (folder / "pytest.ini").write_text(
        f"[pytest]\npythonpath = {PROJECT}\naddopts = --import-mode=importlib -p no:cacheprovider\n"
        "markers =\n    real\n    browser\n    long\n"
    )
    (folder / "conftest.py").write_text(conftest + PLUGIN)
    (folder / "test_inner.py").write_text(test)


def _start(folder: Path, *arguments: str, required: str = "", mysqld: str = MYSQLD) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.Popen(
        hearing([sys.executable, "-m", "pytest", "-p", "xdist", *arguments]),
        cwd=folder,
        env=environment
        | {
            "REQUIRE_REAL_SERVERS": required,
            "MYSQLD": mysqld,
            "COLUMNS": "200",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _output_of(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=120)
    return output


@pytest.mark.parametrize("workers", ["0", "2"])
def test_missing_programs_are_deselected_counted_and_named(tmp_path: Path, workers: str) -> None:
    _write(tmp_path, SOME_TESTS, BARE_MACHINE)
    process = _start(tmp_path, "-m", "not long", "-n", workers, mysqld="")
    output = _output_of(process)
    assert process.returncode == 0, output
    assert re.search(r"\b2 passed", output), output
    assert "skipped" not in output
    assert "TESTS THAT COULD NOT BE RUN HERE" in output
    assert "2 tests: mariadb is not installed (mariadbd, mariadb-install-db); redis is not" in output
    assert "1 tests: mariadb is not installed (mariadbd, mariadb-install-db)\n" in output
    assert "1 tests: chromium is not installed (chromium|" in output
    assert "1 tests: ffmpeg is not installed" in output
    assert "apt install mariadb-server redis-server chromium" in output


def test_missing_programs_fail_the_run_where_they_are_required(tmp_path: Path) -> None:
    _write(tmp_path, SOME_TESTS, BARE_MACHINE)
    process = _start(tmp_path, required="1", mysqld="")
    output = _output_of(process)
    assert process.returncode == pytest.ExitCode.USAGE_ERROR
    assert "REQUIRE_REAL_SERVERS is set, but mariadb is not installed" in output
    assert "passed" not in output


@pytest.mark.parametrize(
    ("version", "problem"),
    [
        (None, "mysql is not installed"),
        (
            "Ver 10.11.11-MariaDB for debian-linux-gnu",
            "mysql is another program: mysqld  Ver 10.11.11-MariaDB",
        ),
        ("Ver 5.7.44 for Linux", "mysql is too old: 5.7, needed: 8.0"),
    ],
)
def test_a_mysql_that_was_asked_for_and_is_none_ends_the_run(
    tmp_path: Path, version: str | None, problem: str
) -> None:
    """Debian's MariaDB brings a program of the name mysqld."""
    mysqld = tmp_path / "mysqld"
    if version is not None:
        mysqld.write_text(f"#!/bin/sh\necho 'mysqld  {version}'\n")
        mysqld.chmod(0o755)
    _write(tmp_path, "def test_it(): pass\n")
    process = _start(tmp_path, mysqld=str(mysqld))
    assert f"MYSQLD={mysqld}: {problem}" in _output_of(process)
    assert process.returncode == pytest.ExitCode.USAGE_ERROR


def test_an_unknown_tool_is_an_error_and_not_a_silent_pass(tmp_path: Path) -> None:
    _write(tmp_path, "import pytest\n@pytest.mark.needs('ffmepg')\ndef test_it(): pass\n")
    process = _start(tmp_path)
    assert "unknown tools: ffmepg" in _output_of(process)
    assert process.returncode == pytest.ExitCode.USAGE_ERROR


@pytest.mark.real
@pytest.mark.parametrize(
    ("sign", "workers"),
    [
        (signal.SIGKILL, "1"),
        (signal.SIGTERM, "0"),
        pytest.param(signal.SIGKILL, "0", marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, "1", marks=pytest.mark.long),
        pytest.param(signal.SIGINT, "0", marks=pytest.mark.long),
        pytest.param(signal.SIGINT, "1", marks=pytest.mark.long),
    ],
)
def test_however_the_run_ends_nothing_is_left(tmp_path: Path, sign: signal.Signals, workers: str) -> None:
    _write(tmp_path, HANGS)
    process = _start(tmp_path, "-n", workers)
    ready = tmp_path / "ready"
    wait_until(lambda: ready.exists() or process.poll() is not None, "the inner test", deadline_s=60)
    assert ready.exists(), _output_of(process)
    folder, *pids = ready.read_text().split()
    assert all(Path("/proc", pid).exists() for pid in pids)

    process.send_signal(sign)
    process.communicate(timeout=60)
    wait_until(lambda: not [pid for pid in pids if Path("/proc", pid).exists()], "everything to end")
    remaining = Path(folder)
    if sign == signal.SIGKILL:
        remove_dead_runs(remaining.parent)
    assert not remaining.exists()


def test_programs_hear_signals_even_where_the_tests_do_not() -> None:
    told = "print(*(signal.getsignal(n) != signal.SIG_IGN for n in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)))"
    command = hearing([sys.executable, "-c", f"import signal; {told}"])
    deaf = ["sh", "-c", "trap '' HUP INT QUIT; exec \"$@\"", "sh", *command]
    assert subprocess.run(deaf, capture_output=True, text=True, timeout=60).stdout == "True True True\n"


def test_only_the_folders_of_dead_runs_are_removed(tmp_path: Path) -> None:
    alive = RunFolder(tmp_path)
    (tmp_path / "run-dead").mkdir()
    (tmp_path / "run-dead" / "alive").touch()
    (tmp_path / "run-beginning").mkdir()
    assert remove_dead_runs(tmp_path) == ["run-dead"]
    assert alive.path.exists()
    assert (tmp_path / "run-beginning").exists()
    alive.remove()
    assert not alive.path.exists()


def test_a_port_belongs_to_one() -> None:
    first, second = Port(), Port()
    assert first.number != second.number
    second.release()
    first.release()


def test_the_mark_says_what_a_test_runs_on(request: pytest.FixtureRequest, shared_backend: Backend) -> None:
    """``-m real`` and ``-m "not real"`` choose by it."""
    assert (request.node.get_closest_marker("real") is not None) == shared_backend.is_real
