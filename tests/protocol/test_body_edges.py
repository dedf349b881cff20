"""Bodies of exactly the size that is allowed, and one byte more."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest

from datingtoday.protocol.errors import AppError, BodyTooLarge, ParameterError
from datingtoday.protocol.multipart_form import MultipartLimits, UploadedFile, read_multipart
from datingtoday.protocol.params import read_params

LIMITS = MultipartLimits(form_bytes=10, file_bytes=5, file_name="file")
URLENCODED = "application/x-www-form-urlencoded"


def part(name: str, value: str, *, file_name: str | None = None, headers: str = "") -> str:
    of_file = "" if file_name is None else f'; filename="{file_name}"'
    return f'Content-Disposition: form-data; name="{name}"{of_file}\r\n{headers}\r\n{value}\r\n'


def read(
    *parts: str, boundary: str = "b", limits: MultipartLimits = LIMITS, chunk: int = 65_536
) -> tuple[dict[str, str], UploadedFile | None]:
    body = "".join(f"--{boundary}\r\n{it}" for it in parts) + f"--{boundary}--\r\n"
    data = body.encode()
    return read_multipart([data[at : at + chunk] for at in range(0, len(data), chunk)], boundary, limits)


def test_fields_may_have_so_many_bytes_together() -> None:
    assert read(part("a", "1234"), part("b", "123456"))[0] == {"a": "1234", "b": "123456"}
    for chunk in (1, 7, 65_536):
        with pytest.raises(BodyTooLarge) as refused:
            read(part("a", "1234"), part("b", "1234567"), chunk=chunk)
        assert refused.value.values == {"limit_bytes": 10}


def test_the_file_may_have_so_many_bytes() -> None:
    params, file = read(part("a", "1234567890"), part("file", "12345", file_name="x.png"))
    assert params == {"a": "1234567890"}
    assert file is not None and (file.size_bytes, file.stream.read()) == (5, b"12345")
    assert (file.name, file.sha256) == ("file", hashlib.sha256(b"12345").hexdigest())
    file.stream.close()
    with pytest.raises(BodyTooLarge) as refused:
        read(part("file", "123456", file_name="x.png"))
    assert refused.value.values == {"limit_bytes": 5}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([part("file", "1", file_name="x"), part("other", "2", file_name="y")], "takes it as file"),
        ([part("file", "1", file_name="x"), part("file", "2", file_name="y")], "file is given twice"),
        ([part("file", "1", file_name="x"), part("file", "2")], "file is given twice"),
        ([part("a", "1"), part("a", "2")], "a is given twice"),
        ([part("a", "MQ==", headers="Content-Transfer-Encoding: BASE64\r\n")], "a is encoded"),
        ([part("a", "1", headers="Content-Type: image/png\r\n")], "takes it as file"),
    ],
)
def test_parts_that_are_not_taken(parts: list[str], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        read(*parts)


def test_without_a_file_the_endpoint_takes_none() -> None:
    none = MultipartLimits(form_bytes=10, file_bytes=0, file_name="file")
    assert read(part("file", "12"), limits=none)[0] == {"file": "12"}, "a parameter like any other"
    with pytest.raises(ParameterError, match="this endpoint takes no file"):
        read(part("file", "12", file_name="x"), limits=none)


@pytest.mark.parametrize(
    ("boundary", "taken"), [("b" * 200, True), ("b" * 201, False), ("", False), ("é", False)]
)
def test_boundaries(boundary: str, taken: bool) -> None:
    if taken:
        assert read(part("a", "1"), boundary=boundary)[0] == {"a": "1"}
    else:
        with pytest.raises(ParameterError, match="without a usable boundary"):
            read(part("a", "1"), boundary=boundary)


def test_headers_of_a_part_that_do_not_end() -> None:
    """What is no content yet is held in memory: only as much as a form may have, and two chunks."""
    with pytest.raises(BodyTooLarge) as refused:
        read(part("file", "1", file_name="x", headers=f"X: {'x' * 300_000}\r\n"))
    assert refused.value.values == {"limit_bytes": 10}
    for size, is_taken in ((60_000, True), (125_000, True), (140_000, False)):
        sent = part("a", "1", headers=f"X: {'x' * size}\r\n")
        if is_taken:
            assert read(sent)[0] == {"a": "1"}
        else:
            with pytest.raises(BodyTooLarge):
                read(sent)


def environ(body: bytes = b"", **more: Any) -> dict[str, Any]:
    return {"wsgi.input": io.BytesIO(body), "CONTENT_TYPE": URLENCODED, **more}


def chunked(body: bytes, **more: Any) -> dict[str, Any]:
    of_server = {"HTTP_TRANSFER_ENCODING": "Chunked", "wsgi.input_terminated": True}
    return environ(body, **of_server, **more)


def params_of(sent: dict[str, Any], *, limit: int = 20) -> dict[str, str]:
    return read_params(sent, max_form_bytes=limit)[0]


def test_a_form_of_exactly_the_limit() -> None:
    body = b"a=" + b"1" * 18
    assert params_of(environ(body, CONTENT_LENGTH="20")) == params_of(chunked(body)) == {"a": "1" * 18}
    for sent in (environ(body + b"1", CONTENT_LENGTH="21"), chunked(body + b"1")):
        with pytest.raises(BodyTooLarge) as refused:
            params_of(sent)
        assert refused.value.values == {"limit_bytes": 20}


def test_a_body_that_ends_early() -> None:
    with pytest.raises(ParameterError, match="shorter than Content-Length"):
        params_of(environ(b"a=1", CONTENT_LENGTH="4"))
    assert params_of(environ(b"a=1&b=2", CONTENT_LENGTH="3")) == {"a": "1"}, "the rest is the next request's"


@pytest.mark.parametrize(
    ("length", "error"),
    [
        ("9" * 18, BodyTooLarge),
        ("9" * 19, ParameterError),
        ("1_0", ParameterError),
        ("٣", ParameterError),
        ("-1", ParameterError),
    ],
)
def test_lengths(length: str, error: type[AppError]) -> None:
    with pytest.raises(error):
        params_of(environ(b"a=1", CONTENT_LENGTH=length))


def test_a_hundred_parameters_with_an_ampersand_at_the_end() -> None:
    hundred = "&".join(f"a{number}=%31" for number in range(100))
    for query in (hundred, f"{hundred}&"):
        assert len(params_of({"QUERY_STRING": query})) == 100
    for query in (f"{hundred}&b=1", f"{hundred}&&"):
        with pytest.raises(ParameterError, match="more than 100 parameters"):
            params_of({"QUERY_STRING": query})


def test_a_body_of_another_type() -> None:
    assert params_of(chunked(b"", CONTENT_TYPE="application/json", QUERY_STRING="a=1")) == {"a": "1"}
    assert params_of(environ(b"x", CONTENT_TYPE="application/json", QUERY_STRING="a=1")) == {"a": "1"}, (
        "no body"
    )
    for sent in (
        chunked(b"{}", CONTENT_TYPE="application/json"),
        environ(b"{}", CONTENT_LENGTH="2", CONTENT_TYPE="application/json"),
    ):
        with pytest.raises(AppError) as refused:
            params_of(sent)
        assert refused.value.http_status == 415
    for encoding, code in (("identity", None), ("Identity ", None), ("gzip", 415)):
        sent = environ(b"a=1", CONTENT_LENGTH="3", HTTP_CONTENT_ENCODING=encoding)
        if code is None:
            assert params_of(sent) == {"a": "1"}
        else:
            with pytest.raises(AppError) as refused:
                params_of(sent)
            assert refused.value.http_status == code
            assert refused.value.headers == {"Accept-Encoding": "identity"}


def test_a_form_with_a_file_may_have_16_kib_for_its_boundaries_and_headers() -> None:
    for length, said in ((20 + 5 + 16_384, "shorter than Content-Length"), (20 + 5 + 16_385, None)):
        sent = environ(b"", CONTENT_LENGTH=str(length), CONTENT_TYPE="multipart/form-data; boundary=b")
        with pytest.raises(AppError) as refused:
            read_params(sent, max_form_bytes=20, max_file_bytes=5)
        if said is None:
            assert refused.value.values == {"limit_bytes": 16_409}
        else:
            assert said in str(refused.value)


def test_unless_it_is_said_no_file_is_taken() -> None:
    body = f"--b\r\n{part('file', '', file_name='x')}--b--\r\n".encode()
    sent = environ(body, CONTENT_LENGTH=str(len(body)), CONTENT_TYPE="multipart/form-data; boundary=b")
    with pytest.raises(ParameterError, match="this endpoint takes no file"):
        read_params(sent, max_form_bytes=1_000)
