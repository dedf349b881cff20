"""The benchmarks run: with tiny numbers and however busy the machine is, so that what they say means nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins import tools
from tests.plugins.sql_product import TESTED

ROOT = Path(__file__).parents[1]
TINY = ["--runs", "1", "--seconds", "0.1", "--any-noise", "--json"]


def run(*arguments: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", *arguments, *TINY],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, object] = json.loads(done.stdout)
    return told


# A machine on which nothing but Python is installed.
BARE_MACHINE = """
import runpy, sys
from tests.plugins import tools
tools.program = lambda *names: None
runpy.run_module(sys.argv.pop(1), run_name="__main__")
"""
MISSING = (
    "mariadb is not installed (mariadbd, mariadb-install-db); redis is not installed (redis-server). "
    "On Debian or Ubuntu, as root: apt install mariadb-server redis-server\n"
)


@pytest.mark.parametrize("module", ["benchmarks", "benchmarks.push", "tests.chat.chaos"])
def test_missing_servers_are_named_with_the_packages_that_bring_them(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BARE_MACHINE, module],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "MYSQLD": ""},
    )
    assert done.returncode == 1
    assert done.stderr.endswith(MISSING), done.stderr
    assert "Traceback" not in done.stderr


def test_make_bench_installs_servers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.run(
        ["make", "--dry-run", "bench", "ARGS="],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    install, first, *_ = [line for line in done.stdout.splitlines() if "setup" not in line]
    assert install == "scripts/test-tools servers"
    assert first.split()[1:] == ["-m", "benchmarks"]
    monkeypatch.setattr(tools, "program", lambda *names: None)
    assert tools.missing_packages(tools.SERVERS) == [*TESTED.packages, "redis-server"]


@pytest.mark.long
@pytest.mark.real
def test_of_discovery() -> None:
    told = run("benchmarks.discovery", "--users", "10000", "--viewers", "60")
    report = told["10000"]
    assert isinstance(report, dict)
    assert all(case["per_second"] > 0 and case["cpu_us"] > 0 for case in report["cases"].values())
    assert {
        "bare Flask hello",
        "hot list, page 500, cursor",
        "nearby, countryside",
        "search, 3 filters",
    } <= set(report["cases"])
    assert report["cases"]["bare Flask hello"]["ratio"] == 1
    size = report["bytes_per_user"]
    assert 500 < size["sql"] < 20_000 and 50 < size["redis"] < 5_000
    assert size["sql_tables"]["user_info"] > 50


@pytest.mark.long
@pytest.mark.real
def test_of_the_protocol() -> None:
    told = run("benchmarks")
    cases = told["cases"]
    assert isinstance(cases, dict)
    assert cases["signed + token no-op"]["to_token_noop"] == 1
    assert "show of a peer, cold" in cases


@pytest.mark.long
@pytest.mark.real
def test_of_chat() -> None:
    told = run("benchmarks.chat", "--stored", "20000")
    sending, reading = told["sending"], told["reading"]
    assert isinstance(sending, dict) and isinstance(reading, dict)
    assert set(sending) == {f"{count} senders, {how}" for count in (8, 32) for how in ("spread", "to one")}
    assert all(case["http_per_second"] > 0 and case["bare_cpu_us"] > 0 for case in sending.values())
    assert {"newest 10", "sync of 50", "sync of 200", "empty sync"} == set(reading)
