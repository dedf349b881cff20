"""The data folder: everything of the embedded default that must last, owned by one server at a time."""

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from datingtoday.infra.text import BilingualError

LOCK_FILE = "server.lock"


class EmbeddedError(BilingualError):
    """The data folder or its Redis cannot be used. One line in both languages that says what to do."""


class DataFolder:
    """A data folder in the sole possession of this process.

    The possession ends with the process, even with kill -9; children that were forked must call `forget`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._owner_pid = os.getpid()
        self._file: IO[str] | None = None

    def take(self, *, patience_s: float = 3.0) -> None:
        """Create the folder (0700) and take possession. Raises EmbeddedError when another server has it.

        `patience_s` is how long children of a server that has just died may still hold on to it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = open(self.path / LOCK_FILE, "a+", encoding="ascii")  # noqa: SIM115 - open as long as we own it
        except OSError as error:
            raise EmbeddedError(
                f"data folder {self.path} cannot be used: {error.strerror}; choose another with --data",
                f"数据目录 {self.path} 无法使用：{error.strerror}；请用 --data 指定其他目录",
            ) from None
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                pid = _first_number(self.path / LOCK_FILE)
                if (pid is None or not is_alive(pid)) and time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
                file.close()
                who = f"pid {pid}" if pid else "pid unknown"
                raise EmbeddedError(
                    f"data folder {self.path} is in use by another server ({who}); stop it, or use --data",
                    f"数据目录 {self.path} 正被另一个服务使用（{who}）；请停止它，或用 --data 另选目录",
                ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Give the folder back; does nothing in a forked child."""
        if self._file is not None and os.getpid() == self._owner_pid:
            self._file.truncate(0)
            self._file.close()
            self._file = None

    def forget(self) -> None:
        """In a forked child: let go, so that the folder is free once the parent ends."""
        if self._file is not None:
            # Without flushing and unlocking: the lock belongs to the parent as well.
            os.close(self._file.fileno())
            self._file = None


def is_in_use(data_dir: Path) -> bool:
    """True if a server uses this data folder now."""
    try:
        with open(data_dir / LOCK_FILE, encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def is_alive(pid: int) -> bool:
    """True if a process has this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _first_number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
