"""Reads the parameters of a request from the one place where they stand: the form body if there is one, else the query.

This is step 0 of the checks in docs/protocol.md; it decides before anything else is looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from urllib.parse import unquote_to_bytes

import structlog
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from datingtoday.protocol.errors import BodyTooLarge, ParameterError, UnsupportedMediaType

MAX_PARAMS = 100
_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_CHUNK_BYTES = 64 * 1024
_FILE_IN_MEMORY_BYTES = 1024 * 1024
_MULTIPART_SLACK_BYTES = 16 * 1024
_BOUNDARY_LINE_SLACK_BYTES = 128
"""For the line ends and dashes around a boundary, and the blanks that may follow it."""
_LENGTH_DIGITS = 18
"""More digits than any body has bytes; what has more is not even read as a number."""

log = structlog.get_logger(__name__)

Environ = dict[str, Any]


class UploadedFile:
    """The one file of a request; spooled to disk beyond a megabyte, closed by the endpoint at the end."""

    def __init__(self, name: str) -> None:
        self.name = name
        # Closed by the endpoint, or by the guard when it refuses the request.
        self.stream: IO[bytes] = SpooledTemporaryFile(max_size=_FILE_IN_MEMORY_BYTES)  # noqa: SIM115
        self.size_bytes = 0
        self._digest = hashlib.sha256()

    def write(self, data: bytes | bytearray) -> None:
        self.stream.write(data)
        self.size_bytes += len(data)
        self._digest.update(data)

    @property
    def sha256(self) -> str:
        """Lower-case hex."""
        return self._digest.hexdigest()


def read_params(
    environ: Environ, *, max_form_bytes: int, max_file_bytes: int = 0, file_name: str = "file"
) -> tuple[dict[str, str], UploadedFile | None]:
    """The parameters, decoded, and the uploaded file.

    :param max_form_bytes: for all parameters together, an uploaded file not counted.
    :param max_file_bytes: 0 where the endpoint takes no file.
    :param file_name: the parameter that holds it.
    :raises ParameterError: both places used, a name twice, bytes that are not UTF-8, a file where none is taken.
    :raises BodyTooLarge: before more than the limit was read.
    :raises UnsupportedMediaType: a body that is not a form.
    """
    query = environ.get("QUERY_STRING", "")
    length = _content_length(environ)
    if length == 0:
        return _plain(query) or _collect(_pairs(query.encode("latin-1"))), None
    content_type = environ.get("CONTENT_TYPE", "")
    if content_type == _URLENCODED:
        mimetype = content_type
        options: dict[str, str] = {}
    else:
        mimetype, options = parse_options_header(content_type)
        mimetype = mimetype.lower()
    limit_bytes = max_form_bytes
    if max_file_bytes and mimetype == _MULTIPART:
        limit_bytes += max_file_bytes + _MULTIPART_SLACK_BYTES
    if length is not None and length > limit_bytes:
        raise BodyTooLarge(limit_bytes=limit_bytes)
    body = _Body(environ["wsgi.input"], length, limit_bytes)
    if mimetype == _URLENCODED:
        content = body.read_all()
        if not content:
            return _collect(_pairs(query.encode("latin-1"))), None
        if query:
            raise _both_places()
        return _plain(content.decode("latin-1")) or _collect(_pairs(content)), None
    if mimetype == _MULTIPART:
        if query:
            raise _both_places()
        return _read_multipart(
            body, options.get("boundary", ""), _MultipartLimits(max_form_bytes, max_file_bytes, file_name)
        )
    if length is None and not body.read_all():
        return _collect(_pairs(query.encode("latin-1"))), None
    raise UnsupportedMediaType


def _both_places() -> ParameterError:
    return ParameterError.plain(
        "parameters stand in the query string and in the body; put all of them in one place",
        "参数同时出现在查询字符串和请求体里；请全部放在同一处",
    )


def _not_utf8(what: str = "a parameter") -> ParameterError:
    return ParameterError.plain(
        f"{what} is not UTF-8; encode every name and value as UTF-8", "参数不是 UTF-8 编码"
    )


def _too_many() -> ParameterError:
    return ParameterError.plain(f"more than {MAX_PARAMS} parameters", f"参数超过 {MAX_PARAMS} 个")


def _twice(name: str) -> ParameterError:
    return ParameterError.plain(
        f"{name} is given twice; give every parameter once", f"参数 {name} 重复；每个参数只能出现一次"
    )


def _content_length(environ: Environ) -> int | None:
    """None if the body ends by itself (chunked)."""
    text = environ.get("CONTENT_LENGTH") or ""
    if not text:
        return None if environ.get("wsgi.input_terminated") and _is_chunked(environ) else 0
    if not (text.isascii() and text.isdigit() and len(text) <= _LENGTH_DIGITS):
        raise ParameterError.plain("Content-Length is not a number", "Content-Length 不是数字")
    return int(text)


def _is_chunked(environ: Environ) -> bool:
    return "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()


class _Body:
    """The body's bytes in chunks, never more than the limit."""

    def __init__(self, stream: IO[bytes], length: int | None, limit_bytes: int) -> None:
        self._stream = stream
        self._left = length
        self._limit_bytes = limit_bytes
        self._taken = 0

    def chunks(self) -> Iterator[bytes]:
        while self._left is None or self._left > 0:
            size = _CHUNK_BYTES if self._left is None else min(_CHUNK_BYTES, self._left)
            try:
                data = self._stream.read(size)
            except Exception as error:
                # The connection ended, or what should be chunks is none: both are the sender's doing, and each HTTP
                # server has exceptions of its own for them.
                log.info("body_not_readable", reason=type(error).__name__)
                raise ParameterError.plain("the body ended before it was complete", "请求体不完整") from None
            if not data:
                if self._left is not None:
                    raise ParameterError.plain(
                        "the body is shorter than Content-Length", "请求体比 Content-Length 短"
                    )
                return
            self._taken += len(data)
            if self._taken > self._limit_bytes:
                raise BodyTooLarge(limit_bytes=self._limit_bytes)
            if self._left is not None:
                self._left -= len(data)
            yield data

    def read_all(self) -> bytes:
        return b"".join(self.chunks())


def _plain(query: str) -> dict[str, str] | None:
    """The parameters of a query as most are: ASCII, nothing escaped, each once and with a value. None of any other."""
    if "%" in query or "+" in query or not query.isascii():
        return None
    pairs = query.split("&")
    try:
        params = dict([pair.split("=", 1) for pair in pairs])
    except ValueError:
        return None
    return params if len(params) == len(pairs) <= MAX_PARAMS else None


def _pairs(encoded: bytes) -> Iterator[tuple[str, str]]:
    """The pairs of an urlencoded string, strictly UTF-8; ``+`` is a space, a name without ``=`` has an empty value."""
    if not encoded:
        return
    if encoded.count(b"&") > MAX_PARAMS:
        raise _too_many()
    try:
        for field in encoded.split(b"&"):
            if field:
                escaped_name, _, escaped_value = field.partition(b"=")
                yield _unquote(escaped_name), _unquote(escaped_value)
    except UnicodeDecodeError:
        raise _not_utf8() from None


def _unquote(encoded: bytes) -> str:
    if b"+" in encoded:
        encoded = encoded.replace(b"+", b" ")
    if b"%" in encoded:
        encoded = unquote_to_bytes(encoded)
    return encoded.decode()


def _collect(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    params: dict[str, str] = {}
    for name, value in pairs:
        if name in params:
            raise _twice(name)
        params[name] = value
        if len(params) > MAX_PARAMS:
            raise _too_many()
    return params


@dataclass(frozen=True)
class _MultipartLimits:
    form_bytes: int
    file_bytes: int
    file_name: str


def _read_multipart(
    body: _Body, boundary: str, limits: _MultipartLimits
) -> tuple[dict[str, str], UploadedFile | None]:
    if not boundary or not boundary.isascii() or len(boundary) > 200:
        raise ParameterError.plain(
            "multipart/form-data without a usable boundary", "multipart/form-data 缺少可用的 boundary"
        )
    parser = _MultipartForm(boundary.encode(), limits)
    try:
        for chunk in body.chunks():
            parser.feed(chunk)
        return parser.finish()
    except BaseException as error:
        parser.close()
        if isinstance(error, UnicodeDecodeError):
            raise _not_utf8() from None
        if isinstance(error, RequestEntityTooLarge):
            raise BodyTooLarge(limit_bytes=limits.form_bytes) from None
        if isinstance(error, (ValueError, KeyError)):
            raise ParameterError.plain(
                "the multipart body is malformed", "multipart 请求体格式不正确"
            ) from None
        raise


class _MultipartForm:
    """Collects fields and the one file while the body arrives."""

    def __init__(self, boundary: bytes, limits: _MultipartLimits) -> None:
        # The decoder's own limit counts its buffer, which holds file bytes too: room for one chunk and a field.
        self._decoder = MultipartDecoder(
            boundary, max_form_memory_size=limits.form_bytes + 2 * _CHUNK_BYTES, max_parts=None
        )
        self._limits = limits
        self._params: dict[str, str] = {}
        self._field_bytes = 0
        self._name = ""
        self._value = bytearray()
        self._in_file = False
        self._finished = False
        self._boundary_line_bytes = len(boundary) + _BOUNDARY_LINE_SLACK_BYTES
        self._held_back = b""
        self.file: UploadedFile | None = None

    def feed(self, chunk: bytes | None) -> None:
        if chunk is not None:
            chunk = self._without_the_begun_line(chunk)
        elif self._held_back:
            self._decoder.receive_data(self._held_back)
        self._decoder.receive_data(chunk)
        while not isinstance(event := self._decoder.next_event(), NeedData):
            if isinstance(event, Epilogue):
                self._finished = True
                return
            if isinstance(event, (Field, File)):
                self._begin(event)
            elif isinstance(event, Data):
                self._take(event)

    def _without_the_begun_line(self, chunk: bytes) -> bytes:
        """The decoder takes a boundary that arrives in two pieces for content, at some cuts: it gets no half ones."""
        whole = self._held_back + chunk
        near_end = max(0, len(whole) - self._boundary_line_bytes)
        line_at = max(whole.rfind(b"\n", near_end), whole.rfind(b"\r", near_end))
        if line_at < 0:
            self._held_back = b""
            return whole
        if whole[line_at - 1 : line_at + 1] == b"\r\n":
            line_at -= 1
        self._held_back = whole[line_at:]
        return whole[:line_at]

    def finish(self) -> tuple[dict[str, str], UploadedFile | None]:
        if not self._finished:
            self.feed(None)
        if self.file is not None:
            self.file.stream.seek(0)
        return self._params, self.file

    def close(self) -> None:
        if self.file is not None:
            self.file.stream.close()

    def _begin(self, event: Field | File) -> None:
        name = event.name
        if not isinstance(name, str):
            raise ValueError("a part without a name")
        if name in self._params or (self.file is not None and self.file.name == name):
            raise _twice(name)
        self._name, self._in_file = name, isinstance(event, File)
        if not self._in_file:
            if len(self._params) >= MAX_PARAMS:
                raise _too_many()
            self._value = bytearray()
            return
        if not self._limits.file_bytes:
            raise ParameterError.plain(
                f"{name} is a file; this endpoint takes no file", f"{name} 是文件；该接口不接受文件"
            )
        if self.file is not None:
            raise ParameterError.plain(
                f"{name} is a second file; one file is taken", f"{name} 是第二个文件；只接受一个文件"
            )
        if name != self._limits.file_name:
            raise ParameterError.plain(
                f"{name} is a file; this endpoint takes it as {self._limits.file_name}",
                f"{name} 是文件；该接口的文件参数名为 {self._limits.file_name}",
            )
        self.file = UploadedFile(name)

    def _take(self, event: Data) -> None:
        if self._in_file:
            assert self.file is not None  # noqa: S101 - set by _begin, for the type checker
            self.file.write(event.data)
            if self.file.size_bytes > self._limits.file_bytes:
                raise BodyTooLarge(limit_bytes=self._limits.file_bytes)
            return
        self._value += event.data
        self._field_bytes += len(event.data)
        if self._field_bytes > self._limits.form_bytes:
            raise BodyTooLarge(limit_bytes=self._limits.form_bytes)
        if not event.more_data:
            self._params[self._name] = self._value.decode()
