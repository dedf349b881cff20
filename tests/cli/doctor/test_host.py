"""Findings about this host: room on its disks, its clock, and a store that does not keep what it is given."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from datingtoday.infra.storage.local import LocalStorage
from datingtoday.infra.storage.storage import StorageError
from tests.cli.doctor.conftest import examined, fix_of, load, states

GIB = 2**30


@pytest.mark.parametrize(
    ("free", "total", "state"),
    [
        (GIB, 20 * GIB, "ok"),
        (GIB - 1, 2 * GIB, "warning"),
        (5 * GIB, 100 * GIB, "ok"),
        (5 * GIB - 1, 100 * GIB, "warning"),
    ],
)
def test_room_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, total: int, state: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free, total=total))
    found = examined(load(tmp_path / "data", STORAGE_PATH=str(tmp_path)), "storage")
    assert states(found)["storage.room"] == state
    assert found["storage.room"][0].message == (
        f"{free / GIB:.1f} GiB free on {tmp_path}",
        f"{tmp_path} 剩余 {free / GIB:.1f} GiB",
    )


@pytest.mark.parametrize(("answer", "state"), [(0, "ok"), (4, "ok"), (5, "warning"), (None, "ok")])
def test_the_kernel_says_whether_its_clock_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int | None, state: str
) -> None:
    def library(*_: Any, **__: Any) -> Any:
        if answer is None:
            raise OSError
        return SimpleNamespace(adjtimex=lambda _: answer)

    monkeypatch.setattr(ctypes, "CDLL", library)
    [finding] = examined(load(tmp_path), "clock")["clock.synchronized"]
    assert finding.state == state
    assert ("does not say" in finding.message.en) is (answer is None)


class Forgetful(LocalStorage):
    """A store with a fault of its own."""

    fault = ""

    def open_range(self, *arguments: Any, **options: Any) -> Any:
        if self.fault == "read":
            raise StorageError("told to fail")
        kept = super().open_range(*arguments, **options)
        return self.changed(kept) if self.fault == "changes" else kept

    @staticmethod
    def changed(chunks: Any) -> Iterator[bytes]:
        yield b"".join(chunks)[:-1]

    def put(self, *arguments: Any, **options: Any) -> None:
        if self.fault == "written":
            raise StorageError("told to fail")
        super().put(*arguments, **options)

    def delete(self, key: str) -> None:
        if self.fault == "deleted":
            raise StorageError("told to fail")
        if self.fault != "keeps":
            super().delete(key)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("written", "an object cannot be written: told to fail"),
        ("read", "an object cannot be read: told to fail"),
        ("deleted", "an object cannot be deleted: told to fail"),
        ("changes", "an object is not what was written"),
        ("keeps", "or stays after its deletion"),
        ("", "written, read and deleted an object in"),
    ],
)
def test_a_store_with_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, said: str) -> None:
    monkeypatch.setattr(Forgetful, "fault", fault)
    monkeypatch.setattr(
        "datingtoday.cli.doctor.storage_checks.make_storage", lambda *_: Forgetful(tmp_path / "media")
    )
    monkeypatch.setattr("datingtoday.cli.doctor.storage_checks.LocalStorage", Forgetful)
    (tmp_path / "media").mkdir()
    found = examined(load(tmp_path / "data", STORAGE_PATH=str(tmp_path / "media")), "storage")
    [finding] = found["storage.objects"]
    assert said in finding.message.en and finding.state == ("error" if fault else "ok")
    if fault:
        assert fix_of(found, "storage.objects").endswith(f"-m 0750 {tmp_path}/media")
