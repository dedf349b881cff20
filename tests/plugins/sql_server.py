"""A private MariaDB or MySQL with honest durability, in the run's folder (in memory, if there is room)."""

from __future__ import annotations

import secrets
import shlex
import shutil
import signal
import subprocess
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pymysql

from tests.plugins.polling import wait_until
from tests.plugins.processes import Port, end, spawn, tail_of
from tests.plugins.sql_product import TESTED, run_as
from tests.plugins.tools import program

# A per cent sign and an at sign in the URI: settings and migrations must not stumble over them.
_PASSWORD_IN_URI = "p%40ss%25"
_PASSWORD = "p@ss%"
_USER = "dt"
_START_S = 120


class SqlServer:
    """One server process with its own data, TCP port and Unix socket, which stay the same over restarts.

    A commit is on disk when it returns (``innodb_flush_log_at_trx_commit=1``). The server's time zone is China's, so
    that a time that was meant as UTC and is taken as local is seen. The user may do anything to databases ``dt_…``.

    :param template: an initialised data folder to copy, or where to put one if it does not exist yet.
    :param options: in place of the usual ones.
    """

    def __init__(self, folder: Path, *, template: Path, options: Sequence[str] = ()) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "server.log"
        self.socket = folder / "s"
        self._data = folder / "data"
        self._template = template
        self._more = options
        self.password = _PASSWORD + secrets.token_hex(8)
        self._port = Port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self._port.number

    @property
    def pid(self) -> int:
        assert self._process is not None, "not running"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def as_administrator(self) -> pymysql.Connection:
        """A connection, over the socket, that may do anything; the caller closes it."""
        return pymysql.connect(unix_socket=str(self.socket), user=TESTED.administrator, autocommit=True)

    def uri(self, database: str) -> str:
        """The SQLAlchemy URI of a database of this server, over TCP."""
        return database_uri(self.address(), database)

    def address(self) -> dict[str, str | int]:
        """Data with which another process uses this server; JSON-serializable."""
        return {"port": self.port, "password": self.password, "log": str(self.log), "pid": self.pid}

    def start(self) -> SqlServer:
        """Start with whatever data the folder holds; returns when the server answers."""
        self.begin()
        wait_for(self.address())
        return self

    def begin(self) -> None:
        """Start without waiting until it answers. A first start on the machine takes some seconds."""
        assert not self.is_running, "runs already"
        programs = [found for name in TESTED.programs if (found := program(name))]
        assert len(programs) == len(TESTED.programs), (
            f"{TESTED.name} is missing; mark the test with @pytest.mark.real"
        )
        # A server that starts removes what others have in the same folder for temporary tables, and they stop.
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        steps = [f"export TMPDIR={shlex.quote(str(temporary))}"]
        if not self._data.exists() and not self._template.exists():
            # Made aside and moved, so that a template is whole as soon as it is there.
            half = self._template.with_name(f"{self._template.name}-{uuid.uuid4().hex[:8]}")
            steps.append(TESTED.initialise(programs, half))
            steps.append(shlex.join(["mv", "-T", str(half), str(self._template)]))
        if not self._data.exists():
            steps.append(shlex.join(["cp", "-r", str(self._template), str(self._data)]))
        steps.append("exec " + shlex.join([programs[0], *self._options()]))
        self._process = spawn(["sh", "-c", " && ".join(steps)], log=self.log)

    def stop(self) -> None:
        """Orderly, as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Like ``kill -9``."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the process: connections are accepted, but nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def create_database(self, name: str | None = None) -> str:
        """A new, empty database; returns its URI."""
        name = name or f"dt_{uuid.uuid4().hex[:8]}"
        create_database(self.address(), name)
        return self.uri(name)

    def administer(self, statements: str) -> None:
        """Run statements, separated by semicolons, as the server's administrator."""
        with closing(self.as_administrator()) as connection, connection.cursor() as cursor:
            for statement in filter(None, statements.split(";")):
                cursor.execute(statement)

    def close(self) -> None:
        """Kill, remove the data and give the port back."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._port.release()

    def _end(self, sign: signal.Signals) -> None:
        assert self._process is not None, "not running"
        end(self._process, sign)
        self._process = None

    def _options(self) -> list[str]:
        users = self.folder / "users.sql"
        users.write_text(TESTED.users(_USER, self.password))
        return [
            "--no-defaults",
            *run_as(),
            f"--datadir={self._data}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--init-file={users}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--default-time-zone=+08:00",
            "--max-connections=300",
            "--innodb-flush-log-at-trx-commit=1",
            "--innodb-buffer-pool-size=128M",
            "--performance-schema=OFF",
            "--skip-log-bin",
            *TESTED.options,
            *self._more,
        ]


def wait_for(address: dict[str, str | int]) -> None:
    """Return when the server answers its user; raise with the end of its log when it died instead."""

    def answers() -> bool:
        try:
            _connect(address).close()
        except pymysql.err.OperationalError as error:
            if error.args[0] != 2003 and error.args[0] != 1045:
                raise
            # 1045: it answers already, but is still reading the file with the user.
        else:
            return True
        if not _is_alive(int(address["pid"])):
            raise AssertionError(f"{TESTED.name} ended at once:\n{tail_of(Path(str(address['log'])), 40)}")
        return False

    wait_until(answers, TESTED.name, deadline_s=_START_S, every_s=0.05)


def create_database(address: dict[str, str | int], name: str) -> None:
    """As production has it: the character set is the database's, not only the tables'."""
    _run(
        address,
        f"DROP DATABASE IF EXISTS `{name}`",
        f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    )


def drop_database(address: dict[str, str | int], name: str) -> None:
    _run(address, f"DROP DATABASE IF EXISTS `{name}`")


def database_uri(address: dict[str, str | int], name: str) -> str:
    password = str(address["password"]).replace(_PASSWORD, _PASSWORD_IN_URI, 1)
    return f"mysql+pymysql://{_USER}:{password}@127.0.0.1:{address['port']}/{name}?charset=utf8mb4"


def _run(address: dict[str, str | int], *statements: str) -> None:
    connection = _connect(address)
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        connection.close()


def _connect(address: dict[str, str | int]) -> pymysql.Connection:
    return pymysql.connect(
        host="127.0.0.1",
        port=int(address["port"]),
        user=_USER,
        password=str(address["password"]),
        connect_timeout=10,
        autocommit=True,
    )


def _is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
