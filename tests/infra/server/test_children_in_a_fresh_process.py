"""The tests of child processes, in a process that has run no others: there a fork takes milliseconds."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.house.source import PROJECT


def test_they_pass_there() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-m", "long", "--noconftest"),
            *("-p", "no:cacheprovider", "tests/infra/server/test_child_processes.py"),
        ],
        cwd=PROJECT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    assert "12 passed" in done.stdout, done.stdout
