"""Search: any combination of filters, with bounded work for each request.

The newest members come first: of all orders this one never moves, so that a cursor neither repeats nor skips anybody,
and every index that ends with the user's id has it, so that each filter that has an index can lead. The filter with the
fewest people leads; its people are walked in order, up to `LOOKED_AT` of them, and the other filters are tried on
them. What is left begins the next page.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from datetime import date, datetime

import orjson
from sqlalchemy.orm import Session

from datingtoday.discovery.search import statements
from datingtoday.discovery.search.nicknames import fold, leading_grams
from datingtoday.discovery.search.statements import Leader, LeaderKind
from datingtoday.infra.text import Text
from datingtoday.profiles.cards.entries import Cards
from datingtoday.protocol.envelope import ReadyJson
from datingtoday.protocol.errors import ParameterError
from datingtoday.protocol.paging import MAX_TOTAL, Cursors, PageRequest, Total, page_answer

LOOKED_AT = (2_000, 8_000)
"""People of the leading filter who are examined: the second number only if the first did not fill the page."""
GRAMS_TRIED = 4


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters of a search; None: anything."""

    nickname: str | None = None
    gender: int | None = None
    age_min: int | None = None
    age_max: int | None = None
    height_min: int | None = None
    height_max: int | None = None
    education: int | None = None
    emotion: int | None = None
    salary_min: int | None = None
    label_id: int | None = None

    def refuse_empty_ranges(self) -> None:
        """:raises ParameterError: a lower bound is above its upper bound."""
        for name, low, high in (
            ("age", self.age_min, self.age_max),
            ("height", self.height_min, self.height_max),
        ):
            if low is not None and high is not None and low > high:
                allowed = Text(f"at most {name}Max, which is {high}", f"不大于 {name}Max（{high}）")
                raise ParameterError.malformed(f"{name}Min", allowed)

    def matching(self, viewer_id: int, today: date, now: datetime) -> statements.Matching:
        """The conditions of the search's statements. :param today: the day by which ages are counted."""
        above = None if self.age_max is None else self.age_max + 1
        return statements.Matching(
            viewer_id=viewer_id,
            text=None if self.nickname is None else fold(self.nickname),
            label_id=self.label_id,
            values={
                "gender": self.gender,
                "born_until": years_before(today, self.age_min),
                "born_after": years_before(today, above),
                "height_min": self.height_min,
                "height_max": self.height_max,
                "education": self.education,
                "emotion": self.emotion,
                "salary_min": self.salary_min,
            },
            now=now,
        )


class Search:
    """Finds people."""

    def __init__(self, cards: Cards, cursors: Cursors) -> None:
        self._cards = cards
        self._cursors = cursors

    def find(
        self, session: Session, user_id: int, filters: Filters, page: PageRequest, now: datetime
    ) -> ReadyJson:
        """Cards of the people who match and whom the user may find, newest members first; never the user.

        :raises ParameterError: an empty range, or a cursor of another search.
        """
        filters.refuse_empty_ranges()
        # A cursor is good for the same filters only.
        name = f"search {orjson.dumps(astuple(filters)).decode()}"
        start, skip = statements.ABOVE_ALL, page.offset
        total: Total | None = None
        if page.cursor is not None:
            start, skip, number, more = self._cursors.read(name, user_id, page.cursor)
            total = Total(number, more)
        matching = filters.matching(user_id, self._cards.people.days.today(now), now)
        leader = self._leader(session, filters, matching.text)
        wanted = skip + page.count + 1
        found: list[int] = []
        for rows in LOOKED_AT:
            end = statements.last_of_next(session, leader, start, rows) or 0
            found += statements.find(session, leader, matching, start, end, wanted - len(found))
            start = end
            if end == 0 or len(found) == wanted:
                break
        if total is None:
            total = self._total(session, leader, matching, found, end, is_cut=len(found) == wanted)
        shown = found[skip : skip + page.count]
        next_ = None
        if len(found) == wanted:
            next_ = self._cursors.write(name, user_id, [shown[-1], 0, *total])
        elif end > 0:
            next_ = self._cursors.write(name, user_id, [end, max(0, skip - len(found)), *total])
        cards = self._cards.of(user_id, shown, now)
        return page_answer(cards, total=total, has_next=next_ is not None, next_=next_)

    @staticmethod
    def _leader(session: Session, filters: Filters, text: str | None) -> Leader:
        """The filter that the fewest people fulfil, of those that have an index."""
        possible: list[Leader] = []
        if text is not None:
            leading = leading_grams(text)
            step = max(1, len(leading) // GRAMS_TRIED)
            possible += [Leader(LeaderKind.GRAM, gram) for gram in leading[::step][:GRAMS_TRIED]]
        if filters.label_id is not None:
            possible.append(Leader(LeaderKind.LABEL, filters.label_id))
        if filters.education is not None:
            possible.append(Leader(LeaderKind.EDUCATION, filters.education))
        return statements.rarest(session, possible) if possible else Leader(LeaderKind.EVERYBODY)

    @staticmethod
    def _total(
        session: Session,
        leader: Leader,
        matching: statements.Matching,
        found: list[int],
        end: int,
        *,
        is_cut: bool,
    ) -> Total:
        """Exact where everybody was looked at or can be; else only that there may be many."""
        if end > 0:
            return Total(MAX_TOTAL, more=True)
        if not is_cut:
            return Total.of(len(found))
        return Total.of(statements.count(session, leader, matching, most=MAX_TOTAL + 1))


def years_before(today: date, years: int | None) -> date | None:
    """Latest birthday of a person who is that many years old; None for None.

    A person born on 29 February is a year older on 1 March of other years.
    """
    if years is None:
        return None
    year = today.year - years
    try:
        return today.replace(year=year)
    except ValueError:
        return date(year, 2, 28)
