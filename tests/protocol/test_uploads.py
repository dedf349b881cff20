"""One file of a request, and how the signature covers it."""

from __future__ import annotations

import hashlib
import io
import secrets
from typing import Any

import pytest

from datingtoday.protocol import multipart_form
from tests.plugins.api import Answer, Api
from tests.protocol.lab import Lab
from tests.protocol.probe import MAX_FILE_BYTES

PATH = "/api/probe/file"
NO_FILE_PATH = "/api/probe/echo"
PHOTO = b"\xff\xd8\xff" + b"photo\r\n--\r\n" * 100


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def upload(
    client: Api,
    params: dict[str, str],
    *files: bytes,
    path: str = PATH,
    name: str = "file",
    file_first: bool = False,
) -> Answer:
    parts: dict[str, Any] = {name: [(io.BytesIO(data), "a.jpg") for data in files]}
    data = {**parts, **params} if file_first else {**params, **parts}
    return client.send("POST", path, data=data, content_type="multipart/form-data")


def signed_md5(client: Api, **own: str) -> dict[str, str]:
    return client.params("POST", PATH, own)


def signed_hmac(client: Api, file: bytes, **own: str) -> dict[str, str]:
    return client.params("POST", PATH, own, sign_method="hmac-sha256", file=file)


@pytest.mark.parametrize("data", [b"", b"x", PHOTO, b"\r\n", b"--", secrets.token_bytes(MAX_FILE_BYTES)])
@pytest.mark.parametrize("file_first", [True, False])
def test_a_file_arrives_as_it_was_sent(lab: Lab, data: bytes, file_first: bool) -> None:
    client = lab.client()
    answer = upload(client, signed_hmac(client, data, kind="photo"), data, file_first=file_first)
    assert answer.data["file"] == {"bytes": len(data), "sha256": sha256(data)}
    assert answer.data["params"]["kind"] == "photo"


def test_a_file_beyond_what_is_kept_in_memory(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart_form, "_FILE_IN_MEMORY_BYTES", 1000)
    client = lab.client()
    data = secrets.token_bytes(MAX_FILE_BYTES)
    assert upload(client, signed_hmac(client, data), data).data["file"]["sha256"] == sha256(data)


def test_hmac_covers_the_file(lab: Lab) -> None:
    client = lab.client()
    params = signed_hmac(client, PHOTO)
    assert upload(client, params, PHOTO + b"!").code == 500
    assert upload(client, params, b"").code == 500
    assert client.send("POST", PATH, params).code == 500
    # None of these used it up.
    assert upload(client, params, PHOTO).code == 0
    without = signed_hmac(client, b"")
    assert upload(client, without, PHOTO).code == 500
    assert client.send("POST", PATH, without).data["file"] is None


def test_hmac_with_a_digest_that_is_not_the_files(lab: Lab) -> None:
    client = lab.client()
    answer = upload(client, signed_hmac(client, PHOTO, fileSha256="0" * 64), PHOTO)
    assert (answer.code, answer.msg.split()[0]) == (300, "fileSha256")


def test_md5_needs_the_files_digest_among_the_signed_parameters(lab: Lab) -> None:
    client = lab.client()
    missing = upload(client, signed_md5(client), PHOTO)
    assert missing.code == 300
    assert missing.msg.startswith("fileSha256 is missing")

    params = signed_md5(client, fileSha256=sha256(PHOTO))
    assert upload(client, {**params, "fileSha256": sha256(b"other")}, b"other").code == 500
    wrong = upload(client, params, b"other")
    assert wrong.code == 300
    assert wrong.msg.startswith("fileSha256 is not valid")
    # Neither used it up.
    assert upload(client, params, PHOTO).code == 0
    assert upload(client, params, PHOTO).code == 1002


@pytest.mark.parametrize("digest", ["", "x", sha256(PHOTO)[:-1], sha256(PHOTO) + "0", sha256(PHOTO) + " "])
def test_md5_with_a_malformed_digest(lab: Lab, digest: str) -> None:
    client = lab.client()
    answer = upload(client, signed_md5(client, fileSha256=digest), PHOTO)
    assert answer.code == 300
    assert answer.msg.startswith("fileSha256 is not valid")


def test_the_digest_is_hex_in_either_case(lab: Lab) -> None:
    client = lab.client()
    assert upload(client, signed_md5(client, fileSha256=sha256(PHOTO).upper()), PHOTO).code == 0


def test_an_unsigned_file_digest_comes_after_the_freshness_and_before_the_signature(lab: Lab) -> None:
    client = lab.client()
    old = client.params("POST", PATH, {}, timestamp=str(lab.clock.ms - 70_000))
    assert upload(client, old, PHOTO).code == 1001
    assert upload(client, {**signed_md5(client), "sign": "0" * 32}, PHOTO).code == 300


@pytest.mark.parametrize("name", ["file", "other"])
def test_a_file_where_none_is_taken(lab: Lab, name: str) -> None:
    client = lab.client()
    params = client.params("POST", NO_FILE_PATH, {}, sign_method="hmac-sha256", file=PHOTO)
    answer = upload(client, params, PHOTO, path=NO_FILE_PATH, name=name)
    assert answer.code == 300
    assert answer.msg.startswith(f"{name} is a file")


def test_a_file_of_another_name(lab: Lab) -> None:
    client = lab.client()
    answer = upload(client, signed_hmac(client, PHOTO), PHOTO, name="photo")
    assert answer.code == 300
    assert answer.msg.startswith("photo is a file")
    assert "file" in answer.msg.rsplit(" ", 1)[1]


def test_a_second_file_or_a_parameter_of_the_same_name(lab: Lab) -> None:
    client = lab.client()
    twice = upload(client, signed_hmac(client, PHOTO), PHOTO, PHOTO)
    assert (twice.code, twice.msg.split(";")[0]) == (300, "file is given twice")
    for file_first in (True, False):
        parts: list[tuple[str, Any]] = [("file", (io.BytesIO(PHOTO), "a")), ("file", "text")]
        body = _body(parts if file_first else parts[::-1])
        answer = client.send("POST", PATH, data=body, content_type="multipart/form-data; boundary=B")
        assert (answer.code, answer.msg.split(";")[0]) == (300, "file is given twice")


def _body(parts: list[tuple[str, Any]]) -> bytes:
    found = b""
    for name, value in parts:
        found += f'--B\r\nContent-Disposition: form-data; name="{name}"'.encode()
        if isinstance(value, tuple):
            found += b'; filename="a"\r\n\r\n' + value[0].getvalue()
        else:
            found += b"\r\n\r\n" + value.encode()
        found += b"\r\n"
    return found + b"--B--"


def test_a_file_that_is_too_large_is_413(lab: Lab) -> None:
    client = lab.client()
    for size in (MAX_FILE_BYTES + 1, MAX_FILE_BYTES * 2):
        data = b"x" * size
        assert upload(client, signed_hmac(client, data), data).status == 413
        body = _body([("file", (io.BytesIO(data), "a"))])
        answer = client.send(
            "POST",
            PATH,
            input_stream=io.BytesIO(body),
            content_type="multipart/form-data; boundary=B",
            environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
        )
        assert (answer.status, answer.code) == (413, 413)


@pytest.mark.parametrize("refusal", ["wrong sign", "replayed", "malformed", "accepted"])
def test_the_file_is_closed_whatever_becomes_of_the_request(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    made: list[multipart_form.UploadedFile] = []

    class Watched(multipart_form.UploadedFile):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            made.append(self)

    monkeypatch.setattr(multipart_form, "UploadedFile", Watched)
    client = lab.client()
    params = signed_hmac(client, PHOTO)
    expected = 0
    if refusal == "wrong sign":
        params["sign"], expected = "0" * 64, 500
    elif refusal == "replayed":
        upload(client, params, PHOTO)
        expected = 1002
    if refusal == "malformed":
        body = _body([("file", (io.BytesIO(PHOTO), "a"))])[:-3]
        answer, expected = (
            client.send("POST", PATH, data=body, content_type="multipart/form-data; boundary=B"),
            300,
        )
    else:
        answer = upload(client, params, PHOTO)
    assert answer.code == expected
    assert made
    assert all(file.stream.closed for file in made)
