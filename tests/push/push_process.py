"""A push process on a test's backend: ``python -m tests.push.push_process PORT FOLDER``."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from tests.plugins.polling import wait_until
from tests.plugins.processes import Port, end, spawn, tail_of

READY = "push is ready"
ROOT = Path(__file__).parents[2]


class Addresses(Protocol):
    """Servers of a push process: a `Backend`, or something like it."""

    @property
    def database_uri(self) -> str: ...
    @property
    def redis_uri(self) -> str: ...
    @property
    def cache_uri(self) -> str: ...
    @property
    def queue_uri(self) -> str: ...


class PushProcess:
    """One process; the port stays the same over `start` and `kill`.

    :param settings: as ``SECTION_KEY=value``.
    """

    def __init__(self, backend: Addresses, folder: Path, **settings: str) -> None:
        self._port = Port()
        self._folder = folder
        self._settings = settings
        self._backend = backend
        self._log = folder / f"push-{self._port.number}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port.number}"

    @property
    def port(self) -> int:
        return self._port.number

    @property
    def printed(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> PushProcess:
        """Start without waiting."""
        self._log.unlink(missing_ok=True)
        values = {
            "DATABASE_URI": self._backend.database_uri,
            "REDIS_URI": self._backend.redis_uri,
            "REDIS_CACHE_URI": self._backend.cache_uri,
            "REDIS_QUEUE_URI": self._backend.queue_uri,
        } | self._settings
        environ = {f"TEST_{name}": str(value) for name, value in values.items()}
        self.process = spawn(
            [sys.executable, "-m", "tests.push.push_process", str(self._port.number), str(self._folder)],
            log=self._log,
            cwd=ROOT,
            env=os.environ | environ,
        )
        return self

    def wait_until_ready(self) -> PushProcess:
        def is_ready() -> bool:
            assert self.process is not None and self.process.poll() is None, tail_of(self._log)
            return READY in self.printed

        wait_until(is_ready, f"push\n{tail_of(self._log)}", deadline_s=30)
        return self

    def kill(self) -> None:
        assert self.process is not None
        end(self.process)

    def close(self) -> None:
        if self.process is not None:
            end(self.process)
        self._port.release()


def _main() -> None:
    from datingtoday.app import make_parts
    from datingtoday.infra.logs import configure_logs
    from datingtoday.push.server import run_push
    from tests.plugins import api

    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    environ = {name[5:]: value for name, value in os.environ.items() if name.startswith("TEST_")}

    class Given:
        database_uri = environ.pop("DATABASE_URI")
        redis_uri = environ.pop("REDIS_URI")
        cache_uri = environ.pop("REDIS_CACHE_URI")
        queue_uri = environ.pop("REDIS_QUEUE_URI")

    configure_logs("info")
    settings = api.settings_of(Given, folder, **environ)  # type: ignore[arg-type]
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(2048)
    run_push(make_parts(settings), [listener], on_ready=lambda: print(READY, flush=True))


if __name__ == "__main__":
    _main()
