"""Parameters at the edges of what is allowed, and pages that end among equal moments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from datingtoday.infra.db import Base, Database
from datingtoday.infra.text import Text
from datingtoday.profiles.models import UserFollow
from datingtoday.protocol.fields import (
    Choice,
    Flag,
    Id,
    Ids,
    Integer,
    LatLng,
    Number,
    Parameter,
    Phone,
    SmsCode,
    TextBlock,
    TextLine,
    id_or_none,
    length_of,
)
from datingtoday.protocol.paging import Cursors, PageRequest, newest_first
from datingtoday.protocol.phone_numbers import to_e164
from datingtoday.safety.schemas import ReportParams
from tests.plugins.statements import statements


@pytest.mark.parametrize(
    ("field", "taken", "refused"),
    [
        (TextLine(most=3, least=2), ["ab", "abc", " abc "], ["a", "abcd", "a\nb", " a "]),
        (TextLine(most=3, least=0), ["", "abc"], ["abcd"]),
        (TextLine(most=3), ["a"], ["", " "]),
        (TextBlock(most=3), ["", "a\nb", "abc", "a\r\nb"], ["abcd", "a\tb", "ab\ncd"]),
        (Integer(least=2, most=10), ["2", "10", "02"], ["1", "11", "010", "", "2.", "+2", "٣"]),
        (Ids(most=3), ["", "1", "1,2,3"], ["1,2,3,4", "1,1", "1,", "0", "1,2,3,4,5", "2147483648"]),
        (SmsCode(), ["1234", "123456", "12345678"], ["123", "123456789", "12345a"]),
        (
            LatLng(),
            ["90,180", "-90,-180", f"0,{'0' * 399}1"],
            [
                *("90.000001,0", "-90.000001,0", "0,180.000001", "0,-180.000001", "91,181", "0", "0,0,0"),
                f"0,{'0' * 400}1",
            ],
        ),
    ],
)
def test_what_is_taken_and_what_is_refused(field: Parameter, taken: list[str], refused: list[str]) -> None:
    for text in taken:
        assert is_taken(field, text), text
    for text in refused:
        assert not is_taken(field, text), text


def is_taken(field: Parameter, text: str) -> bool:
    try:
        field.read(text)
    except ValueError:
        return False
    return True


def test_what_is_allowed_is_said_in_words() -> None:
    assert length_of(2, 2).en == "exactly 2 characters"
    assert length_of(0, 2).en == "up to 2 characters"
    assert length_of(1, 2).en == "1 to 2 characters"
    assert TextLine(most=3).allowed.en == "1 to 3 characters, no control characters"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("2147483647", 2_147_483_647),
        ("9999999999", 9_999_999_999),
        ("10000000000", None),
        ("1a", None),
        ("", None),
        (None, None),
        ("-1", None),
    ],
)
def test_ids_are_guessed_by_their_form(text: str | None, number: int | None) -> None:
    assert id_or_none(text) == number


CURSORS = Cursors(b"k" * 32)


def test_a_cursor_of_the_version_before_goes_on() -> None:
    cursor = "u_HUTl0JHE7rWzE3Nzc2MzY4MDAxMjM0NTcsNF0"
    assert CURSORS.write("fans", 7, [1_777_636_800_123_457, 4]) == cursor
    assert CURSORS.read("fans", 7, cursor) == (1_777_636_800_123_457, 4)


class TestPagesByCursor:
    @pytest.fixture
    def database(self, tmp_path: Path) -> Iterator[Database]:
        database = Database(f"sqlite:///{tmp_path}/pages.db")
        Base.metadata.create_all(database.engine, tables=[Base.metadata.tables["user_follow"]])
        yield database
        database.dispose()

    def numbers(self, database: Database, count: int, *, by_cursor: bool) -> list[list[Any]]:
        """Peers of all pages, one after another."""
        matching = select(UserFollow.create_time, UserFollow.peer_id).where(UserFollow.user_id == 1)
        moment: Any = UserFollow.create_time
        number: Any = UserFollow.peer_id
        cursors = Cursors(b"k" * 32)
        pages: list[list[Any]] = []
        cursor = None
        while True:
            page = PageRequest(1 if by_cursor else len(pages) + 1, count, cursor)
            with statements(database) as seen, database.transaction(write=False) as session:
                found = newest_first(session, matching, moment, number, page, cursors, "fans", 1)
            # One row more than the page, to know whether there is another, and one more than the largest total.
            assert count + 1 in seen[0].values and 1_001 in seen[1].values
            assert found.total.number == 7 and not found.total.more
            pages.append([row[1] for row in found.rows])
            assert found.has_next is (found.next_ is not None)
            if not found.has_next:
                return pages
            cursor = found.next_ if by_cursor else None

    @pytest.mark.parametrize("by_cursor", [True, False])
    def test_equal_moments_are_told_apart_by_their_numbers(self, database: Database, by_cursor: bool) -> None:
        early, late = datetime(2026, 5, 1, 12, 0, 0, 123456, UTC), datetime(2026, 5, 1, 12, 0, 0, 123457, UTC)
        rows = [
            {"user_id": 1, "peer_id": peer_id, "create_time": late if peer_id in (2, 4) else early}
            for peer_id in range(1, 8)
        ]
        with database.transaction() as session:
            session.execute(insert(UserFollow), rows)
        if by_cursor:
            with database.transaction(write=False) as session:
                page = PageRequest(1, 1, None)
                matching = select(UserFollow.create_time, UserFollow.peer_id)
                found = newest_first(
                    session, matching, UserFollow.create_time, UserFollow.peer_id, page, CURSORS, "fans", 1
                )
            assert found.next_ is not None
            assert CURSORS.read("fans", 1, found.next_) == (1_777_636_800_123_457, 4), (
                "microseconds since 1970"
            )
        assert self.numbers(database, 2, by_cursor=by_cursor) == [[4, 2], [7, 6], [5, 3], [1]]
        assert self.numbers(database, 3, by_cursor=by_cursor) == [[4, 2, 7], [6, 5, 3], [1]]
        assert self.numbers(database, 7, by_cursor=by_cursor) == [[4, 2, 7, 6, 5, 3, 1]]


def test_a_phone_number_of_so_many_signs() -> None:
    for blanks, is_good in ((18, True), (19, False)):
        text = f"+86{' ' * blanks}13912345678"
        assert (len(text) == 32) is is_good
        if is_good:
            assert to_e164(text) == "+8613912345678"
        else:
            with pytest.raises(ValueError, match="not a phone number"):
                to_e164(text)


def test_a_message_is_reported_by_any_number_that_it_may_have() -> None:
    field = ReportParams().load_fields["message_id"]
    assert isinstance(field, Integer)
    assert is_taken(field, "9223372036854775807") and not is_taken(field, "9223372036854775808")


NAMES = {1: Text("one", "一"), 2: Text("two", "二")}


@pytest.mark.parametrize(
    ("field", "en", "zh"),
    [
        (
            TextLine(most=3, least=0),
            "up to 3 characters, no control characters",
            "最多 3 个字符，不含控制字符",
        ),
        (
            TextLine(most=3, least=3),
            "exactly 3 characters, no control characters",
            "正好 3 个字符，不含控制字符",
        ),
        (
            TextBlock(most=3),
            "up to 3 characters, no control characters but line breaks",
            "最多 3 个字符，除换行外不含控制字符",
        ),
        (Integer(least=2, most=9), "a whole number from 2 to 9", "2 到 9 的整数"),
        (Id(), "a whole number from 1 to 2147483647", "1 到 2147483647 的整数"),
        (Choice(NAMES), "one of 1 (one) 2 (two)", "以下之一：1（一） 2（二）"),
        (Number(NAMES), "one of 1 (one) 2 (two)", "以下之一：1（一） 2（二）"),
        (Ids(most=3), "up to 3 different ids separated by commas", "最多 3 个不同的 id，用逗号分隔"),
        (Flag(), "1 (yes) or 0 (no)", "1（是）或 0（否）"),
        (SmsCode(), "the 6 digits of the SMS", "短信中的 6 位数字"),
    ],
)
def test_a_refusal_says_what_is_allowed(field: Parameter, en: str, zh: str) -> None:
    for absent, verb, said in ((True, "is missing", "缺失"), (False, "is not valid", "不正确")):
        error = field.refuse("x", absent=absent)
        assert (error.code, error.message("en")) == (300, f"x {verb}; allowed: {en}")
        assert error.message("zh") == f"参数 x {said}；允许：{zh}"


def test_refusals_of_numbers_and_places() -> None:
    phone, place = Phone(), LatLng()
    assert phone.refuse("phone", absent=True).message("zh").startswith("参数 phone 缺失；允许：手机号；")
    assert phone.refuse("phone", absent=False).message("en") == "phone number format error."
    assert phone.refuse("phone", absent=False).message("zh") == "手机号 (phone) 格式错误。"
    missing, wrong = place.refuse("latlng", absent=True), place.refuse("latlng", absent=False)
    assert (missing.code, missing.message("en")) == (
        300,
        "latlng is missing; allowed: lat,lng in decimal degrees",
    )
    assert wrong.code == 502 and wrong.message("zh") == (
        "lat,lng 错误：latlng 应为两个十进制度数，纬度 -90..90，经度 -180..180"
    )
