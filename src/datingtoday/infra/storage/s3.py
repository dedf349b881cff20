"""Uploads in an S3-compatible store (AWS, MinIO, Ceph, Aliyun OSS, Tencent COS …), through boto3."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from datingtoday.infra.config.settings import ConfigError
from datingtoday.infra.storage.storage import (
    CHUNK_BYTES,
    ObjectMissing,
    StorageError,
    checked_key,
    checked_range,
)

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from types_boto3_s3 import S3Client

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class S3Access:
    """Address and credentials of the store. The bucket exists already and is not public."""

    bucket: str
    region: str
    endpoint: str | None = None
    """URL; None: the one of AWS in the region."""
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    """Both None: boto3 looks for credentials itself (environment, role of the machine)."""
    addressing: Literal["auto", "path", "virtual"] = "auto"
    """`path`: the bucket stands in the path (MinIO, Ceph); `virtual`: in the host name (Aliyun OSS)."""


class S3Storage:
    """Objects under their key in one bucket. boto3 is loaded, and the connection made, at the first use."""

    def __init__(self, access: S3Access) -> None:
        """:raises ConfigError: boto3 is not installed."""
        if importlib.util.find_spec("boto3") is None:
            raise ConfigError(
                "[STORAGE] provider: boto3 is not installed; run `pip install -r requirements.txt` "
                "(or install datingtoday[s3])",
                "[STORAGE] provider：未安装 boto3；请运行 `pip install -r requirements.txt`（或安装 datingtoday[s3]）",
            )
        self._access = access
        self._client: S3Client | None = None
        self._lock = threading.Lock()

    def internal_path(self, key: str) -> None:
        checked_key(key)

    def put(self, key: str, content: bytes | Path, mime: str) -> None:
        checked_key(key)
        with _translated(key):
            if isinstance(content, bytes):
                self._s3().put_object(Bucket=self._access.bucket, Key=key, Body=content, ContentType=mime)
            else:
                with content.open("rb") as file:
                    self._s3().put_object(Bucket=self._access.bucket, Key=key, Body=file, ContentType=mime)

    def open_range(self, key: str, start: int = 0, end: int | None = None) -> _BodyStream:
        checked_key(key)
        checked_range(start, end)
        if start == end:
            self.size(key)  # An empty range cannot be asked for, but a missing object must still be told.
            return _BodyStream(None, key)
        with _translated(key):
            if start == 0 and end is None:
                answer = self._s3().get_object(Bucket=self._access.bucket, Key=key)
                return _BodyStream(answer["Body"], key)
            last = "" if end is None else end - 1
            try:
                answer = self._s3().get_object(
                    Bucket=self._access.bucket, Key=key, Range=f"bytes={start}-{last}"
                )
            except self._s3().exceptions.ClientError as error:
                if _code_of(error) == "InvalidRange":  # It begins at or after the end of the object.
                    return _BodyStream(None, key)
                raise
            return _BodyStream(answer["Body"], key)

    def size(self, key: str) -> int:
        checked_key(key)
        with _translated(key):
            return self._s3().head_object(Bucket=self._access.bucket, Key=key)["ContentLength"]

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except ObjectMissing:
            return False
        return True

    def delete(self, key: str) -> None:
        checked_key(key)
        with _translated(key):
            self._s3().delete_object(Bucket=self._access.bucket, Key=key)

    def remove_leftovers(self, before: datetime) -> int:
        """Nothing: an object appears in one request or not at all."""
        return 0

    def _s3(self) -> S3Client:
        # Clients are safe in threads, making one is not.
        with self._lock:
            if self._client is None:
                self._client = _connect(self._access)
            return self._client


def _connect(access: S3Access) -> S3Client:
    # Half a second and 30 MB that only those pay who store in S3.
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=access.endpoint,
        region_name=access.region,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            s3={"addressing_style": access.addressing},
            # Stores other than AWS refuse the trailing checksums that boto3 sends by default.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


class _BodyStream:
    def __init__(self, body: Any, key: str) -> None:
        self._body = body
        self._key = key

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._body is None:
            raise StopIteration
        try:
            with _translated(self._key):
                chunk: bytes = self._body.read(CHUNK_BYTES)
        except StorageError:
            self.close()
            raise
        if not chunk:
            self.close()
            raise StopIteration
        return chunk

    def close(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None


def _code_of(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def _translated(key: str) -> Iterator[None]:
    """The library's errors as ours. Theirs may hold addresses and bucket names."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = _code_of(error)
        if code in ("404", "NoSuchKey", "NotFound"):
            raise ObjectMissing(key) from None
        raise StorageError(f"the store answered {code or 'an error'}") from error
    except (BotoCoreError, OSError) as error:
        raise StorageError(f"the store cannot be reached ({type(error).__name__})") from error
