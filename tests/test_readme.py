"""Every command of both READMEs works as printed.

Commands stand in ``sh`` blocks. The test runs them in a fresh copy of the project with a server of its own; the few
that it cannot run inside itself (the tests, the benchmark) are checked to exist and are run by `.ci/run` or by hand.
A command that this file does not know fails the test, so nobody adds one without saying how it is tested.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.polling import wait_until
from tests.plugins.processes import Port, end, spawn, tail_of

ROOT = Path(__file__).parents[1]
READMES = ["README.md", "README.zh-CN.md"]

# How each command is tested.
BY_CI = {"make test", "make check"}
DRY = {"make test-long", "make bench"}
SERVED = {"make run", ".venv/bin/datingtoday serve"}
INSTALL = {
    "python3 -m venv .venv",
    ".venv/bin/pip install -r requirements.txt",
    ".venv/bin/pip install --no-deps -e .",
}
RUN = {
    ".venv/bin/datingtoday --help",
    ".venv/bin/datingtoday config check",
    ".venv/bin/datingtoday db upgrade",
}
BY_HAND = "APPKEY="
"""The first word of the block that signs a request in the shell."""


def blocks(readme: str) -> list[list[str]]:
    """The lines of each ``sh`` block, without comments."""
    text = (ROOT / readme).read_text(encoding="utf-8")
    found = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [[re.sub(r"\s+#.*$", "", line) for line in block.splitlines() if line.strip()] for block in found]


@pytest.mark.parametrize("readme", READMES)
def test_every_command_is_known(readme: str) -> None:
    known = BY_CI | DRY | SERVED | INSTALL | RUN
    unknown = [
        line
        for block in blocks(readme)
        if not block[0].startswith(BY_HAND)
        for line in block
        if line not in known
    ]
    assert not unknown, f"{readme} has commands that no test runs: {unknown}"


def test_both_readmes_have_the_same_commands() -> None:
    assert blocks(READMES[0]) == blocks(READMES[1])


@pytest.mark.parametrize("command", sorted(BY_CI | DRY))
def test_make_targets_exist(command: str) -> None:
    done = subprocess.run(
        [*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if command in BY_CI:
        assert command in (ROOT / ".ci/run").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files that git tracks, with this environment's packages: as after ``make setup`` in a clone."""
    folder = tmp_path_factory.mktemp("copy") / "project"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, files.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    yield folder


@pytest.mark.needs("curl")
@pytest.mark.parametrize("command", sorted(SERVED))
def test_the_server_starts_and_the_shell_lines_work(copy: Path, command: str, tmp_path: Path) -> None:
    port = Port()
    log = tmp_path / "log"
    shutil.rmtree(copy / "data", ignore_errors=True)
    environ = {
        **os.environ,
        "PORT": str(port.number),
        "DATINGTODAY_SERVER_PORT": str(port.number),
    }
    server = spawn(["sh", "-c", f"exec {command}"], log=log, cwd=copy, env=environ)
    try:
        wait_until(lambda: "Ctrl-C" in log.read_text(), f"{command}\n{log.read_text()}", deadline_s=60)
        by_hand = "\n".join(next(block for block in blocks(READMES[0]) if block[0].startswith(BY_HAND)))
        script = by_hand.replace("127.0.0.1:8000", f"127.0.0.1:{port.number}")
        done = subprocess.run(["sh", "-ec", script], cwd=copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["code"] == 0, (answer, tail_of(log))
        assert answer["data"]["phone"] == "13800138000"
        assert re.fullmatch(r"[0-9]{6}", answer["data"]["code"])
    finally:
        # make itself ends by the signal, which it hands on to the server.
        assert end(server, signal.SIGTERM) in (0, -signal.SIGTERM), tail_of(log)
        wait_until(lambda: not _listens(port.number), f"{command} leaves the port", deadline_s=20)
        port.release()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("command", sorted(RUN))
def test_commands_of_a_deployment(copy: Path, command: str) -> None:
    done = subprocess.run(["sh", "-c", command], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)


@pytest.mark.long
def test_plain_pip_installs_what_is_needed(copy: Path, tmp_path: Path) -> None:
    """As the articles do it: a venv, requirements.txt, and the program runs."""
    folder = tmp_path / "plain"
    shutil.copytree(copy, folder, symlinks=True, ignore=shutil.ignore_patterns("data", ".venv"))
    block = next(block for block in blocks(READMES[0]) if block[0].startswith("python3 -m venv"))
    done = subprocess.run(
        ["sh", "-ec", "\n".join(block)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    assert "serve" in done.stdout
