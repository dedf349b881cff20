"""Failures that only a folder has."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from datingtoday.infra.storage.local import LocalStorage
from datingtoday.infra.storage.storage import StorageError, new_key

BETWEEN = datetime(2020, 1, 1, tzinfo=UTC)


def files_below(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_objects_lie_in_sharded_folders(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "media")
    key = "0123456789abcdef0123456789abcdef"
    storage.put(key, b"x", "image/jpeg")
    assert files_below(tmp_path) == [tmp_path / "media" / "01" / "23" / key]
    assert (tmp_path / "media" / storage.internal_path(key)).read_bytes() == b"x"


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = LocalStorage(tmp_path)
    old = new_key()
    storage.put(old, b"before", "image/jpeg")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    key = new_key()
    for one in (key, old):
        with pytest.raises(StorageError, match="No space left"):
            storage.put(one, b"after", "image/jpeg")
    assert not storage.exists(key)
    assert b"".join(storage.open_range(old)) == b"before"
    assert len(files_below(tmp_path)) == 1


def test_the_draft_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def noted_sync(handle: int) -> None:
        steps.append("sync folder" if Path(f"/proc/self/fd/{handle}").resolve().is_dir() else "sync file")
        sync(handle)

    def noted_replace(source: Path, target: Path) -> None:
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_replace)
    LocalStorage(tmp_path).put(new_key(), b"x", "image/jpeg")
    renamed = steps.index("rename")
    assert steps.index("sync file") < renamed
    assert steps[-1] == "sync folder" and len(steps) > renamed + 1


@pytest.mark.parametrize("as_file", [True, False])
def test_all_of_the_content_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_file: bool
) -> None:
    """A crash after the rename must not leave half an object: what is forced to the disk is the whole of it."""
    forced: list[int] = []
    sync = os.fsync

    def noted(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").resolve()
        if not path.is_dir():
            forced.append(path.stat().st_size)
        sync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    # Less than a buffer, and a buffer and a little.
    for size in (1, 5_000, 1_000_003):
        content = bytes(size)
        source = tmp_path / "source"
        source.write_bytes(content)
        LocalStorage(tmp_path / "media").put(new_key(), source if as_file else content, "image/jpeg")
    assert forced == [1, 5_000, 1_000_003]


def test_a_link_in_place_of_an_object_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    storage = LocalStorage(tmp_path / "media")
    key = new_key()
    path = tmp_path / "media" / storage.internal_path(key)
    path.parent.mkdir(parents=True)
    path.symlink_to(secret)
    with pytest.raises(StorageError):
        storage.open_range(key)


def test_strangers_on_the_machine_cannot_read(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "media")
    key = new_key()
    storage.put(key, b"x", "image/jpeg")
    path = tmp_path / "media" / storage.internal_path(key)
    assert path.stat().st_mode & 0o007 == 0
    assert path.parent.stat().st_mode & 0o007 == 0


def test_a_stream_lets_go_of_its_file(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    key = new_key()
    storage.put(key, b"x" * 200_000, "image/jpeg")

    def open_files() -> int:
        return sum(
            str(tmp_path) in os.readlink(f"/proc/self/fd/{name}")
            for name in os.listdir("/proc/self/fd")
            if os.path.lexists(f"/proc/self/fd/{name}")
        )

    stream = storage.open_range(key)
    next(stream)
    assert open_files() == 1
    stream.close()
    assert open_files() == 0
    assert len(b"".join(storage.open_range(key))) == 200_000
    assert open_files() == 0


def test_leftovers_of_dead_writers(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert storage.remove_leftovers(BETWEEN) == 0
    key = new_key()
    storage.put(key, b"kept", "image/jpeg")
    drafts = tmp_path / ".drafts"
    old, young = drafts / "old", drafts / "young"
    old.write_bytes(b"half")
    young.write_bytes(b"being written")
    os.utime(old, (1, 1))
    assert storage.remove_leftovers(BETWEEN) == 1
    assert not old.exists() and young.exists()
    assert storage.exists(key)


def test_no_descriptor_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = LocalStorage(tmp_path / "media")

    def refuse(*_: int) -> None:
        raise OSError(5, "Input/output error")

    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    key, before = new_key(), open_files()
    for _ in range(3):
        storage.put(key, b"x" * 100, "image/jpeg")
        assert (storage.size(key), storage.exists(key)) == (100, True)
        assert b"".join(storage.open_range(key, 5, 10)) == b"x" * 5
        with monkeypatch.context() as broken, pytest.raises(StorageError):
            broken.setattr(os, "lseek", refuse)
            storage.open_range(key)
        storage.delete(key)
        assert not storage.exists(key)
    assert open_files() == before


def test_folders_on_the_way_are_made_for_the_group(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        storage, key = LocalStorage(tmp_path / "one" / "two"), new_key()
        storage.put(key, b"x", "image/jpeg")
    finally:
        os.umask(before)
    path = tmp_path / "one" / "two" / storage.internal_path(key)
    assert path.stat().st_mode & 0o777 == 0o640
    folders = [folder for folder in path.parents if tmp_path in folder.parents]
    assert len(folders) == 4
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o750] * 4
