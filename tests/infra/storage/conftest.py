"""The stores that the contract is tested on: a folder, and an S3 server of this process on loopback."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from datingtoday.infra.storage.local import LocalStorage
from datingtoday.infra.storage.s3 import S3Access, S3Storage
from datingtoday.infra.storage.storage import Storage


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_access(s3_endpoint: str) -> S3Access:
    bucket = f"media-{secrets.token_hex(4)}"
    access = S3Access(
        bucket=bucket,
        region="us-east-1",
        endpoint=s3_endpoint,
        access_key="example-access",
        secret_key="example-secret",
        addressing="path",
    )
    client = boto3.client(
        "s3",
        endpoint_url=access.endpoint,
        region_name=access.region,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
    )
    client.create_bucket(Bucket=bucket)
    client.close()
    return access


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return LocalStorage(tmp_path / "media")
    return S3Storage(request.getfixturevalue("s3_access"))
