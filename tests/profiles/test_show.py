"""`user/show` and cards: what is told of whom, to whom, and that it is never out of date."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest
import time_machine
from sqlalchemy.orm import Session

from datingtoday.profiles.cards.entries import KEPT_S
from datingtoday.profiles.models import UserLabel
from datingtoday.profiles.people import NEUTRAL_NICKNAME
from datingtoday.profiles.schemas import CardSchema, PeerProfileSchema, ProfileSchema
from datingtoday.profiles.service import ProfileVisited
from tests.plugins.api import Api, User, new_phone
from tests.plugins.statements import statements
from tests.profiles.factories import ban, delete, make_block, make_follow, make_hidden, make_photo, make_user

SECRETS = {"phone", "email", "birthday", "authority", "stealth", "personal", "create_time", "vip_deadline"}


@pytest.fixture
def visits(api: Api) -> Iterator[list[ProfileVisited]]:
    """Visits that were announced."""
    heard: list[ProfileVisited] = []
    api.parts.base.events.listen(ProfileVisited, heard.append)
    yield heard
    api.parts.base.events.stop(ProfileVisited, heard.append)


def cards(api: Api, viewer: User, *people: User) -> list[dict[str, Any]]:
    ids = [person.user_id for person in people]
    return [
        orjson.loads(bytes(card))
        for card in api.parts.profiles.cards.of(viewer.user_id, ids, datetime.now(UTC))
    ]


def show(api: Api, viewer: User, person: User) -> Any:
    return api.get("/api/user/show", viewer, peerId=person.user_id)


def test_own_profile_shows_everything(api: Api) -> None:
    user = make_user(api, email="a@example.com", birthday=date(2000, 1, 2), intro="hi")

    for told in (api.get("/api/user/show", user).data, show(api, user, user).data):
        assert ProfileSchema().validate(told) == {}
        assert set(told) == set(ProfileSchema().fields)
        assert told["phone"] == f"+86{user.phone}"
        assert (told["email"], told["birthday"]) == ("a@example.com", "2000-01-02")
        assert told["last_active"] == datetime.now(UTC).date().isoformat()
        assert (told["following"], told["followed_by"]) == (False, False)


def test_of_another_nothing_private_is_told(api: Api) -> None:
    viewer = make_user(api)
    peer = make_user(api, email="secret@example.com", birthday=date(1999, 3, 4), nickname="某人", height=170)

    answer = show(api, viewer, peer)

    told = answer.data
    assert PeerProfileSchema().validate(told) == {}
    assert set(told) == set(PeerProfileSchema().fields)
    assert not SECRETS & set(told)
    text = answer.body.decode()
    for secret in (peer.phone, "secret@example.com", "1999-03-04", peer.token):
        assert secret not in text
    assert (told["nickname"], told["height"]) == ("某人", 170)
    assert told["age"] in (27, 28)


def test_following_and_followed_by(api: Api) -> None:
    viewer, peer, stranger = make_user(api), make_user(api), make_user(api)
    make_follow(api, viewer, peer)
    told = show(api, viewer, peer).data
    assert (told["following"], told["followed_by"]) == (True, False)
    told = show(api, peer, viewer).data
    assert (told["following"], told["followed_by"]) == (False, True)
    make_follow(api, peer, viewer)
    told = show(api, viewer, peer).data
    assert (told["following"], told["followed_by"]) == (True, True)
    told = show(api, stranger, peer).data
    assert (told["following"], told["followed_by"]) == (False, False)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    "arrange",
    [
        lambda api, viewer, peer: make_hidden(api, peer),
        lambda api, viewer, peer: ban(api, peer),
        lambda api, viewer, peer: delete(api, peer),
        lambda api, viewer, peer: make_block(api, viewer, peer),
        lambda api, viewer, peer: make_block(api, peer, viewer),
    ],
    ids=["hidden", "banned", "deleted", "blocked", "blocked by"],
)
def test_whom_one_may_not_see_is_like_nobody(
    api: Api, visits: list[ProfileVisited], cached: bool, arrange: Callable[[Api, User, User], None]
) -> None:
    viewer, peer = make_user(api), make_user(api)
    if cached:
        assert show(api, viewer, peer).code == 0
        visits.clear()
    arrange(api, viewer, peer)

    answer, nobody = show(api, viewer, peer), api.get("/api/user/show", viewer, peerId=2**31 - 1)

    assert (answer.status, answer.body) == (nobody.status, nobody.body)
    assert answer.code == 501
    assert visits == []


def test_known_people_stay_visible_when_they_hide(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer, peer = make_user(api), make_user(api)
    make_hidden(api, peer)
    assert show(api, viewer, peer).code == 501

    def knows_all(session: Session, viewer_id: int, target_ids: Collection[int]) -> set[int]:
        return set(target_ids)

    monkeypatch.setattr(api.parts.profiles.visibility, "known", knows_all)
    assert show(api, viewer, peer).code == 0


def test_a_visit_is_announced_and_only_of_another(api: Api, visits: list[ProfileVisited]) -> None:
    viewer, peer = make_user(api), make_user(api)
    api.get("/api/user/show", viewer).data  # noqa: B018 - asserts success
    show(api, viewer, viewer).data  # noqa: B018
    assert visits == []
    for _ in range(2):
        show(api, viewer, peer).data  # noqa: B018
    assert [(visit.visitor_id, visit.user_id) for visit in visits] == [(viewer.user_id, peer.user_id)] * 2
    assert all(datetime.now(UTC) - visit.at < timedelta(minutes=1) for visit in visits)


@pytest.mark.parametrize(
    ("authority", "follows", "is_hidden", "is_listed"),
    [
        (1, False, False, True),
        (0, False, False, False),
        (0, True, False, False),
        (2, True, False, True),
        (2, False, False, False),
        (1, False, True, False),
        (2, True, True, False),
    ],
)
def test_a_visit_is_listed_while_neither_hides_from_the_other(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    visits: list[ProfileVisited],
    authority: int,
    follows: bool,
    is_hidden: bool,
    is_listed: bool,
) -> None:
    viewer, peer = make_user(api, authority=authority), make_user(api, authority=0 if is_hidden else 1)
    if follows:
        make_follow(api, viewer, peer)
    make_follow(api, peer, viewer)
    # Known to each other, so that also a profile that is hidden can be seen.
    monkeypatch.setattr(
        api.parts.profiles.visibility, "known", lambda _session, _viewer, targets: set(targets)
    )
    assert show(api, viewer, peer).code == 0
    assert [visit.is_listed for visit in visits] == [is_listed]


def test_a_card_has_its_shape(api: Api) -> None:
    viewer, other = make_user(api), make_user(api, birthday=date(2000, 1, 1), nickname='"\\</>\u2028')
    with api.parts.base.database.transaction() as session:
        session.add_all(UserLabel(user_id=other.user_id, label_id=n, position=-n) for n in (1, 10))
    first, again, third = cards(api, viewer, other, viewer, other)
    assert first == third
    assert CardSchema().validate(first) == {}
    assert set(first) == set(CardSchema().fields) == set(again)
    assert first["nickname"] == '"\\</>\u2028'
    # In the order of the choice.
    assert first["labels"] == ["会做饭", "慢热"]


def test_cards_of_who_is_gone_are_neutral_and_alike(api: Api) -> None:
    viewer = make_user(api)
    banned, deleted = (make_user(api, nickname="我", height=180, gender=2) for _ in range(2))
    assert [card["height"] for card in cards(api, viewer, banned, deleted)] == [180, 180]
    ban(api, banned)
    delete(api, deleted)
    nobody = User(2**31 - 1, "", "")
    told = cards(api, viewer, banned, deleted, nobody)
    assert [card.pop("user_id") for card in told] == [banned.user_id, deleted.user_id, nobody.user_id]
    assert told[0] == told[1] == told[2]
    assert CardSchema().validate({**told[0], "user_id": 1}) == {}
    assert told[0] == {
        "nickname": NEUTRAL_NICKNAME, "age": None, "gender": 0, "avatar": None, "height": None, "sexual": 0,
        "education": 0, "salary": None, "emotion": None, "vip": False, "labels": [],
    }  # fmt: skip


def test_photo_urls_are_signed_for_each_viewer(api: Api) -> None:
    viewers = [make_user(api), make_user(api)]
    peer = make_user(api)
    face, first, second = (make_photo(api, peer) for _ in range(3))
    assert api.post("/api/user/update", peer, avatar=face).code == 0
    for media_id in (first, second):
        assert api.post("/api/album/add", peer, mediaId=media_id).code == 0
    urls: list[list[str]] = []
    for viewer in [*viewers, viewers[0]]:
        told = show(api, viewer, peer).data
        found = [told["avatar"], *(photo[name] for photo in told["album"] for name in ("url", "thumb_url"))]
        urls.append(found)
        assert [_granted(api, url) for url in found] == [
            (face, "medium", viewer.user_id),
            (first, None, viewer.user_id),
            (first, "thumb", viewer.user_id),
            (second, None, viewer.user_id),
            (second, "thumb", viewer.user_id),
        ]
        assert cards(api, viewer, peer)[0]["avatar"] == told["avatar"]
    assert urls[0] == urls[2] != urls[1]


# --- nothing outlives what it says


def test_an_entry_ends_when_it_stops_being_true(api: Api) -> None:
    """Birthday and the end of a ban, by the life of the entries; the rest is told by `changed`."""
    viewer = make_user(api)
    # Five minutes before midnight in China.
    evening = datetime(2026, 6, 30, 15, 55, tzinfo=UTC)
    with time_machine.travel(evening, tick=False):
        ages = make_user(api, birthday=date(2000, 7, 1))
        soon = make_user(api, birthday=date(2000, 7, 2))
        banned = make_user(api)
        ban(api, banned, evening + timedelta(seconds=30))
        told = cards(api, viewer, ages, soon, banned)
        lives = [_life_s(api, person) for person in (ages, soon, banned)]
    assert [card["age"] for card in told] == [25, 25, None]
    assert 295 < lives[0] <= 300
    assert KEPT_S - 5 < lives[1] <= KEPT_S
    assert 25 < lives[2] <= 30
    _drop(api, ages, soon, banned)
    with time_machine.travel(evening + timedelta(minutes=5), tick=False):
        told = cards(api, viewer, ages, soon, banned)
    assert [card["age"] for card in told[:2]] == [26, 25]
    assert told[2]["nickname"] != NEUTRAL_NICKNAME


class _Vip:
    def __init__(self, until: datetime) -> None:
        self._until = until

    def deadlines(self, session: Session, user_ids: Collection[int]) -> dict[int, datetime]:
        return dict.fromkeys(user_ids, self._until)


def test_vip_is_told_until_its_deadline(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer, peer = make_user(api), make_user(api)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=90)
    monkeypatch.setattr(api.parts.profiles.cards.people, "_vip", _Vip(until))
    assert cards(api, viewer, peer)[0]["vip"] is True
    assert 80 < _life_s(api, peer) <= 90
    told = api.get("/api/user/show", peer).data
    assert told["vip_deadline"] == until.strftime("%Y-%m-%d %H:%M:%S")
    with time_machine.travel(until + timedelta(seconds=1)):
        _drop(api, peer)
        assert cards(api, viewer, peer)[0]["vip"] is False
        assert api.get("/api/user/show", peer).code == 0
        assert _life_s(api, peer) > 100
    _drop(api, peer)


def test_what_is_written_shows_at_once_everywhere(api: Api) -> None:
    viewer, peer = make_user(api), make_user(api)
    for height in (170, 171, 172):
        api.post("/api/user/update", peer, height=height).data  # noqa: B018 - asserts success
        assert show(api, viewer, peer).data["height"] == height
        assert cards(api, viewer, peer)[0]["height"] == height
        assert api.get("/api/user/show", peer).data["height"] == height


def test_a_new_number_shows_at_once(api: Api) -> None:
    user = make_user(api)
    assert api.get("/api/user/show", user).data["phone"] == f"+86{user.phone}"
    phone = new_phone()
    code = api.new_code(phone, "phone")
    api.post("/api/user/phone", user, phone=phone, code=code).data  # noqa: B018 - asserts success
    assert api.get("/api/user/show", user).data["phone"] == f"+86{phone}"


def test_being_active_shows_once_a_day(api: Api) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    viewer, peer = make_user(api), make_user(api, last_active=yesterday)
    assert show(api, viewer, peer).data["last_active"] == yesterday.date().isoformat()
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=6)):
        api.get("/api/user/show", peer).data  # noqa: B018 - asserts success
        today = datetime.now(UTC).date().isoformat()
        assert show(api, viewer, peer).data["last_active"] == today
        with api.parts.base.database.transaction() as session:
            api.parts.profiles.service.note_active(session, peer.user_id, datetime.now(UTC))
        # Not a second time: what is cached stays.
        assert api.parts.base.cache.memory.read([f"profile:{{{peer.user_id}}}"])[0][:1] == b"="  # type: ignore[index]


def test_a_cached_profile_costs_no_sql(api: Api) -> None:
    viewer, peer = make_user(api), make_user(api)
    show(api, viewer, peer).data  # noqa: B018 - asserts success
    api.get("/api/user/show", viewer).data  # noqa: B018
    with statements(api.parts.base.database) as seen:
        show(api, viewer, peer).data  # noqa: B018
        api.get("/api/user/show", viewer).data  # noqa: B018
    assert seen == []


@pytest.mark.parametrize("sent", ["0", "-1", "abc", "", "1.5", "2147483648", "１", "9" * 100, "1,2", " 1"])
def test_bad_ids_are_named(api: Api, sent: str) -> None:
    answer = api.get("/api/user/show", make_user(api), peerId=sent)
    assert (answer.code, "peerId" in answer.msg) == (300, True)


def _granted(api: Api, url: str) -> tuple[str, str | None, int]:
    path, _, query = url.partition("?")
    values = dict(part.split("=", 1) for part in query.split("&"))
    media_id = path.removeprefix("/api/media/")
    grant = api.parts.profiles.cards.signer.verify(
        media_id,
        size=values.get("size"),
        expires=values["expires"],
        signature=values["signature"],
        now=datetime.now(UTC),
    )
    assert grant is not None, url
    return grant.media_id, grant.size, grant.viewer_id


def _life_s(api: Api, person: User) -> float:
    name = api.cache_name(f"card:{{{person.user_id}}}")
    return float(api.parts.base.cache_redis.execute("PTTL", name)) / 1000


def _drop(api: Api, *people: User) -> None:
    for person in people:
        for kind in ("card", "profile", "own"):
            api.parts.base.cache_redis.execute("DEL", api.cache_name(f"{kind}:{{{person.user_id}}}"))
