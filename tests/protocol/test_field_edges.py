"""Parameters at the edges of what is allowed, and pages that end among equal moments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from datingtoday.infra.db import Base, Database
from datingtoday.profiles.models import UserFollow
from datingtoday.protocol.fields import (
    Ids,
    Integer,
    LatLng,
    Parameter,
    SmsCode,
    TextBlock,
    TextLine,
    id_or_none,
    length_of,
)
from datingtoday.protocol.paging import Cursors, PageRequest, newest_first
from datingtoday.protocol.phone_numbers import to_e164
from datingtoday.safety.schemas import ReportParams


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
    assert Ids(most=3).allowed.en.startswith("up to 3 different ids")
    assert Integer(least=0, most=9).allowed.zh == "0 到 9 的整数"


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
            with database.transaction(write=False) as session:
                found = newest_first(session, matching, moment, number, page, cursors, "fans", 1)
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
