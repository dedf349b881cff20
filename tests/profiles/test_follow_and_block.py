"""Following and blocking: the rules, the lists, and both at the same time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.profiles.blocks import Blocked
from datingtoday.profiles.follows import Followed
from datingtoday.profiles.models import UserBlock, UserFollow
from datingtoday.profiles.people import NEUTRAL_NICKNAME
from datingtoday.profiles.schemas import CardSchema
from datingtoday.protocol.paging import page_schema
from tests.accounts.at_once import at_once
from tests.plugins.api import Api, User
from tests.profiles.factories import ban, delete, make_block, make_follow, make_hidden, make_user, set_row

LISTS = ["/api/user/follow/list", "/api/user/fans/list", "/api/user/block/list"]
CHANGES = ["/api/user/follow", "/api/user/unfollow", "/api/user/block", "/api/user/unblock"]
NOBODY = 2**31 - 1


@pytest.fixture
def heard(api: Api) -> Iterator[list[object]]:
    events: list[object] = []
    for kind in (Followed, Blocked):
        api.parts.base.events.listen(kind, events.append)
    yield events
    for kind in (Followed, Blocked):
        api.parts.base.events.stop(kind, events.append)


def post(api: Api, path: str, user: User, peer: User) -> Any:
    return api.post(path, user, peerId=peer.user_id)


def ids(api: Api, path: str, user: User, **page: Any) -> list[int]:
    return [card["user_id"] for card in api.get(path, user, **page).data["list"]]


def ties(api: Api, a: User, b: User) -> set[tuple[str, int, int]]:
    """All rows between two people."""
    found = set()
    with api.parts.base.database.transaction(write=False) as session:
        pair = (a.user_id, b.user_id)
        tables: list[tuple[str, type[UserFollow | UserBlock]]] = [
            ("follow", UserFollow),
            ("block", UserBlock),
        ]
        for name, table in tables:
            rows = session.execute(
                select(table.user_id, table.peer_id).where(table.user_id.in_(pair), table.peer_id.in_(pair))
            )
            found |= {(name, user_id, peer_id) for user_id, peer_id in rows}
    return found


# --- follow


def test_following_and_being_followed(api: Api, heard: list[object]) -> None:
    a, b = make_user(api), make_user(api)
    assert post(api, "/api/user/follow", a, b).data == {"following": True, "mutual": False}
    assert post(api, "/api/user/follow", b, a).data == {"following": True, "mutual": True}
    # Again: nothing new.
    assert post(api, "/api/user/follow", a, b).data == {"following": True, "mutual": True}
    assert [(event.user_id, event.peer_id) for event in heard if isinstance(event, Followed)] == [
        (a.user_id, b.user_id),
        (b.user_id, a.user_id),
    ]
    assert post(api, "/api/user/unfollow", a, b).data == {"following": False, "mutual": False}
    assert post(api, "/api/user/unfollow", a, b).data == {"following": False, "mutual": False}
    assert post(api, "/api/user/follow", a, b).data == {"following": True, "mutual": True}


@pytest.mark.parametrize("path", ["/api/user/unfollow", "/api/user/unblock"])
def test_taking_back_tells_nothing_of_who_exists(api: Api, path: str) -> None:
    user, hidden, blocker = make_user(api), make_user(api), make_user(api)
    make_hidden(api, hidden)
    make_follow(api, hidden, user)
    make_block(api, blocker, user)
    answers = {api.post(path, user, peerId=peer).body for peer in (hidden.user_id, blocker.user_id, NOBODY)}
    assert len(answers) == 1
    assert ties(api, user, blocker) == {("block", blocker.user_id, user.user_id)}


@pytest.mark.parametrize("path", ["/api/user/follow", "/api/user/block"])
@pytest.mark.parametrize("arrange", [make_hidden, ban, delete], ids=["hidden", "banned", "deleted"])
def test_whom_one_may_not_see_is_like_nobody(api: Api, path: str, arrange: Any) -> None:
    user, peer = make_user(api), make_user(api)
    arrange(api, peer)
    answer = post(api, path, user, peer)
    assert answer.code == 501
    assert answer.body == api.post(path, user, peerId=NOBODY).body
    assert ties(api, user, peer) == set()


@pytest.mark.parametrize("path", CHANGES)
def test_the_own_account_is_refused(api: Api, path: str) -> None:
    user = make_user(api)
    answer = post(api, path, user, user)
    assert (answer.code, "peerId" in answer.msg) == (300, True)
    assert ties(api, user, user) == set()


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("sent", [None, "", "0", "-5", "x", "1.0", "2147483648", "1,2", "９"])
def test_bad_ids_are_named(api: Api, path: str, sent: str | None) -> None:
    user = make_user(api)
    answer = api.post(path, user, **({} if sent is None else {"peerId": sent}))
    assert (answer.code, "peerId" in answer.msg) == (300, True)


# --- block


def test_a_block_ends_follows_and_hides_both(api: Api, heard: list[object]) -> None:
    a, b = make_user(api), make_user(api)
    make_follow(api, a, b)
    make_follow(api, b, a)
    for viewer, person in ((a, b), (b, a)):
        assert api.get("/api/user/show", viewer, peerId=person.user_id).code == 0

    for _ in range(2):
        answer = post(api, "/api/user/block", a, b)
        assert (answer.code, "data" in answer.json) == (0, False)

    assert ties(api, a, b) == {("block", a.user_id, b.user_id)}
    assert [event for event in heard if isinstance(event, Blocked)] == heard != []
    assert len(heard) == 1
    for viewer, person in ((a, b), (b, a)):
        assert api.get("/api/user/show", viewer, peerId=person.user_id).code == 501
        assert post(api, "/api/user/follow", viewer, person).code == 501
        assert ids(api, "/api/user/follow/list", viewer) == ids(api, "/api/user/fans/list", viewer) == []
    assert (ids(api, LISTS[2], a), ids(api, LISTS[2], b)) == ([b.user_id], [])

    # The blocked one cannot end it.
    assert post(api, "/api/user/unblock", b, a).code == 0
    assert api.get("/api/user/show", b, peerId=a.user_id).code == 501
    assert post(api, "/api/user/unblock", a, b).code == 0
    told = api.get("/api/user/show", b, peerId=a.user_id).data
    assert (told["following"], told["followed_by"]) == (False, False)


def test_who_is_blocked_can_be_known_enough_to_block_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    user, peer = make_user(api), make_user(api)
    make_block(api, peer, user)
    assert post(api, "/api/user/block", user, peer).code == 501

    def knows_all(session: Session, viewer_id: int, target_ids: Collection[int]) -> set[int]:
        return set(target_ids)

    monkeypatch.setattr(api.parts.profiles.visibility, "known", knows_all)
    assert post(api, "/api/user/block", user, peer).code == 0
    assert len(ties(api, user, peer)) == 2
    assert api.post("/api/user/block", user, peerId=NOBODY).code == 501


def test_the_block_list_shows_only_whom_one_could_see(api: Api) -> None:
    user = make_user(api)
    fine, hidden, banned, deleted, blocking = (make_user(api, height=170) for _ in range(5))
    for peer in (fine, hidden, banned, deleted, blocking):
        assert post(api, "/api/user/block", user, peer).code == 0
    make_hidden(api, hidden)
    ban(api, banned)
    delete(api, deleted)
    make_block(api, blocking, user)

    page = api.get("/api/user/block/list", user).data

    shown = {card["user_id"]: card for card in page["list"]}
    assert page["total"] == len(shown) == 5
    assert shown[fine.user_id]["height"] == 170
    for peer in (hidden, banned, deleted, blocking):
        assert shown[peer.user_id]["nickname"] == NEUTRAL_NICKNAME
        assert shown[peer.user_id]["height"] is None


# --- lists


def test_lists_keep_to_whom_one_may_find(api: Api) -> None:
    user = make_user(api)
    open_, hidden, banned, deleted, choosy, choosing, blocking = (make_user(api) for _ in range(7))
    everybody = (open_, hidden, banned, deleted, choosy, choosing, blocking)
    make_follow(api, user, *everybody)
    make_hidden(api, hidden)
    ban(api, banned)
    delete(api, deleted)
    set_row(api, choosy, authority=2)
    set_row(api, choosing, authority=2)
    make_follow(api, choosing, user)
    make_block(api, blocking, user)

    page = api.get("/api/user/follow/list", user).data
    assert {card["user_id"] for card in page["list"]} == {open_.user_id, choosing.user_id}
    assert page["total"] == 2
    make_follow(api, choosy, user)
    make_follow(api, hidden, user)
    page = api.get("/api/user/fans/list", user).data
    assert {card["user_id"] for card in page["list"]} == {choosing.user_id, choosy.user_id}
    assert page["total"] == 2


@pytest.mark.parametrize("path", LISTS)
def test_pages_by_number_and_by_cursor_show_everyone_once(api: Api, path: str) -> None:
    user = make_user(api)
    peers = _with_ties(api, path, user, 23, equal_times=10)
    newest_first = [peer.user_id for peer in reversed(peers)]

    schema = page_schema(CardSchema)
    by_number, number = [], 0
    while True:
        number += 1
        page = api.get(path, user, page=number, pageCount=5).data
        assert schema.validate(page) == {}
        assert set(page) == {"total", "list", "has_next", "next"}
        assert page["total"] == 23
        by_number += [card["user_id"] for card in page["list"]]
        if not page["has_next"]:
            assert page["next"] is None
            break
    assert (number, by_number) == (5, newest_first)

    by_cursor, asked = [], {"pageCount": 4}
    while True:
        page = api.get(path, user, **asked).data
        by_cursor += [card["user_id"] for card in page["list"]]
        if not page["has_next"]:
            break
        asked = {"pageCount": 4, "cursor": page["next"]}
        # Whoever comes now comes before the cursor: nobody is shown twice, nobody left out.
        _with_ties(api, path, user, 1)
    assert by_cursor == newest_first
    assert ids(api, path, user, page=100) == []


@pytest.mark.parametrize("path", LISTS)
def test_a_cursor_of_another_is_refused(api: Api, path: str) -> None:
    user, other = make_user(api), make_user(api)
    cursors = {}
    for viewer in (user, other):
        for each in LISTS:
            _with_ties(api, each, viewer, 2)
            cursors[viewer, each] = api.get(each, viewer, pageCount=1).data["next"]
    for (viewer, each), cursor in cursors.items():
        answer = api.get(path, user, pageCount=1, cursor=cursor)
        mine = viewer is user and each == path
        assert (answer.code, "cursor" in answer.msg) == ((0, False) if mine else (300, True))


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("page", "0"),
        ("page", "x"),
        ("pageCount", "0"),
        ("pageCount", "51"),
        ("cursor", ""),
        ("cursor", "AAAA"),
    ],
)
def test_bad_pages_are_named(api: Api, path: str, name: str, sent: str) -> None:
    answer = api.get(path, make_user(api), **{name: sent})
    assert (answer.code, name in answer.msg) == (300, True)


def test_a_total_beyond_a_thousand(api: Api) -> None:
    user = make_user(api)
    now = datetime.now(UTC)
    with api.parts.base.database.transaction() as session:
        session.add_all(
            UserBlock(user_id=user.user_id, peer_id=1_500_000_000 + number, create_time=now)
            for number in range(1_001)
        )
    page = api.get("/api/user/block/list", user, page=101).data
    assert (page["total"], page["total_more"], len(page["list"])) == (1_000, True, 1)
    assert page["has_next"] is False


# --- at the same time


def test_follow_and_block_at_once_leave_no_follow(api: Api) -> None:
    for _ in range(6):
        a, b = make_user(api), make_user(api)
        requests = [
            partial(post, api, "/api/user/follow", a, b),
            partial(post, api, "/api/user/block", b, a),
            partial(post, api, "/api/user/follow", b, a),
            partial(post, api, "/api/user/follow", a, b),
        ]
        answers = at_once(requests)
        assert {answer.code for answer in answers} <= {0, 501}
        assert answers[1].code == 0
        assert ties(api, a, b) == {("block", b.user_id, a.user_id)}
        told = api.get("/api/user/show", a, peerId=b.user_id)
        assert told.code == 501


def test_follows_at_once_make_one(api: Api, heard: list[object]) -> None:
    a, b = make_user(api), make_user(api)
    answers = at_once([lambda: post(api, "/api/user/follow", a, b)] * 4)
    assert [answer.code for answer in answers] == [0] * 4
    assert ties(api, a, b) == {("follow", a.user_id, b.user_id)}
    assert len(heard) == 1


def test_blocking_each_other_at_once(api: Api) -> None:
    for _ in range(4):
        a, b = make_user(api), make_user(api)
        make_follow(api, a, b)
        codes = {
            answer.code
            for answer in at_once(
                [
                    partial(post, api, "/api/user/block", a, b),
                    partial(post, api, "/api/user/block", b, a),
                ]
            )
        }
        # Who comes second may not see the other any more.
        assert codes == {0, 501}
        assert len(ties(api, a, b)) == 1


def _with_ties(api: Api, path: str, user: User, count: int, *, equal_times: int = 0) -> list[User]:
    """People in one of the lists, the oldest first; some of them at the same moment."""
    people = [make_user(api) for _ in range(count)]
    now = datetime.now(UTC)
    table = UserBlock if path == LISTS[2] else UserFollow
    with api.parts.base.database.transaction() as session:
        for number, peer in enumerate(people):
            ends = (peer.user_id, user.user_id) if path == LISTS[1] else (user.user_id, peer.user_id)
            at = now + timedelta(milliseconds=max(0, number - equal_times) - count)
            session.add(table(user_id=ends[0], peer_id=ends[1], create_time=at))
        api.parts.profiles.visibility.ties_changed(session, [(user.user_id, peer.user_id) for peer in people])
    return people
