"""The programs outside Python that some tests need, and how they get onto a Debian machine.

For scripts/test-tools: ``python -m tests.plugins.tools`` prints the Debian packages of the missing ones, with
``servers`` only those of SQL server and Redis, and with ``node`` the folders where ``npm ci`` is to be run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.plugins.sql_product import TESTED

_ROOT = Path(__file__).parents[2]
# Where Debian puts servers; not on the PATH of ordinary users.
_MORE_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Tool:
    """Something tests may need: all of `programs` (alternatives separated by ``|``), from `packages` of Debian."""

    name: str
    programs: tuple[str, ...]
    packages: tuple[str, ...]
    minimum: tuple[int, int] | None = None
    """The oldest version that will do, as printed by ``--version`` of the first program."""
    is_meant: Callable[[str], bool] | None = None
    """True of what the first program prints of its version if it is the one that was meant, not a namesake."""
    is_for_root: bool = False
    """Used only by root, where namespaces may be made."""
    node_modules: str | None = None
    """A folder with a package-lock.json whose packages ``npm ci`` (of scripts/test-tools) has put beside it."""

    @property
    def has_programs(self) -> bool:
        return all(program(*names.split("|")) is not None for names in self.programs)

    @property
    def problem(self) -> str | None:
        """Reason why tests that need this tool cannot run, or None if they can."""
        missing = [names for names in self.programs if program(*names.split("|")) is None]
        if missing:
            return f"{self.name} is not installed ({', '.join(missing)})"
        if self.is_for_root and not _may_make_namespaces():
            return f"{self.name} needs root and namespaces"
        if self.node_modules is not None and not (_ROOT / self.node_modules / "node_modules").is_dir():
            return f"{self.name} is not installed (npm ci in {self.node_modules})"
        if self.minimum is None:
            return None
        printed = _printed_version(self.programs[0].split("|")[0])
        if self.is_meant is not None and not self.is_meant(printed):
            return f"{self.name} is another program: {printed.strip()}"
        found = _version(printed)
        if found is None or found < self.minimum:
            seen = "unknown" if found is None else "{}.{}".format(*found)
            return f"{self.name} is too old: {seen}, needed: {'{}.{}'.format(*self.minimum)}"
        return None


TOOLS = {
    tool.name: tool
    for tool in (
        Tool(TESTED.tool, TESTED.programs, TESTED.packages, TESTED.minimum, TESTED.has_version),
        Tool("redis", ("redis-server",), ("redis-server",), (7, 0)),
        Tool(
            "chromium",
            ("chromium|chromium-browser|google-chrome",),
            # Without CJK fonts a page in Chinese is a row of boxes.
            ("chromium", "fonts-noto-cjk"),
        ),
        Tool("ffmpeg", ("ffmpeg", "ffprobe"), ("ffmpeg",)),
        Tool("nginx", ("nginx",), ("nginx-light",)),
        Tool("supervisor", ("supervisord", "supervisorctl"), ("supervisor",)),
        Tool("logrotate", ("logrotate",), ("logrotate",)),
        Tool("systemd", ("systemd-analyze",), ("systemd",)),
        Tool(
            "mmdebstrap", ("mmdebstrap", "unshare", "nsenter"), ("mmdebstrap", "util-linux"), is_for_root=True
        ),
        Tool("curl", ("curl",), ("curl",)),
        Tool("openssl", ("openssl",), ("openssl",)),
        Tool("dash", ("dash",), ("dash",)),
        Tool("socket.io-client", ("node", "npm"), ("nodejs", "npm"), node_modules="tests/push/js"),
        Tool("playwright-core", ("node", "npm"), ("nodejs", "npm"), node_modules="tests/web/js"),
        Tool("newman", ("node", "npm"), ("nodejs", "npm"), node_modules="tests/web/newman"),
        Tool("redocly", ("node", "npm"), ("nodejs", "npm"), node_modules="tests/web/redocly"),
        Tool("typescript-client", ("node", "npm"), ("nodejs", "npm"), node_modules="clients/typescript"),
    )
}


@cache
def _may_make_namespaces() -> bool:
    command = ["unshare", "--mount", "--pid", "--net", "--fork", "true"]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0


def program(*names: str) -> str | None:
    """The path of the first of these programs that is there."""
    path = os.environ.get("PATH", os.defpath) + ":" + _MORE_FOLDERS
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


@cache
def _printed_version(name: str) -> str:
    binary = program(name)
    assert binary is not None
    return subprocess.run(
        [binary, "--no-defaults", "--version"] if name == TESTED.programs[0] else [binary, "--version"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    ).stdout


def _version(printed: str) -> tuple[int, int] | None:
    match = re.search(r"(?:v=|Ver\s+)(\d+)\.(\d+)", printed)
    return (int(match[1]), int(match[2])) if match else None


SERVERS = (TESTED.tool, "redis")


def problem_of(names: Iterable[str]) -> str | None:
    """Reason why something that needs these tools cannot run, or None if it can."""
    return "; ".join(problem for name in sorted(names) if (problem := TOOLS[name].problem)) or None


def missing_packages(names: Iterable[str] = TOOLS) -> list[str]:
    """Debian packages of the programs that are missing, among these tools."""
    return [
        package
        for tool in map(TOOLS.__getitem__, names)
        if tool.problem and not ((tool.node_modules or tool.is_for_root) and tool.has_programs)
        for package in tool.packages
    ]


def require_servers() -> None:
    """For programs that are no tests: end with the names of all servers that are missing, and how to get them."""
    if problem := problem_of(SERVERS):
        packages = " ".join(missing_packages(SERVERS))
        cure = f". On Debian or Ubuntu, as root: apt install {packages}" if packages else ""
        raise SystemExit(f"This needs a SQL server and Redis of its own: {problem}{cure}")


def node_folders() -> list[str]:
    """Folders whose packages of Node are missing."""
    return [tool.node_modules for tool in TOOLS.values() if tool.node_modules is not None and tool.problem]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["node"]:
            print(*node_folders())
        case ["servers"]:
            print(*missing_packages(SERVERS))
        case _:
            print(*missing_packages())
