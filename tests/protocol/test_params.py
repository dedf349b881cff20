"""Parameter parsing, against generated input."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datingtoday.protocol.errors import AppError, BodyTooLarge, ParameterError, UnsupportedMediaType
from datingtoday.protocol.language import lang_of
from datingtoday.protocol.multipart_form import UploadedFile
from datingtoday.protocol.params import read_params
from datingtoday.protocol.plain_query import plain_params

FORM = "application/x-www-form-urlencoded"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
PARAMS = st.dictionaries(TEXTS, TEXTS, max_size=8)
LATIN = st.text(st.characters(max_codepoint=255), max_size=80)
LIMITS: dict[str, Any] = {"max_form_bytes": 4096, "max_file_bytes": 4096}


def environ_of(body: bytes = b"", content_type: str = "", query: str = "", **more: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "QUERY_STRING": query,
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        **more,
    }


def multipart(params: dict[str, str], boundary: str, file: bytes | None = None) -> bytes:
    """As browsers write it: quotes and line ends in names are percent-encoded."""
    body = b""
    for name, value in params.items():
        escaped = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{escaped}"\r\n\r\n'.encode()
        body += value.encode() + b"\r\n"
    if file is not None:
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'.encode()
        body += file + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


@given(PARAMS, st.sampled_from([quote, quote_plus]))
@example({"": ""}, quote)
@example({"a b": "+&=%41 你😀\x00"}, quote_plus)
def test_urlencoded_parameters_come_back(params: dict[str, str], via: Any) -> None:
    encoded = urlencode(params, quote_via=via)
    expected = params if encoded else {}
    # A pair that is empty on both sides is written as "=".
    assert read_params(environ_of(query=encoded), **LIMITS) == (expected, None)
    assert read_params(environ_of(encoded.encode(), FORM), **LIMITS) == (expected, None)


@given(st.text("ab1=&", max_size=60))
@example("&".join(f"{number}=" for number in range(300)))
@example("a=1&a=1")
@example("a&b=")
def test_what_is_not_escaped_is_read_as_what_is(query: str) -> None:
    def read(text: str) -> Any:
        try:
            return read_params(environ_of(query=text), **LIMITS)[0]
        except ParameterError as error:
            return str(error)

    plain, escaped = read(query), read(f"{query}&%7A=")
    if isinstance(escaped, dict):
        escaped.pop("z")
    assert plain == escaped


PIECES = st.sampled_from(
    [
        "a",
        "b=",
        "=",
        "&",
        "+",
        "%",
        "%4",
        "%41",
        "%2B",
        "%26",
        "%25",
        "%e4%bd%a0",
        "%E4%BD",
        "%ff",
        "%zz",
        "你",
        "\xff",
    ]
)


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=12).map("".join) | LATIN)
def test_a_plain_form_is_read_as_urllib_does(form: str) -> None:
    plain = plain_params(form)
    if plain is not None:
        assert list(plain.items()) == parse_qsl(form, keep_blank_values=True, errors="strict")


def test_escaped_values_are_plain_and_escaped_names_are_not() -> None:
    plain = plain_params("a=%E4%BD%A0%e5%A5%BD+%4%41%%41%&b=")
    assert plain == {"a": "你好 %4A%A%", "b": ""}
    for form in ("a%41=1&aA=2", "a=1&a=%31", "a=%E4&b=%BD%A0", "a=%ff", "a=你", "a", "a=1&&b=2"):
        assert plain_params(form) is None


@given(PARAMS)
def test_what_need_not_be_escaped_comes_back_unescaped(params: dict[str, str]) -> None:
    plain = {
        name: value for name, value in params.items() if name and not set(name + value) & set("&=%+#\r\n")
    }
    encoded = "&".join(f"{name}={value}" for name, value in plain.items()).encode()
    assert read_params(environ_of(encoded, FORM), **LIMITS)[0] == plain
    assert read_params(environ_of(query=encoded.decode("latin-1")), **LIMITS)[0] == plain


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters='"\\%;'), max_size=20
)


@given(
    st.dictionaries(NAMES, TEXTS, max_size=6).filter(lambda params: "file" not in params),
    st.none() | st.binary(max_size=3000),
    st.integers(1, 200),
)
def test_multipart_parameters_and_the_file_come_back_in_any_pieces(
    params: dict[str, str], file: bytes | None, piece_bytes: int
) -> None:
    body = multipart(params, "----Boundary", file)

    class Pieces(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or piece_bytes, piece_bytes))

    environ = environ_of(body, 'multipart/form-data; boundary="----Boundary"')
    environ["wsgi.input"] = Pieces(body)
    found, uploaded = read_params(environ, **LIMITS)
    content = None
    if uploaded is not None:
        with uploaded.stream as stream:
            content = stream.read()
    assert (found, content) == (params, file)


@given(PARAMS.filter(bool), st.data())
def test_any_name_twice_is_refused(params: dict[str, str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(params)))
    pairs = [*params.items(), (name, data.draw(TEXTS))]
    for environ in (environ_of(query=urlencode(pairs)), environ_of(urlencode(pairs).encode(), FORM)):
        with pytest.raises(ParameterError):
            read_params(environ, **LIMITS)


@given(st.binary(max_size=200))
def test_a_query_is_read_strictly_or_refused(raw: bytes) -> None:
    """Strict UTF-8: nothing is replaced, dropped or made up."""
    try:
        found, _ = read_params(environ_of(query=raw.decode("latin-1")), **LIMITS)
    except AppError:
        return
    again, _ = read_params(environ_of(query=urlencode(found)), **LIMITS)
    assert again == found
    assert "\ufffd" not in "".join(found) or b"%EF%BF%BD" in raw.upper() or b"\xef\xbf\xbd" in raw


CONTENT_TYPES = st.sampled_from(
    [
        FORM,
        "multipart/form-data; boundary=B",
        "multipart/form-data; boundary=",
        "multipart/form-data",
        "multipart/form-data; boundary*=utf-8''B; charset=gbk",
        "application/json",
        "",
    ]
)
PART_BYTES = st.sampled_from(
    [
        b"--B", b"--B--", b"\r\n", b"\n", b"\r\n\r\n", b"a=1", b"&", b"%ff", b"\xff", b"\x00", b"--", b" ",
        b'Content-Disposition: form-data; name="a"', b'Content-Disposition: form-data; name="file"; filename="f"',
        b"Content-Disposition: form-data", b"Content-Disposition: form-data; name*=utf-8''%ff", b"Content-Type: x",
        b'Content-Disposition: form-data; name="\xff"', b"Content-Disposition", b": ", b"x" * 1000,
    ]
)  # fmt: skip
BODIES = st.binary(max_size=300) | st.lists(PART_BYTES | st.binary(max_size=5), max_size=25).map(b"".join)


@settings(max_examples=400)
@given(
    body=BODIES,
    content_type=CONTENT_TYPES | LATIN,
    query=LATIN,
    length=st.none() | st.integers(-5, 9000).map(str) | LATIN,
    transfer=st.none() | st.sampled_from(["chunked", "gzip, Chunked", ""]) | LATIN,
    terminated=st.booleans(),
    file_bytes=st.sampled_from([0, 50, 4096]),
)
def test_nothing_but_an_apperror_comes_of_any_request(
    body: bytes,
    content_type: str,
    query: str,
    length: str | None,
    transfer: str | None,
    terminated: bool,
    file_bytes: int,
) -> None:
    environ = environ_of(body, content_type, query)
    if length is not None:
        environ["CONTENT_LENGTH"] = length
    if transfer is not None:
        environ["HTTP_TRANSFER_ENCODING"] = transfer
        environ.pop("CONTENT_LENGTH")
    environ["wsgi.input_terminated"] = terminated
    uploaded: UploadedFile | None = None
    try:
        params, uploaded = read_params(environ, max_form_bytes=500, max_file_bytes=file_bytes)
    except AppError as error:
        assert isinstance(error, ParameterError | BodyTooLarge | UnsupportedMediaType)
        assert error.message("en")
        assert error.message("zh")
    else:
        for text in (*params, *params.values()):
            text.encode()
    finally:
        if uploaded is not None:
            uploaded.stream.close()


@given(LATIN | st.sampled_from(["zh;q=1e999", "zh;q=nan", "zh;q=-1", "*", "zh-*", "zh,,;;q=,"]), LATIN)
def test_a_language_is_found_in_any_header(header: str, query: str) -> None:
    environ = {"HTTP_ACCEPT_LANGUAGE": header, "QUERY_STRING": query}
    assert lang_of(environ) in ("en", "zh")
    assert lang_of(environ, {"lang": header}) in ("en", "zh")
