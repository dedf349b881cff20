"""The program as ``pip install`` leaves it: from a built wheel, in an environment and a folder without the checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from datingtoday.cli.deploying.files import TEMPLATES
from datingtoday.infra.migrations import head
from tests.cli.running_server import RunningServer, clean_environ

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    result = subprocess.run(
        [sys.executable, "-c", build, folder], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return folder / result.stdout.strip().splitlines()[-1]


def test_it_has_the_templates_of_a_deployment(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for template in TEMPLATES.values():
        assert f"datingtoday/cli/deploying/templates/{template}" in names


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in a fresh environment; what it depends on is that of the tests."""
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
    python = folder / "bin" / "python"
    install = [
        str(Path(sys.executable).with_name("uv")),
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
    ]
    subprocess.run([*install, "--no-index", "--python", str(python), str(wheel)], check=True, timeout=120)
    (packages,) = folder.glob("lib/python*/site-packages")
    # A line of a .pth file adds a folder, but not what that folder's own .pth files add: not the checkout.
    (packages / "tests.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin" / "datingtoday"


@pytest.fixture(scope="module")
def server(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("served") / "data", program=installed)
    yield running.wait_until_ready()
    running.end()


def run(program: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments],
        cwd=cwd,
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_wheel_holds_the_package_and_the_migrations(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}
    package = ROOT / "src/datingtoday"
    expected = {file.relative_to(package.parent) for file in package.rglob("*") if file.is_file()}
    expected |= {Path("datingtoday") / file.relative_to(ROOT) for file in (ROOT / "migrations").rglob("*.*")}
    assert packed == {file.as_posix() for file in expected if "__pycache__" not in file.parts}


def test_it_is_this_installation_that_runs(installed: Path, tmp_path: Path) -> None:
    where = "import datingtoday.infra.migrations as m; print(m.__file__, m.FOLDER)"
    printed = subprocess.run(
        [installed.with_name("python"), "-c", where], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert all(path.startswith(str(installed.parents[1])) for path in printed.split())
    assert str(ROOT) not in printed


def test_it_serves_with_everything_that_belongs_to_it(server: RunningServer) -> None:
    for path, text in {
        "/": "DatingToday",
        "/docs/": "docs.js",
        "/docs/signing.js": "sign",
        "/openapi.json": "/api/auth/login",
        "/demo/": "<script",
        "/healthz": "success",
        "/readyz": "up",
    }.items():
        answer = requests.get(server.url + path, timeout=30)
        assert (answer.status_code, text in answer.text) == (200, True), path


def test_its_commands_work(installed: Path, server: RunningServer, tmp_path: Path) -> None:
    data = ("--data", str(server.data))
    current = run(installed, "db", "current", *data, cwd=tmp_path)
    assert (current.returncode, current.stdout) == (0, f"database: {head()}\nnewest: {head()}\n")
    script = run(installed, "db", "sql", cwd=tmp_path)
    assert script.stdout == (ROOT / "datingtoday.sql").read_text(encoding="utf-8")
    seeded = run(installed, "seed", "--users", "3", *data, cwd=tmp_path)
    assert seeded.returncode == 0, seeded.stderr


@pytest.mark.parametrize("command", [("docs", "check"), ("docs", "write"), ("db", "new", "something")])
def test_commands_for_developers_say_that_they_need_the_checkout(
    installed: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    before = sorted(installed.parents[1].rglob("*.*"))
    result = run(installed, *command, cwd=tmp_path)
    assert result.returncode == 1
    assert "run it in a checkout" in result.stderr
    assert sorted(path for path in installed.parents[1].rglob("*.*") if path.suffix != ".pyc") == [
        path for path in before if path.suffix != ".pyc"
    ]
