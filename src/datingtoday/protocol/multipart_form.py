"""Multipart forms: the parameters and the one file of an upload, read as the body arrives."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO

from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from datingtoday.protocol.errors import BodyTooLarge, ParameterError

MAX_PARAMS = 100
CHUNK_BYTES = 64 * 1024
_FILE_IN_MEMORY_BYTES = 1024 * 1024
_BOUNDARY_LINE_SLACK_BYTES = 128
"""For the line ends and dashes around a boundary, and the blanks that may follow it."""
_UNREADABLE = "\ufffd"
_OTHER_CHARSET = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]|[\x80-\xff]")
"""A character of GBK, Big5, Shift JIS or a Latin charset. The second byte may be that of a backslash, which would hide
the quote after the name."""
_ENCODED_PARTS = ("base64", "quoted-printable")
_FILE_TYPES = ("image/", "audio/", "video/", "application/octet-stream")


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


def not_utf8(what: str = "a parameter") -> ParameterError:
    """Bytes that are not UTF-8."""
    return ParameterError.plain(
        f"{what} is not UTF-8; encode every name and value as UTF-8", "参数不是 UTF-8 编码"
    )


def too_many() -> ParameterError:
    """More parameters than are taken."""
    return ParameterError.plain(f"more than {MAX_PARAMS} parameters", f"参数超过 {MAX_PARAMS} 个")


def twice(name: str) -> ParameterError:
    """The same name again."""
    return ParameterError.plain(
        f"{name} is given twice; give every parameter once", f"参数 {name} 重复；每个参数只能出现一次"
    )


@dataclass(frozen=True, slots=True)
class MultipartLimits:
    """Limits of a form; ``file_bytes`` is 0 where no file is, ``file_name`` the parameter that holds it."""

    form_bytes: int
    file_bytes: int
    file_name: str


def read_multipart(
    chunks: Iterable[bytes], boundary: str, limits: MultipartLimits
) -> tuple[dict[str, str], UploadedFile | None]:
    """The parameters of a multipart body, and its file.

    :raises ParameterError: it is malformed, not UTF-8, or holds what the endpoint does not take.
    :raises BodyTooLarge: before more than the limits was read.
    """
    if not boundary or not boundary.isascii() or len(boundary) > 200:
        raise ParameterError.plain(
            "multipart/form-data without a usable boundary", "multipart/form-data 缺少可用的 boundary"
        )
    parser = _MultipartForm(boundary.encode(), limits)
    try:
        for chunk in chunks:
            parser.feed(chunk)
        return parser.finish()
    except BaseException as error:
        parser.close()
        if isinstance(error, RequestEntityTooLarge):
            raise BodyTooLarge(limit_bytes=limits.form_bytes) from None
        if isinstance(error, (ValueError, KeyError)):
            raise ParameterError.plain(
                "the multipart body is malformed", "multipart 请求体格式不正确"
            ) from None
        raise


class _Decoder(MultipartDecoder):
    """Takes file names in any charset: phones and old browsers send that of the system, and nobody uses the name."""

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        try:
            return super()._parse_headers(data)
        except UnicodeDecodeError:
            return super()._parse_headers(_OTHER_CHARSET.sub(_UNREADABLE.encode(), bytes(data)))


class _MultipartForm:
    """Collects fields and the one file while the body arrives."""

    def __init__(self, boundary: bytes, limits: MultipartLimits) -> None:
        # The decoder's own limit counts its buffer, which holds file bytes too: room for one chunk and a field.
        self._decoder = _Decoder(
            boundary, max_form_memory_size=limits.form_bytes + 2 * CHUNK_BYTES, max_parts=None
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
        if _UNREADABLE in name:
            raise not_utf8("the name of a part")
        if (encoding := event.headers.get("Content-Transfer-Encoding", "").lower()) in _ENCODED_PARTS:
            raise ParameterError.plain(
                f"{name} is encoded (Content-Transfer-Encoding: {encoding}); send it as it is",
                f"{name} 经过编码（Content-Transfer-Encoding: {encoding}）；请原样发送",
            )
        if name in self._params or (self.file is not None and self.file.name == name):
            raise twice(name)
        self._name, self._in_file = name, isinstance(event, File) or self._is_file(event)
        if not self._in_file:
            if len(self._params) >= MAX_PARAMS:
                raise too_many()
            self._value = bytearray()
            return
        if not self._limits.file_bytes:
            raise ParameterError.plain(
                f"{name} is a file; this endpoint takes no file", f"{name} 是文件；该接口不接受文件"
            )
        if name != self._limits.file_name:
            raise ParameterError.plain(
                f"{name} is a file; this endpoint takes it as {self._limits.file_name}",
                f"{name} 是文件；该接口的文件参数名为 {self._limits.file_name}",
            )
        self.file = UploadedFile(name)

    def _is_file(self, part: Field) -> bool:
        """True if a part without a file name is a file: the endpoint's own, or anything that is no text."""
        if part.name == self._limits.file_name and self._limits.file_bytes:
            return True
        return part.headers.get("Content-Type", "").lower().startswith(_FILE_TYPES)

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
            try:
                self._params[self._name] = self._value.decode()
            except UnicodeDecodeError:
                raise not_utf8(self._name) from None
