"""Failures that only a remote store has."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import boto3
import pytest

from datingtoday.infra.storage import s3
from datingtoday.infra.storage.s3 import S3Access, S3Storage
from datingtoday.infra.storage.storage import StorageError, new_key


def operations(storage: S3Storage) -> list[object]:
    key = new_key()
    return [
        lambda: storage.put(key, b"x", "image/jpeg"),
        lambda: storage.open_range(key),
        lambda: storage.size(key),
        lambda: storage.exists(key),
        lambda: storage.delete(key),
    ]


def test_the_type_is_kept(s3_access: S3Access) -> None:
    key = new_key()
    S3Storage(s3_access).put(key, b"x", "audio/mpeg")
    client = boto3.client(
        "s3",
        endpoint_url=s3_access.endpoint,
        region_name="us-east-1",
        aws_access_key_id="example-access",
        aws_secret_access_key="example-secret",
    )
    assert client.head_object(Bucket=s3_access.bucket, Key=key)["ContentType"] == "audio/mpeg"
    client.close()


def test_a_missing_bucket_is_a_failure_and_no_missing_object(s3_access: S3Access) -> None:
    storage = S3Storage(dataclasses.replace(s3_access, bucket="nobody-made-this"))
    with pytest.raises(StorageError, match="NoSuchBucket"):
        storage.put(new_key(), b"x", "image/jpeg")
    with pytest.raises(StorageError, match="NoSuchBucket"):
        storage.open_range(new_key())


def test_nobody_listens(s3_access: S3Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, not listening: refused at once
        storage = S3Storage(
            dataclasses.replace(s3_access, endpoint=f"http://127.0.0.1:{reserved.getsockname()[1]}")
        )
        for operation in operations(storage):
            with pytest.raises(StorageError) as caught:
                operation()  # type: ignore[operator]
            assert "example-secret" not in str(caught.value)
            assert s3_access.bucket not in str(caught.value)


def test_a_server_that_hangs_costs_the_timeout_only(
    s3_access: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    monkeypatch.setattr(s3, "READ_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        storage = S3Storage(
            dataclasses.replace(s3_access, endpoint=f"http://127.0.0.1:{server.getsockname()[1]}")
        )
        began = time.monotonic()
        with pytest.raises(StorageError, match="Timeout"):
            storage.size(new_key())
        assert time.monotonic() - began < 9, "not after the 10 s of production"


def test_a_connection_that_breaks_while_reading(s3_access: S3Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 1)

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 70_000)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        storage = S3Storage(
            dataclasses.replace(s3_access, endpoint=f"http://127.0.0.1:{server.getsockname()[1]}")
        )
        stream = storage.open_range(new_key())
        body = stream._body
        with pytest.raises(StorageError):
            list(stream)
        assert body._raw_stream.closed, "or the connection would be lost to the pool"
        assert list(stream) == []
        thread.join()


def test_boto3_is_loaded_by_those_only_who_need_it() -> None:
    program = (
        "import sys\n"
        "from datingtoday.infra.storage import make, s3\n"
        "s3.S3Storage(s3.S3Access(bucket='b', region='r'))\n"
        "print('boto3' in sys.modules, 'botocore' in sys.modules)\n"
    )
    source = Path(s3.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(source)},
    )
    assert done.stdout.split() == ["False", "False"]


def test_the_secret_is_not_shown() -> None:
    assert "hush" not in repr(S3Access(bucket="b", region="r", access_key="a", secret_key="hush"))
