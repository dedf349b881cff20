"""Uploads in a folder of this machine (or on a disk that all machines mount)."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from datingtoday.infra.storage.storage import (
    CHUNK_BYTES,
    ObjectMissing,
    StorageError,
    checked_key,
    checked_range,
)

_DRAFTS = ".drafts"


class LocalStorage:
    """Objects at ``<root>/ab/cd/<key>``: 65,536 folders, so that none grows beyond what tools can bear.

    A write goes to a draft beside them, is forced to the disk and then renamed, so that neither a crash nor a
    reader ever meets half an object. Files get mode 0640 and folders 0750 (less the umask): a web server that
    delivers them itself must be in the group.
    """

    def __init__(self, root: Path) -> None:
        """`root` is created at the first write."""
        self.root = root

    def internal_path(self, key: str) -> str:
        checked_key(key)
        return f"{key[:2]}/{key[2:4]}/{key}"

    def put(self, key: str, content: bytes | Path, mime: str) -> None:
        target = self.root / self.internal_path(key)
        drafts = self.root / _DRAFTS
        draft = drafts / secrets.token_hex(16)
        try:
            _make_folder(drafts)
            try:
                self._write(draft, content)
                _make_folder(target.parent)
                os.replace(draft, target)
            finally:
                draft.unlink(missing_ok=True)
            _sync_folder(target.parent)
        except OSError as error:
            raise StorageError(f"cannot write to the store: {error.strerror}") from error

    @staticmethod
    def _write(draft: Path, content: bytes | Path) -> None:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        with os.fdopen(handle, "wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                with content.open("rb") as source:
                    shutil.copyfileobj(source, file, CHUNK_BYTES)
            file.flush()
            os.fsync(file.fileno())

    def open_range(self, key: str, start: int = 0, end: int | None = None) -> _FileStream:
        checked_range(start, end)
        handle = self._open(key)
        try:
            os.lseek(handle, start, os.SEEK_SET)
            return _FileStream(handle, None if end is None else end - start)
        except OSError as error:
            os.close(handle)
            raise StorageError(f"cannot read from the store: {error.strerror}") from error

    def _open(self, key: str) -> int:
        # A link where an object should be would lead out of the folder.
        try:
            return os.open(self.root / self.internal_path(key), os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise ObjectMissing(key) from None
        except OSError as error:
            raise StorageError(f"cannot read from the store: {error.strerror}") from error

    def size(self, key: str) -> int:
        handle = self._open(key)
        try:
            return os.fstat(handle).st_size
        finally:
            os.close(handle)

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except ObjectMissing:
            return False
        return True

    def delete(self, key: str) -> None:
        path = self.root / self.internal_path(key)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot delete in the store: {error.strerror}") from error

    def remove_leftovers(self, before: datetime) -> int:
        removed = 0
        try:
            drafts = list((self.root / _DRAFTS).iterdir())
        except FileNotFoundError:
            return 0
        for draft in drafts:
            # Another process may sweep at the same time.
            with contextlib.suppress(FileNotFoundError):
                if draft.stat().st_mtime < before.timestamp():
                    draft.unlink()
                    removed += 1
        return removed


class _FileStream:
    def __init__(self, handle: int, length: int | None) -> None:
        self._file = os.fdopen(handle, "rb", buffering=0)
        self._left = length

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._file.closed:
            raise StopIteration
        wanted = CHUNK_BYTES if self._left is None else min(CHUNK_BYTES, self._left)
        try:
            chunk = self._file.read(wanted)
        except OSError as error:
            self.close()
            raise StorageError(f"cannot read from the store: {error.strerror}") from error
        if not chunk:
            self.close()
            raise StopIteration
        if self._left is not None:
            self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        self._file.close()


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    missing = [folder]
    while not missing[-1].parent.is_dir():
        missing.append(missing[-1].parent)
    for one in reversed(missing):
        one.mkdir(mode=0o750, exist_ok=True)
        # The name of a new folder is as much part of the object's path as its own.
        _sync_folder(one.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
