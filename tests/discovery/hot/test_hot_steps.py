"""Attention step by step: what is noted, what counts, and what is derived from a person's row."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from datingtoday.discovery.derived_rows import PeopleIndex
from datingtoday.discovery.hot.attention import AttentionListener, fold
from datingtoday.discovery.hot.models import HotAttention, HotDay, HotPerson
from datingtoday.discovery.hot.ranking import Attention, ForwardDecay, day_of
from datingtoday.discovery.hot.scores import Given, HotScores
from datingtoday.discovery.person_facts import PersonFacts
from datingtoday.discovery.personal_data import PeopleData
from datingtoday.discovery.rebuild import HotRebuild
from datingtoday.discovery.search.models import SearchGram, SearchName
from datingtoday.discovery.search.nicknames import grams
from datingtoday.profiles.follows import Followed
from datingtoday.profiles.models import UserInfo, UserStatus
from datingtoday.profiles.service import FirstActiveToday, ProfileVisited
from tests.plugins.api import Api
from tests.plugins.statements import statements
from tests.profiles.factories import make_user

EMBEDDED = pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)
ANYTHING: Any = None
NOW = datetime(2026, 7, 1, 12, 0, 0, 250_000, tzinfo=UTC)
DAY = 181
SECOND = timedelta(seconds=1)
DECAY = ForwardDecay(7)


# --- what is noted


class Noted:
    """A listener whose notes are kept here."""

    def __init__(self) -> None:
        self.appended: list[list[int]] = []
        streams: Any = SimpleNamespace(register=lambda _: SimpleNamespace(append=self.appended.append))
        self.listener = AttentionListener(streams, ANYTHING)

    def after(self, *note: Any) -> list[list[int]]:
        self.appended.clear()
        self.listener.note(*note)
        return list(self.appended)


def test_the_same_is_noted_again_after_ten_minutes() -> None:
    noted, at_s = Noted(), int(NOW.timestamp())
    for seconds, is_noted in ((0, True), (0, False), (0.5, False), (599.5, False), (600, True), (601, False)):
        found = noted.after(7, 8, Attention.VISIT, NOW + timedelta(seconds=seconds))
        assert found == ([[7, DAY, 8, 1, int(at_s + seconds)]] if is_noted else []), seconds
    # After a clock was put back as well.
    assert noted.after(7, 8, Attention.VISIT, NOW + 599 * SECOND) == [[7, DAY, 8, 1, at_s + 599]]
    assert noted.after(7, 8, Attention.FOLLOW, NOW) == [[7, DAY, 8, 3, at_s]]
    assert noted.after(8, 7, Attention.VISIT, NOW) == [[8, DAY, 7, 1, at_s]]


def test_nobody_gives_attention_to_themselves_but_by_being_active() -> None:
    noted = Noted()
    assert noted.after(7, 7, Attention.VISIT, NOW) == noted.after(7, 8, Attention.ACTIVE, NOW) == []
    noted.listener.active(FirstActiveToday(7, NOW))
    noted.listener.visited(ProfileVisited(visitor_id=8, user_id=7, at=NOW, is_listed=False))
    noted.listener.followed(Followed(user_id=9, peer_id=7, at=NOW))
    at_s = int(NOW.timestamp())
    assert noted.appended == [[7, DAY, 7, 2, at_s], [7, DAY, 8, 1, at_s], [7, DAY, 9, 3, at_s]]


def test_the_most_of_a_day_counts_with_its_last_moment() -> None:
    def at(second: int) -> datetime:
        return datetime.fromtimestamp(second, UTC)

    folded = fold([[7, DAY, 8, 3, 50], [7, DAY, 8, 1, 60], [6, DAY, 8, 1, 9], [7, DAY, 8, 4, 55]])
    assert folded == [Given(6, DAY, 8, Attention.VISIT, at(9)), Given(7, DAY, 8, Attention.CONTACT, at(60))]


# --- what counts


def scores(weight: float, people_per_day: int = 10) -> HotScores:
    """Rules of counting where every giver weighs the same."""

    def weights(_session: Session, user_ids: Collection[int], _now: datetime) -> dict[int, float]:
        return dict.fromkeys(user_ids, weight)

    givers: Any = SimpleNamespace(weights=weights)
    return HotScores(DECAY, givers, people_per_day=people_per_day)


def days_of(session: Session, user_id: int) -> list[tuple[int, float, int, bool]]:
    days = session.scalars(select(HotDay).where(HotDay.user_id == user_id).order_by(HotDay.day))
    return [(row.day, row.weight, row.people, row.active) for row in days]


@EMBEDDED
class TestCounting:
    def test_a_giver_counts_once_and_more_for_more(self, api: Api) -> None:
        user_id, counting = make_user(api).user_id, scores(1.0)
        with api.parts.base.database.transaction() as session:
            for kind, is_counted, weight in (
                (Attention.VISIT, True, 1), (Attention.VISIT, False, 1), (Attention.FOLLOW, True, 3),
                (Attention.VISIT, False, 3), (Attention.FOLLOW, False, 3), (Attention.CONTACT, True, 4),
            ):  # fmt: skip
                assert counting.note(session, user_id, 8, kind, NOW) is is_counted
                assert days_of(session, user_id) == [(DAY, weight, 1, False)]
            assert counting.note(session, user_id, user_id, Attention.ACTIVE, NOW)
            assert days_of(session, user_id) == [(DAY, 6, 2, True)]
            assert counting.note_all(session, []) == 0

    def test_who_weighs_nothing_leaves_no_row_and_takes_no_place(self, api: Api) -> None:
        user_id = make_user(api).user_id
        with api.parts.base.database.transaction() as session:
            assert not scores(0.0).note(session, user_id, 8, Attention.CONTACT, NOW)
            assert not scores(1.0).note(session, 999_999_999, 8, Attention.CONTACT, NOW)
            session.flush()
            assert days_of(session, user_id) == days_of(session, 999_999_999) == []
            rows = select(HotAttention).where(HotAttention.user_id.in_([user_id, 999_999_999]))
            assert session.scalars(rows).all() == []

    def test_rows_are_read_anew_when_they_are_locked(self, api: Api) -> None:
        """Whatever the session knew of them before."""
        user_id, counting = make_user(api).user_id, scores(1.0)
        with api.parts.base.database.transaction() as session:
            counting.note(session, user_id, 8, Attention.VISIT, NOW)
            session.flush()
            known = session.get_one(HotPerson, user_id), session.get_one(HotDay, (user_id, DAY))
            seen = session.get_one(HotAttention, (user_id, DAY, 8))
            for table, values in (
                (HotPerson, {"attention": 50.0, "bonus": 0.5, "score": 50.5}),
                (HotDay, {"weight": 2.0, "people": 2}),
                (HotAttention, {"weight": 3.0}),
            ):
                changed: Any = update(table).where(table.user_id == user_id).values(values)
                session.execute(changed, execution_options={"synchronize_session": False})
            assert not counting.note(session, user_id, 8, Attention.FOLLOW, NOW)
            assert (known[0].attention, known[1].weight, known[1].people, seen.weight) == (50.0, 2.0, 2, 3.0)
            assert counting.note(session, user_id, 9, Attention.VISIT, NOW)
            assert known[0].attention == DECAY.add(50.0, 1.0, DAY)
            assert known[0].score == known[0].attention + 0.5
            assert (known[1].weight, known[1].people) == (3.0, 3)


# --- what is derived from a person


def facts(user_id: int = 7, **own: Any) -> PersonFacts:
    plain: dict[str, Any] = {
        "user_id": user_id, "nickname": "abc", "gender": 1, "sexual": 2, "details_given": 4,
        "create_time": NOW, "is_deleted": False, "is_hidden": False,
    }  # fmt: skip
    return PersonFacts(**{**plain, **own})


def test_facts_of_a_person() -> None:
    def of(**columns: Any) -> PersonFacts:
        person = UserInfo(id=7, nickname="n", create_time=NOW, status=UserStatus.ACTIVE, authority=1)
        for name, value in columns.items():
            setattr(person, name, value)
        return PersonFacts.of(person)

    plain = PersonFacts(7, "n", 0, 0, 0, NOW, is_deleted=False, is_hidden=False)
    assert of() == of(gender=None, sexual=None) == of(gender=0, sexual=0) == plain
    assert (of(gender=2, sexual=1).gender, of(gender=2, sexual=1).sexual) == (2, 1)
    # Single is 0 among the states of a relationship, and said as well.
    assert [of(emotion=emotion).details_given for emotion in (None, 0, 1, 2)] == [0, 1, 1, 1]
    everything = {
        "avatar": 5,
        "intro": "x",
        "birthday": NOW.date(),
        "height": 170,
        "education": 3,
        "salary": 1,
    }
    assert of(**everything, emotion=0, gender=1).details_given == 8
    assert of(status=UserStatus.DELETED).is_deleted and not of(status=UserStatus.BANNED).is_deleted
    assert [of(authority=authority).is_hidden for authority in (0, 1, 2)] == [True, False, False]


def test_a_place_in_the_ranking() -> None:
    index = PeopleIndex(DECAY)
    attention, bonus = DECAY.total([(DAY, 20), (DAY - 7, 8.0)]), math.log2(1.5)
    assert index.place_row(facts(), [(DAY - 7, 8.0)]) == {
        "user_id": 7, "shelf": 5, "attention": attention, "bonus": bonus, "score": attention + bonus,
    }  # fmt: skip
    assert attention == pytest.approx(DAY / 7 + math.log2(24))
    assert index.place_row(facts(is_hidden=True), ())["shelf"] is None


@pytest.fixture
def rebuild(api: Api) -> HotRebuild:
    discovery = api.parts.discovery
    return HotRebuild(api.parts.base.database, PeopleIndex(DECAY), discovery.editions)


def derived(session: Session, user_id: int) -> tuple[list[str], set[int], list[tuple[Any, ...]]]:
    names = session.scalars(select(SearchName.folded).where(SearchName.user_id == user_id))
    found: Any = session.scalars(select(SearchGram.gram).where(SearchGram.user_id == user_id))
    columns = HotPerson.shelf, HotPerson.attention, HotPerson.bonus, HotPerson.score
    places = session.execute(select(*columns).where(HotPerson.user_id == user_id))
    return list(names), set(found), [tuple(row) for row in places]


@EMBEDDED
class TestRebuilding:
    @pytest.fixture
    def people(self, api: Api) -> Iterator[list[PersonFacts]]:
        """People without rows; afterwards they have none again."""
        people = [facts(800_000_000 + at, nickname=f"{at}AB") for at in range(3)]
        yield people
        with api.parts.base.database.transaction() as session:
            for person in people:
                PeopleIndex(DECAY).remove(session.connection(), person.user_id)

    def test_makes_what_is_missing_and_puts_right_what_is_wrong(
        self, api: Api, rebuild: HotRebuild, people: list[PersonFacts]
    ) -> None:
        ids = [person.user_id for person in people]
        with api.parts.base.database.transaction() as session:
            # Points of one are too few to count, of another just one.
            session.execute(insert(HotDay), [
                {"user_id": ids[at], "day": DAY, "weight": weight, "people": 1, "active": True}
                for at, weight in ((1, 0.0), (2, 1.0))
            ])  # fmt: skip
            rebuild.reindex(session, people)
            expected = []
            for at, days in enumerate([(), (), [(DAY, 1.0)]]):
                row = PeopleIndex(DECAY).place_row(people[at], days)
                place = (5, row["attention"], row["bonus"], row["score"])
                expected.append(([f"{at}ab"], set(grams(f"{at}ab")), [place]))
            assert [derived(session, user_id) for user_id in ids] == expected
            session.execute(update(SearchName).where(SearchName.user_id == ids[0]).values(folded="0a"))
            session.execute(update(HotPerson).where(HotPerson.user_id == ids[1]).values(bonus=9.0))
            session.execute(update(HotPerson).where(HotPerson.user_id == ids[2]).values(score=9.0))
            rebuild.reindex(session, people)
            assert [derived(session, user_id) for user_id in ids] == expected
            with statements(api.parts.base.database) as ran:
                rebuild.reindex(session, people)
            assert [it.text.split()[0] for it in ran] == ["SELECT"] * 3, (
                "nothing is written where all is right"
            )
            gone = [facts(user_id, is_deleted=True) for user_id in ids[:2]]
            rebuild.reindex(session, [*gone, people[2]])
            nothing: Any = ([], set(), [])
            assert [derived(session, user_id) for user_id in ids] == [nothing, nothing, expected[2]]

    def test_grams_are_written_in_order_and_two_thousand_at_once(
        self, api: Api, rebuild: HotRebuild, people: list[PersonFacts]
    ) -> None:
        letters = iter(range(0x4E00, 0x9000))
        people[:] = [
            facts(800_000_000 + at, nickname="".join(chr(next(letters)) for _ in range(150)))
            for at in range(7)
        ]
        rows = sum(len(grams(person.nickname)) for person in people)
        with api.parts.base.database.transaction() as session, statements(api.parts.base.database) as ran:
            rebuild.reindex(session, people)
        sent = [list(it.values) for it in ran if "search_gram" in it.text]
        assert [len(values) // 2 for values in sent] == [2_000, rows - 2_000] and rows > 2_000
        written = [pair for values in sent for pair in zip(values[::2], values[1::2], strict=True)]
        assert written == sorted(written)


@EMBEDDED
class TestPersonalData:
    def test_days_are_exported_and_no_row_of_others_goes(self, api: Api) -> None:
        user_id, other_id = make_user(api).user_id, make_user(api).user_id
        data = PeopleData(PeopleIndex(DECAY))
        with api.parts.base.database.transaction() as session:
            for day, weight in ((DAY + 1, 2.5), (DAY, 4.0), (-1, 1.0)):
                session.add(HotDay(user_id=user_id, day=day, weight=weight, people=2, active=False))
            session.add(HotDay(user_id=other_id, day=DAY, weight=1.0, people=1, active=False))
            for receiver, giver in ((user_id, 5), (5, user_id), (other_id, 5), (5, other_id)):
                session.add(HotAttention(user_id=receiver, day=DAY, peer_id=giver, weight=1.0))
            session.flush()
            assert data.export(session, user_id, NOW) == {
                "attention": [
                    {"day": "2025-12-31", "weight": 1.0, "people": 2},
                    {"day": "2026-07-01", "weight": 4.0, "people": 2},
                    {"day": "2026-07-02", "weight": 2.5, "people": 2},
                ]
            }
            # What is derived from the profile goes first, then the attention, then the days.
            removed = []
            while some := data.remove(session, user_id, 2):
                removed.append(some)
            assert removed[1:] == [2, 2, 1]
            assert days_of(session, user_id) == [] and len(days_of(session, other_id)) == 1
            pairs = select(HotAttention.user_id, HotAttention.peer_id).where(
                (HotAttention.user_id == 5) | (HotAttention.peer_id == 5)
            )
            assert {tuple(row) for row in session.execute(pairs)} == {(other_id, 5), (5, other_id)}
            session.rollback()


def test_jobs_have_the_periods_of_the_documentation(api: Api) -> None:
    names = ("hot_edition", "hot_tidy", "nearby_moves")
    assert {name: api.parts.base.jobs[name].every_s for name in names} == {
        "hot_edition": 2.5, "hot_tidy": 3600, "nearby_moves": 1.0,
    }  # fmt: skip
    assert day_of(NOW) == DAY
