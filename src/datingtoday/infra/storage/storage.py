"""The store of uploaded files: one small interface, on a folder (`local.py`) and on S3 services (`s3.py`).

Objects are written once under a random name, read by ranges and deleted; nothing lists or renames them, so
that every object store can carry it. What an object is (type, owner, size) is kept in the database.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

CHUNK_BYTES = 64 * 1024
"""Bytes of an object in memory while it is read."""

_KEY = re.compile(r"[0-9a-f]{32}(\.[a-z]{1,16})?")


class StorageError(Exception):
    """The store cannot do it now (unreachable, full, refused). The message names no secret."""


class ObjectMissing(Exception):
    """No object has this key."""


def new_key() -> str:
    """A name that nobody can guess: 128 random bits as 32 hex digits."""
    return secrets.token_hex(16)


def variant_key(key: str, variant: str) -> str:
    """The key of another form of the same object: ``<key>.thumb``; `variant` is 1..16 letters a-z."""
    return checked_key(f"{key}.{variant}")


def checked_key(key: str) -> str:
    """The key itself; ValueError for everything that `new_key` or `variant_key` could not have made."""
    if _KEY.fullmatch(key) is None:
        raise ValueError("not a storage key")
    return key


class ByteStream(Protocol):
    """The bytes of a range in chunks of at most `CHUNK_BYTES`. Close it if it is not read to its end."""

    def __iter__(self) -> Iterator[bytes]: ...

    def __next__(self) -> bytes: ...

    def close(self) -> None: ...


class Storage(Protocol):
    """All methods are safe in any number of threads and processes, raise ValueError for a malformed key and
    StorageError where the store fails."""

    def put(self, key: str, content: bytes | Path, mime: str) -> None:
        """Store the bytes, or the file at the path (it is copied).

        Afterwards the object is complete and durable; before, or after a crash, readers see nothing of it.
        An object that is there already is replaced as a whole.
        """

    def open_range(self, key: str, start: int = 0, end: int | None = None) -> ByteStream:
        """The bytes from `start` up to, not including, `end` (None: to the end), cut to what exists.

        ObjectMissing at once, not while reading; ValueError for a negative `start` or an `end` before it.
        """

    def size(self, key: str) -> int:
        """Bytes of the object; ObjectMissing."""

    def exists(self, key: str) -> bool: ...

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens if it is not there. Streams that are open may still end well."""

    def internal_path(self, key: str) -> str | None:
        """Path below the store's folder, for a web server that delivers files itself; None: no folder."""

    def remove_leftovers(self, before: datetime) -> int:
        """Remove what writes that died before that moment left behind; how many there were.

        Leave an hour to those that are under way.
        """


def checked_range(start: int, end: int | None) -> None:
    """ValueError unless it is a range that `open_range` takes."""
    if start < 0 or (end is not None and end < start):
        raise ValueError("not a range")
