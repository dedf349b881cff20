"""Reads the parameters of a request from the one place where they stand: the form body if there is one, else the query.

This is step 0 of the checks in docs/protocol.md; it decides before anything else is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Any
from urllib.parse import unquote_to_bytes

import structlog
from werkzeug.http import parse_options_header

from datingtoday.protocol.errors import BodyCompressed, BodyTooLarge, ParameterError, UnsupportedMediaType
from datingtoday.protocol.multipart_form import (
    CHUNK_BYTES,
    MAX_PARAMS,
    MultipartLimits,
    UploadedFile,
    not_utf8,
    read_multipart,
    too_many,
    twice,
)
from datingtoday.protocol.plain_query import plain_params

_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_MULTIPART_SLACK_BYTES = 16 * 1024
_LENGTH_DIGITS = 18
"""More digits than any body has bytes; what has more is not even read as a number."""

log = structlog.get_logger(__name__)

Environ = dict[str, Any]


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
        return plain_params(query) or _collect(_pairs(query.encode("latin-1"))), None
    encoding = environ.get("HTTP_CONTENT_ENCODING", "").strip()
    if encoding and encoding.lower() != "identity":
        raise BodyCompressed(encoding)
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
        return plain_params(content.decode("latin-1")) or _collect(_pairs(content)), None
    if mimetype == _MULTIPART:
        if query:
            raise _both_places()
        return read_multipart(
            body.chunks(),
            options.get("boundary", ""),
            MultipartLimits(max_form_bytes, max_file_bytes, file_name),
        )
    if length is None and not body.read_all():
        return _collect(_pairs(query.encode("latin-1"))), None
    raise UnsupportedMediaType


def _both_places() -> ParameterError:
    return ParameterError.plain(
        "parameters stand in the query string and in the body; put all of them in one place",
        "参数同时出现在查询字符串和请求体里；请全部放在同一处",
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
            size = CHUNK_BYTES if self._left is None else min(CHUNK_BYTES, self._left)
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


def _pairs(encoded: bytes) -> Iterator[tuple[str, str]]:
    """The pairs of an urlencoded string, strictly UTF-8; ``+`` is a space, a name without ``=`` has an empty value."""
    if not encoded:
        return
    if encoded.count(b"&") > MAX_PARAMS:
        raise too_many()
    try:
        for field in encoded.split(b"&"):
            if field:
                escaped_name, _, escaped_value = field.partition(b"=")
                yield _unquote(escaped_name), _unquote(escaped_value)
    except UnicodeDecodeError:
        raise not_utf8() from None


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
            raise twice(name)
        params[name] = value
        if len(params) > MAX_PARAMS:
            raise too_many()
    return params
