"""Choice of the store by the settings."""

from __future__ import annotations

from pathlib import Path

from datingtoday.infra.config.providers import StorageSection
from datingtoday.infra.storage.local import LocalStorage
from datingtoday.infra.storage.s3 import S3Access, S3Storage
from datingtoday.infra.storage.storage import Storage

LOCAL_FOLDER = "media"
"""Folder of the uploads inside the data folder."""


def make_storage(section: StorageSection, data_dir: Path) -> Storage:
    """The store that `[STORAGE]` describes. Touches neither disk nor network.

    ValueError, naming the key, if S3 is chosen without a bucket or with half of the credentials.
    """
    if section.provider == "local":
        return LocalStorage(Path(section.path) if section.path else data_dir / LOCAL_FOLDER)
    if not section.s3_bucket:
        raise ValueError("[STORAGE] s3_bucket: needed for provider = s3")
    if bool(section.s3_access_key) != bool(section.s3_secret_key):
        missing = "s3_secret_key" if section.s3_access_key else "s3_access_key"
        raise ValueError(f"[STORAGE] {missing}: needed beside its counterpart")
    return S3Storage(
        S3Access(
            bucket=section.s3_bucket,
            region=section.s3_region,
            endpoint=section.s3_endpoint or None,
            access_key=section.s3_access_key or None,
            secret_key=section.s3_secret_key or None,
        )
    )
