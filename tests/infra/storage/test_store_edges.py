"""Stores at their edges: what the file system refuses, what an S3 service answers, and what is swept away."""

from __future__ import annotations

import importlib.util
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from datingtoday.infra.config.settings import ConfigError
from datingtoday.infra.storage import local as local_module
from datingtoday.infra.storage.local import LocalStorage
from datingtoday.infra.storage.s3 import S3Access, S3Storage, _translated
from datingtoday.infra.storage.storage import ObjectMissing, StorageError, new_key

KEY = "0123456789abcdef0123456789abcdef"


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


class TestFolder:
    @pytest.fixture
    def broken(self, tmp_path: Path) -> LocalStorage:
        """A folder lies where an object should be."""
        (tmp_path / "01" / "23" / KEY / "x").mkdir(parents=True)
        return LocalStorage(tmp_path)

    def test_what_cannot_be_read_is_told_and_leaves_nothing_open(self, broken: LocalStorage) -> None:
        before = open_files()
        for end in (None, 5):
            with pytest.raises(StorageError, match=r"^cannot read from the store: Is a directory$"):
                broken.open_range(KEY, 0, end)
        assert open_files() == before

    def test_a_disk_that_fails_while_reading_ends_the_stream(self, tmp_path: Path) -> None:
        storage = LocalStorage(tmp_path)
        storage.put(KEY, b"x" * 100, "image/jpeg")
        before, stream = open_files(), storage.open_range(KEY)
        file = stream._file

        def read(_: int) -> bytes:
            raise OSError(5, "Input/output error")

        broken: Any = SimpleNamespace(read=read, closed=False, close=file.close)
        stream._file = broken
        with pytest.raises(StorageError, match=r"^cannot read from the store: Input/output error$"):
            next(stream)
        assert file.closed and open_files() == before

    def test_what_cannot_be_written_or_deleted_is_told(self, broken: LocalStorage) -> None:
        with pytest.raises(StorageError, match=r"^cannot write to the store: Is a directory$"):
            broken.put(KEY, b"x", "image/jpeg")
        with pytest.raises(StorageError, match=r"^cannot delete in the store: Is a directory$"):
            broken.delete(KEY)
        assert list((broken.root / ".drafts").iterdir()) == []

    def test_a_link_is_told_in_the_same_words(self, tmp_path: Path) -> None:
        storage = LocalStorage(tmp_path)
        (tmp_path / "01" / "23").mkdir(parents=True)
        (tmp_path / "01" / "23" / KEY).symlink_to("/etc/passwd")
        with pytest.raises(StorageError, match=r"^cannot read from the store: Too many levels"):
            storage.size(KEY)

    def test_drafts_that_are_older_than_that_moment_go(self, tmp_path: Path) -> None:
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        drafts = tmp_path / ".drafts"
        drafts.mkdir()
        for name, age_s in (("a", 1), ("b", 2), ("same", 0), ("later", -1)):
            (drafts / name).write_bytes(b"half")
            seconds = (moment - timedelta(seconds=age_s)).timestamp()
            os.utime(drafts / name, (seconds, seconds))
        assert LocalStorage(tmp_path).remove_leftovers(moment) == 2
        assert sorted(file.name for file in drafts.iterdir()) == ["later", "same"]

    def test_one_that_another_process_sweeps_is_not_counted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drafts = tmp_path / ".drafts"
        drafts.mkdir()
        for name in ("one", "two"):
            (drafts / name).write_bytes(b"half")
            os.utime(drafts / name, (1, 1))
        unlink = Path.unlink

        def slow(file: Path, **_: Any) -> None:
            if file.name == "one":
                unlink(file)
            unlink(file)

        monkeypatch.setattr(Path, "unlink", slow)
        assert LocalStorage(tmp_path).remove_leftovers(datetime.now(UTC)) == 1
        assert list(drafts.iterdir()) == []

    def test_the_names_of_new_folders_are_on_the_disk_also_where_another_makes_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[Path] = []
        sync = local_module._sync_folder

        def noted(folder: Path) -> None:
            synced.append(folder)
            # Another process puts an object beside this one.
            (tmp_path / "media" / "01").mkdir(exist_ok=True)
            sync(folder)

        storage = LocalStorage(tmp_path / "media")
        monkeypatch.setattr(local_module, "_sync_folder", noted)
        storage.put(KEY, b"x", "image/jpeg")
        media = tmp_path / "media"
        assert synced == [tmp_path, media, media / "01", media / "01" / "23"]
        assert b"".join(storage.open_range(KEY)) == b"x"


class TestS3:
    @pytest.mark.parametrize("code", ["404", "NoSuchKey", "NotFound"])
    def test_a_missing_object_by_any_of_its_codes(self, code: str) -> None:
        with pytest.raises(ObjectMissing, match=KEY), _translated(KEY):
            raise ClientError({"Error": {"Code": code}}, "GetObject")

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (ClientError({"Error": {"Code": "AccessDenied"}}, "x"), "the store answered AccessDenied"),
            (ClientError({"Error": {}}, "x"), "the store answered an error"),
            (ClientError({}, "x"), "the store answered an error"),
            (
                EndpointConnectionError(endpoint_url="http://secret"),
                "the store cannot be reached (EndpointConnectionError)",
            ),
            (ConnectionResetError("secret"), "the store cannot be reached (ConnectionResetError)"),
        ],
    )
    def test_failures_are_told_without_addresses(self, error: Exception, told: str) -> None:
        with pytest.raises(StorageError) as caught, _translated(KEY):
            raise error
        assert (str(caught.value), caught.value.__cause__) == (told, error)

    def test_a_fault_of_ours_is_no_failure_of_the_store(self) -> None:
        with pytest.raises(ZeroDivisionError), _translated(KEY):
            raise ZeroDivisionError

    def test_a_missing_library_is_told_with_the_command(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        with pytest.raises(ConfigError) as caught:
            S3Storage(S3Access(bucket="b", region="r"))
        assert caught.value.en == (
            "[STORAGE] provider: boto3 is not installed; run `pip install -r requirements.txt` "
            "(or install datingtoday[s3])"
        )
        assert caught.value.zh.startswith("[STORAGE] provider：未安装 boto3")

    def test_one_client_that_is_patient_and_asks_for_no_checksums(self) -> None:
        storage = S3Storage(S3Access(bucket="b", region="r", access_key="a", secret_key="s"))
        client: Any = storage._s3()
        assert storage._s3() is client
        options: Any = client.meta.config
        assert (options.connect_timeout, options.read_timeout) == (3, 10)
        assert options.retries == {"total_max_attempts": 3, "mode": "standard"}
        assert options.request_checksum_calculation == "when_required"
        assert options.response_checksum_validation == "when_required"
        client.close()

    def test_nothing_is_left_over_and_there_is_no_folder(self) -> None:
        storage = S3Storage(S3Access(bucket="b", region="r"))
        assert storage.remove_leftovers(datetime.now(UTC)) == 0
        storage.internal_path(new_key())
