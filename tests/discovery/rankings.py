"""Helpers for tests of the hot list: scores, editions, reading pages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import update

from datingtoday.discovery.hot.editions import Edition
from datingtoday.discovery.hot.models import HotPerson
from datingtoday.discovery.hot.ranking import Attention
from datingtoday.infra.stream_reader import drain
from tests.plugins.api import Api, User
from tests.plugins.polling import wait_until
from tests.profiles.factories import make_user

PATH = "/api/user/hot/list"


def edition(api: Api) -> Edition:
    """Count what happened, and make a new one, as soon as nobody else is making one."""
    count(api)
    made: list[Edition] = []

    def is_made() -> bool:
        found = api.parts.discovery.editions.make(datetime.now(UTC))
        made.extend([] if found is None else [found])
        return found is not None

    wait_until(is_made, "the edition")
    return made[0]


def count(api: Api) -> None:
    """Do the worker's work: attention that was noted counts."""
    drain(api.parts.base.streams)


def score(api: Api, user: User, level: float) -> None:
    """Put a user at a place of the ranking."""
    with api.parts.base.database.transaction() as session:
        values = {"attention": level, "bonus": 0.0, "score": level}
        session.execute(update(HotPerson).where(HotPerson.user_id == user.user_id).values(values))


def ranked(api: Api, count: int, **columns: Any) -> list[User]:
    """People of whom each is hotter than the next."""
    people = [make_user(api, **columns) for _ in range(count)]
    for number, person in enumerate(people):
        score(api, person, 1000.0 - number)
    return people


def ids(api: Api, user: User, **page: Any) -> list[int]:
    return [card["user_id"] for card in api.get(PATH, user, **page).data["list"]]


def numbers(people: list[User]) -> list[int]:
    return [person.user_id for person in people]


def note(api: Api, user: User, peer_id: int, kind: Attention, now: datetime | None = None) -> bool:
    with api.parts.base.database.transaction() as session:
        return api.parts.discovery.scores.note(session, user.user_id, peer_id, kind, now or datetime.now(UTC))


def place(api: Api, user: User) -> HotPerson:
    count(api)
    with api.parts.base.database.transaction(write=False) as session:
        return session.get_one(HotPerson, user.user_id)


def lose_rankings(api: Api) -> None:
    """Redis forgets the hot list, and nothing else that other roles keep on the same server."""
    client = api.parts.base.cache_redis.client
    for key in list(client.scan_iter("hot:*")):
        client.delete(key)
    api.parts.discovery.editions.forget_all()
