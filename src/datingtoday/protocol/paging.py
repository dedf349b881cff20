"""Pages of lists: their parameters, their answer, and the cursors that go on from where a page ended.

A list asks `Cursors` for the position that a cursor stands for and hands a new one out with each page.
What a position is made
of is the list's own affair: a few numbers and texts.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Any, ClassVar, NamedTuple

import orjson
from marshmallow import Schema, fields
from sqlalchemy import Row, Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from datingtoday.infra.text import Text
from datingtoday.protocol.described import about
from datingtoday.protocol.envelope import ReadyJson, to_json
from datingtoday.protocol.errors import ParameterError
from datingtoday.protocol.fields import Integer, Parameter, ParamsSchema, id_or_none

MAX_PAGES = 100_000
MAX_PAGE_COUNT = 50
PAGE_COUNT = 10
MAX_TOTAL = 1_000
"""Totals are exact up to here."""

_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,512}\Z", re.ASCII)
_TAG_BYTES = 9
_MAX_READ = 64
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALLOWED = Text(
    "the `next` of the page before, of the same list and the same person",
    "同一列表、同一用户上一页返回的 `next`",
)

Position = Sequence[Any]
"""Position at which a page ended: numbers and texts."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The requested part of a list: after ``cursor`` if there is one, else page ``number``, counted from 1."""

    number: int
    count: int
    cursor: str | None

    @property
    def offset(self) -> int:
        """Number of items that lie before the page; only without a cursor."""
        return (self.number - 1) * self.count


_PAGE_NAMES = frozenset({"page", "pageCount", "cursor"})
_FIRST_PAGE = PageRequest(1, PAGE_COUNT, None)


class CursorText(Parameter):
    """A cursor by its form; `Cursors` reads it."""

    allowed = _ALLOWED
    openapi: ClassVar[dict[str, Any]] = {"type": "string", "maxLength": 512}

    def read(self, text: str) -> str:
        if not _CURSOR.match(text):
            raise ValueError(text)
        return text


class PageParams(ParamsSchema):
    """Base of the parameters of every list; the view gets them as ``page``, a `PageRequest`."""

    remembers: ClassVar[frozenset[str]] = frozenset({"page", "pageCount"})
    late: ClassVar[str | None] = "cursor"

    page = Integer(least=1, most=MAX_PAGES, load_default=1)
    page_count = Integer(least=1, most=MAX_PAGE_COUNT, data_key="pageCount", load_default=PAGE_COUNT)
    cursor = CursorText(load_default=None)

    def put_late(self, values: dict[str, Any], late: Any) -> dict[str, Any]:
        page: PageRequest = values["page"]
        return {**values, "page": PageRequest(page.number, page.count, late)}

    def gathered(self, values: dict[str, Any]) -> dict[str, Any]:
        request = PageRequest(values.pop("page"), values.pop("page_count"), values.pop("cursor"))
        return {**values, "page": request}


def page_ahead(params: Mapping[str, str]) -> PageRequest:
    """Page that a request seems to ask for, before its parameters are checked: for guesses only."""
    if params.keys().isdisjoint(_PAGE_NAMES):
        return _FIRST_PAGE
    number, count = (id_or_none(params.get(name)) or 0 for name in ("page", "pageCount"))
    count = count if 0 < count <= MAX_PAGE_COUNT else PAGE_COUNT
    return PageRequest(number or 1, count, params.get("cursor"))


def page_schema(item: type[Schema]) -> Schema:
    """The schema of a page of these, for the documentation and the tests."""
    return _page_class(item)()


@cache
def _page_class(item: type[Schema]) -> type[Schema]:
    """One for all lists of the same items: the documentation names it once."""
    name = f"PageOf{item.__name__.removesuffix('Schema')}Schema"
    made = Schema.from_dict(
        {
            "total": fields.Integer(
                required=True,
                metadata=about(
                    f"number of items, exact up to {MAX_TOTAL}, see total_more",
                    f"总数，{MAX_TOTAL} 以内准确，见 total_more",
                ),
            ),
            "total_more": fields.Boolean(
                metadata=about(f"there are more than {MAX_TOTAL}", f"总数超过 {MAX_TOTAL}")
            ),
            "list": fields.List(
                fields.Nested(item), required=True, metadata=about("the items of this page", "本页的条目")
            ),
            "has_next": fields.Boolean(required=True, metadata=about("more follow", "是否还有下一页")),
            "next": fields.String(
                required=True,
                allow_none=True,
                metadata=about("`cursor` of the next page; null: none", "下一页的 `cursor`；null 表示没有"),
            ),
        },
        name=name,
    )
    made.summary = Text("A page of a list.", "列表的一页。")  # type: ignore[attr-defined]
    return made


class Total(NamedTuple):
    """Total number; ``more``: more than `MAX_TOTAL`, and ``number`` is that."""

    number: int
    more: bool = False

    @classmethod
    def of(cls, number: int) -> Total:
        """Total for a count that may exceed the largest number shown."""
        return cls(MAX_TOTAL, True) if number > MAX_TOTAL else cls(number)


def count_up_to_most(session: Session, matching: Select[*tuple[Any, ...]]) -> Total:
    """Count the rows of a select; looks at no more of them than it must."""
    limited = matching.order_by(None).limit(MAX_TOTAL + 1).subquery()
    return Total.of(session.scalars(select(func.count()).select_from(limited)).one())


def page_answer(items: Sequence[bytes], *, total: Total, has_next: bool, next_: str | None) -> ReadyJson:
    """The answer's ``data`` from items that are JSON already."""
    more = b',"total_more":true' if total.more else b""
    return ReadyJson(
        b'{"total":%d%s,"list":[%s],"has_next":%s,"next":%s}'
        % (
            total.number,
            more,
            b",".join(items),
            b"true" if has_next else b"false",
            to_json(next_ if has_next else None),
        )
    )


class Cursors:
    """Writes and reads cursors, each good for one list and one person.

    :param secret_key: from which a key for this purpose is derived. A cursor that was changed, or comes from another
        list or person, is refused: a list may rely on what it wrote.
    """

    def __init__(self, secret_key: bytes) -> None:
        self._key = hmac.digest(secret_key, b"datingtoday: cursors, version 2", "sha256")
        # Whoever guesses what a request will want reads the cursor before the one who answers it.
        self._read_before = lru_cache(maxsize=_MAX_READ)(self._read)

    def write(self, name: str, user_id: int, position: Position) -> str:
        """:param name: of the list."""
        data = orjson.dumps(position)
        text = binascii.b2a_base64(self._tag(name, user_id, data) + data, newline=False)
        return text.translate(_URL_SAFE, b"=").decode()

    def read(self, name: str, user_id: int, cursor: str) -> Position:
        """:raises ParameterError: it is no cursor of this list and this person."""
        return self._read_before(name, user_id, cursor)

    def _read(self, name: str, user_id: int, cursor: str) -> Position:
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except (binascii.Error, ValueError):
            raise ParameterError.malformed("cursor", _ALLOWED) from None
        tag, data = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(name, user_id, data)):
            raise ParameterError.malformed("cursor", _ALLOWED)
        return tuple(orjson.loads(data))

    def _tag(self, name: str, user_id: int, data: bytes) -> bytes:
        signed_message = f"{name}\n{user_id}\n".encode() + data
        return blake2b(signed_message, key=self._key, digest_size=_TAG_BYTES).digest()


@dataclass(frozen=True, slots=True)
class PageOfRows:
    """The rows of one page and what its answer says about the list."""

    rows: Sequence[Row[Any, Any]]
    total: Total
    has_next: bool
    next_: str | None

    def answer(self, items: Sequence[bytes]) -> ReadyJson:
        """:param items: the rows as JSON, in their order."""
        return page_answer(items, total=self.total, has_next=self.has_next, next_=self.next_)


def newest_first(
    session: Session,
    matching: Select[*tuple[Any, ...]],
    moment: InstrumentedAttribute[datetime],
    number: InstrumentedAttribute[int],
    page: PageRequest,
    cursors: Cursors,
    list_name: str,
    user_id: int,
) -> PageOfRows:
    """A page of what a select finds, the latest moment first, and among equal moments the highest number.

    :param matching: selects ``moment`` and ``number`` as its first two columns. An index that begins with the columns
        of its condition and goes on with these two makes deep pages by cursor as fast as the first.
    :raises ParameterError: the cursor is not one of this list and this person.
    """
    ordered = matching.order_by(moment.desc(), number.desc()).limit(page.count + 1)
    if page.cursor is None:
        ordered = ordered.offset(page.offset)
    else:
        after_us, after_number = cursors.read(list_name, user_id, page.cursor)
        after = _EPOCH + timedelta(microseconds=after_us)
        # In this form databases walk the index; a comparison of pairs would make them read the list from its start.
        ordered = ordered.where(moment <= after, or_(moment < after, number < after_number))
    rows = session.execute(ordered).all()
    has_next = len(rows) > page.count
    rows = rows[: page.count]
    next_ = None
    if has_next:
        last_us = (rows[-1][0] - _EPOCH) // timedelta(microseconds=1)
        next_ = cursors.write(list_name, user_id, [last_us, rows[-1][1]])
    return PageOfRows(rows, count_up_to_most(session, matching), has_next, next_)
