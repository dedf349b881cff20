"""Visitors: which visits leave a trace, for whom they are listed, and a crowd of visitors at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select

from datingtoday.visitors.models import Visitor
from datingtoday.visitors.service import fold
from tests.plugins.api import Api, User
from tests.profiles.factories import ban, delete, make_block, make_follow, make_hidden, make_user
from tests.visitors.visits import COUNT, LIST, Vips, count, ids, listed, record, visit

NONE = {"total": 0, "unread": 0}


@pytest.fixture
def vips(api: Api, monkeypatch: pytest.MonkeyPatch) -> Vips:
    return Vips(api, monkeypatch)


class TestList:
    def test_the_latest_visitor_comes_first_with_counts_and_status(self, api: Api, vips: Vips) -> None:
        owner, first, second = make_user(api), make_user(api), make_user(api)
        vips.make(owner)
        for visitor in (first, second, first):
            visit(api, visitor, owner)
        assert count(api, owner) == {"total": 2, "unread": 2}
        page = listed(api, owner)
        assert ids(page) == [first.user_id, second.user_id]
        assert [row["visits"] for row in page["list"]] == [2, 1]
        assert [row["status"] for row in page["list"]] == [0, 0], "as it was before"
        assert (page["total"], page["has_next"]) == (2, False)
        moment = datetime.strptime(page["list"][0]["visit_time"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)
        assert [row["status"] for row in listed(api, owner)["list"]] == [1, 1]
        assert count(api, owner) == {"total": 2, "unread": 0}

    def test_another_visit_is_unread_again(self, api: Api, vips: Vips) -> None:
        owner, visitor = make_user(api), make_user(api)
        vips.make(owner)
        visit(api, visitor, owner)
        listed(api, owner)
        visit(api, visitor, owner)
        assert count(api, owner) == {"total": 1, "unread": 1}

    def test_only_the_first_page_marks_as_read(self, api: Api, vips: Vips) -> None:
        owner, visitors = make_user(api), [make_user(api) for _ in range(3)]
        vips.make(owner)
        for visitor in visitors:
            visit(api, visitor, owner)
        listed(api, owner, page=2, pageCount=1)
        assert count(api, owner)["unread"] == 3
        first = listed(api, owner, pageCount=1)
        visit(api, visitors[0], owner)
        assert count(api, owner)["unread"] == 1, "who was on no page of it is read as well"
        listed(api, owner, pageCount=1, cursor=first["next"])
        assert count(api, owner)["unread"] == 1

    def test_by_cursor_nobody_comes_twice_while_others_move_up(self, api: Api, vips: Vips) -> None:
        owner, visitors = make_user(api), [make_user(api) for _ in range(7)]
        vips.make(owner)
        for visitor in visitors:
            visit(api, visitor, owner)
        page = listed(api, owner, pageCount=3)
        met = ids(page)
        visit(api, visitors[0], owner)
        while page["has_next"]:
            page = listed(api, owner, pageCount=3, cursor=page["next"])
            met += ids(page)
        assert met == [visitor.user_id for visitor in reversed(visitors[1:])]
        assert ids(listed(api, owner, pageCount=3))[0] == visitors[0].user_id

    def test_without_vip_nothing_tells_who(self, api: Api, vips: Vips) -> None:
        owner, visitor = make_user(api), make_user(api)
        visit(api, visitor, owner)
        assert count(api, owner) == {"total": 1, "unread": 1}, "free"
        answer = api.get(LIST, owner)
        assert (answer.code, answer.json.keys()) == (1501, {"code", "msg"})
        assert str(visitor.user_id).encode() not in answer.body
        assert count(api, owner)["unread"] == 1, "nothing was read"

    def test_vip_counts_to_the_second(self, api: Api, vips: Vips) -> None:
        owner = make_user(api)
        vips.make(owner, seconds=100)
        assert api.get(LIST, owner).code == 0
        with time_machine.travel(datetime.now(UTC) + timedelta(seconds=101)):
            assert api.get(LIST, owner).code == 1501

    def test_very_many_are_counted_to_a_thousand(self, api: Api, vips: Vips) -> None:
        owner, now = make_user(api), datetime.now(UTC)
        vips.make(owner)
        rows = [
            {"user_id": owner.user_id, "visitor_id": 1_000_000_000 + number, "visit_time": now, "visits": 1,
             "status": number % 2}
            for number in range(2_100)
        ]  # fmt: skip
        with api.parts.base.database.transaction() as session:
            session.execute(insert(Visitor), rows)
        assert count(api, owner) == {"total": 1000, "total_more": True, "unread": 1000}
        assert listed(api, owner)["list"] == [], "nobody has these ids"
        assert count(api, owner) == {"total": 1000, "total_more": True, "unread": 0}


class TestTraces:
    def test_own_visits_are_not_counted(self, api: Api) -> None:
        user = make_user(api)
        visit(api, user, user)
        api.get("/api/user/show", user).data  # noqa: B018
        assert count(api, user) == NONE

    def test_stealth_is_for_vips_and_decided_at_the_visit(self, api: Api, vips: Vips) -> None:
        owner, visitor = make_user(api), make_user(api)
        api.post("/api/user/update", visitor, stealth=1).data  # noqa: B018
        visit(api, visitor, owner)
        assert count(api, owner) == {"total": 1, "unread": 1}, "chosen, but not VIP"
        vips.make(owner, visitor)
        listed(api, owner)
        visit(api, visitor, owner)
        assert count(api, owner) == {"total": 1, "unread": 0}, "nothing new"
        api.post("/api/user/update", visitor, stealth=0).data  # noqa: B018
        visit(api, visitor, owner)
        # Chosen before the worker comes to it: the visit was an open one.
        api.post("/api/user/update", visitor, stealth=1).data  # noqa: B018
        assert count(api, owner) == {"total": 1, "unread": 1}

    @pytest.mark.parametrize("followed", [False, True])
    def test_a_hidden_visitor_leaves_one_where_the_owner_may_find_them(
        self, api: Api, followed: bool
    ) -> None:
        owner, nobody, chosen = make_user(api), make_user(api, authority=0), make_user(api, authority=2)
        if followed:
            make_follow(api, chosen, owner)
            make_follow(api, nobody, owner)
        visit(api, nobody, owner)
        visit(api, chosen, owner)
        assert count(api, owner)["total"] == int(followed)

    def test_at_a_hidden_owner_none_though_known(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        owner, visitor = make_user(api), make_user(api)
        monkeypatch.setattr(api.parts.profiles.visibility, "known", lambda session, viewer, ids: set(ids))
        make_hidden(api, owner)
        visit(api, visitor, owner)
        assert count(api, owner) == NONE

    def test_refused_looks_leave_none(self, api: Api) -> None:
        owner, visitor = make_user(api), make_user(api)
        make_block(api, owner, visitor)
        assert api.get("/api/user/show", visitor, peerId=owner.user_id).code == 501
        assert count(api, owner) == NONE


@pytest.mark.parametrize(
    "happens",
    [
        lambda api, owner, visitor: make_block(api, owner, visitor),
        lambda api, owner, visitor: make_block(api, visitor, owner),
        lambda api, owner, visitor: make_hidden(api, visitor),
        lambda api, owner, visitor: ban(api, visitor),
        lambda api, owner, visitor: delete(api, visitor),
    ],
    ids=["blocking", "blocked", "hidden", "banned", "deleted"],
)
def test_only_those_are_listed_whom_one_may_find_now(
    api: Api, vips: Vips, happens: Callable[[Api, User, User], None]
) -> None:
    owner, visitor, other = make_user(api), make_user(api), make_user(api)
    vips.make(owner)
    visit(api, visitor, owner)
    visit(api, other, owner)
    assert set(ids(listed(api, owner))) == {visitor.user_id, other.user_id}
    happens(api, owner, visitor)
    page = listed(api, owner)
    assert (ids(page), page["total"]) == ([other.user_id], 1)


def test_who_was_seen_before_a_block_may_be_reported(api: Api) -> None:
    viewer, seen, unseen = make_user(api), make_user(api), make_user(api)
    visit(api, viewer, seen)
    record(api)
    for peer, code in ((seen, 0), (unseen, 501)):
        make_block(api, peer, viewer)
        assert api.post("/api/user/report", viewer, peerId=peer.user_id, reason="spam").code == code


def test_export_and_deletion(api: Api) -> None:
    owner, visitor = make_user(api), make_user(api)
    visit(api, visitor, owner)
    record(api)
    store = next(store for store in api.parts.base.personal_data if store.name == "visitors")
    now = datetime.now(UTC)
    with api.parts.base.database.transaction() as session:
        told = store.export(session, visitor.user_id, now)
        assert [row["user_id"] for row in told["visits_made"]] == [owner.user_id]
        received = store.export(session, owner.user_id, now)
        assert received["visits_made"] == []
        assert [set(row) for row in received["visits_received"]] == [{"visit_time", "visits", "status"}]
        assert store.remove(session, visitor.user_id, 10) == 1
        assert store.remove(session, visitor.user_id, 10) == 0
    assert count(api, owner) == NONE


class TestRecording:
    def test_a_crowd_and_a_reader_at_the_same_time(self, api: Api, vips: Vips) -> None:
        """Real requests at once, workers at once, and the owner marking as read in between."""
        owner, visitors = make_user(api), [make_user(api) for _ in range(6)]
        vips.make(owner)

        def many(visitor: User) -> None:
            for _ in range(5):
                visit(api, visitor, owner)
                record(api)

        def read(_: int) -> None:
            api.get(LIST, owner).data  # noqa: B018
            api.get(COUNT, owner).data  # noqa: B018

        with ThreadPoolExecutor(8) as pool:
            done = [pool.submit(many, visitor) for visitor in visitors]
            done += [pool.submit(read, number) for number in range(10)]
            for one in done:
                one.result()
        page = listed(api, owner)
        assert {row["peer"]["user_id"]: row["visits"] for row in page["list"]} == {
            visitor.user_id: 5 for visitor in visitors
        }

    def test_a_late_batch_does_not_set_back_the_time(self, api: Api) -> None:
        owner, visitor = make_user(api), make_user(api)
        write = api.parts.visitors.service.write
        for at_us in (2_000_000, 1_000_000):
            with api.parts.base.database.transaction() as session:
                write(session, [[owner.user_id, visitor.user_id, at_us]])
        with api.parts.base.database.transaction(write=False) as session:
            row = session.scalars(select(Visitor).where(Visitor.user_id == owner.user_id)).one()
        assert (row.visits, row.visit_time) == (2, datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC))


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(4, 6), st.integers(0, 2**53))))
def test_folding_keeps_counts_and_the_last_time(entries: list[tuple[int, int, int]]) -> None:
    folded = fold([list(entry) for entry in entries])
    pairs = [(visits.user_id, visits.visitor_id) for visits in folded]
    assert pairs == sorted(set(pairs))
    for visits in folded:
        own = [at_us for *pair, at_us in entries if tuple(pair) == visits[:2]]
        assert visits.visits == len(own)
        assert visits.visit_time == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=max(own))
    assert sum(visits.visits for visits in folded) == len(entries)
