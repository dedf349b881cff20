"""From settings to a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from datingtoday.infra.config.providers import StorageSection
from datingtoday.infra.storage.local import LocalStorage
from datingtoday.infra.storage.make import make_storage
from datingtoday.infra.storage.s3 import S3Storage


def test_the_default_is_the_data_folder(tmp_path: Path) -> None:
    storage = make_storage(StorageSection(), tmp_path)
    assert isinstance(storage, LocalStorage)
    assert storage.root == tmp_path / "media"
    assert not storage.root.exists()


def test_s3(tmp_path: Path) -> None:
    section = StorageSection(
        provider="s3", s3_bucket="b", s3_access_key="example-access", s3_secret_key="example-secret"
    )
    assert isinstance(make_storage(section, tmp_path), S3Storage)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "s3_bucket"),
        ({"s3_bucket": "b", "s3_access_key": "a"}, "s3_secret_key"),
        ({"s3_bucket": "b", "s3_secret_key": "s"}, "s3_access_key"),
    ],
)
def test_half_a_setting_is_named(tmp_path: Path, given: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=rf"\[STORAGE\] {named}"):
        make_storage(StorageSection(provider="s3", **given), tmp_path)
