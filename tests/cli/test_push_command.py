"""`datingtoday push`: a process of its own on servers of your own; not in the embedded default."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
import requests

from tests.cli.running_server import PROGRAM, clean_environ
from tests.cli.test_production import own_servers
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.processes import Port, end, spawn, tail_of
from tests.plugins.schema import bring_up


@pytest.mark.real
@pytest.mark.parametrize("backend", ["real"], indirect=True)
def test_it_listens_and_ends_in_order(backend: Backend, tmp_path: Path) -> None:
    bring_up(backend.database_uri)
    port, log = Port(), tmp_path / "push.log"
    settings = own_servers(backend) | {"DATA": str(tmp_path)}
    environ = clean_environ(**{f"DATINGTODAY_{name}": value for name, value in settings.items()})
    process = spawn([PROGRAM, "push", "--port", str(port.number)], log=log, cwd=tmp_path, env=environ)
    try:
        wait_until(lambda: "push: listening" in log.read_text(), f"push\n{tail_of(log)}", deadline_s=60)
        url = f"http://127.0.0.1:{port.number}"
        assert requests.get(f"{url}/healthz", timeout=10).json()["code"] == 0
        assert (
            requests.get(f"{url}/healthz", timeout=10, headers={"X-Forwarded-For": "1.2.3.4"}).status_code
            == 404
        )
        second = subprocess.run(
            [PROGRAM, "push", "--port", str(port.number)],
            capture_output=True,
            text=True,
            env=environ,
            cwd=tmp_path,
            check=False,
        )
        assert (second.returncode, "cannot listen" in second.stderr) == (1, True)
        assert end(process, signal.SIGTERM) == 0
    finally:
        end(process)
        port.release()


def test_the_embedded_default_has_its_own(tmp_path: Path) -> None:
    refused = subprocess.run(
        [PROGRAM, "push", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        env=clean_environ(),
        cwd=tmp_path,
        check=False,
    )
    assert refused.returncode == 1 and "datingtoday serve" in refused.stderr
