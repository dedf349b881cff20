"""People for benchmarks: a database with some, logged in, whose profiles are cached or not as a case wants."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import insert

from benchmarks.clients import signed_gets
from datingtoday.accounts.models import UserSession
from datingtoday.app import Parts, make_parts
from datingtoday.infra import migrations
from datingtoday.infra.cache import CacheRequest
from datingtoday.infra.config.settings import load_settings
from datingtoday.infra.db import LONG_ANSWER_S
from datingtoday.profiles.models import UserInfo
from datingtoday.protocol.login import digest_of, new_token

PEOPLE = 60_000
LOGGED_IN = 20_000
_CHUNK = 5_000


class People:
    """Fills an empty database and hands out people of whom nothing is cached yet."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        settings = load_settings(None, None, {**os.environ, **environ})
        migrations.upgrade(settings.database.uri)
        self._parts: Parts = make_parts(settings)
        self._parts.base.database.answer_s = LONG_ANSWER_S
        self._tokens = [new_token() for _ in range(LOGGED_IN)]
        self._first_id = self._insert()
        # As after an import: otherwise the servers would do it while they are measured.
        self._parts.discovery.rebuild.reindex_all(lambda done: None)
        self._parts.discovery.rebuild.make_edition(datetime.now(UTC))
        self.user = self._common(0)
        self._fresh_peers = iter(range(self._first_id + LOGGED_IN, self._first_id + PEOPLE))
        self._fresh_users = iter(range(1, LOGGED_IN))

    def peers_cached(self, count: int) -> list[bytes]:
        """Requests for the profiles of ten others, over and over."""
        made = []
        for peer in range(self._first_id + 1, self._first_id + 11):
            made.append(signed_gets("/api/user/show", {**self.user, "peerId": str(peer)}, -(-count // 10)))
        return [request for requests in zip(*made, strict=True) for request in requests]

    def peers_cold(self, count: int) -> list[bytes]:
        """Requests for profiles that nobody asked for before."""
        return self._each(
            signed_gets("/api/user/show", {**self.user, "peerId": str(peer)}, 1)
            for peer in _take(self._fresh_peers, count)
        )

    def peers_first(self, count: int) -> list[bytes]:
        """Requests for profiles that are cached, each by a person who looks at them for the first time."""
        now = datetime.now(UTC)
        chosen = _take(self._fresh_peers, count)
        profiles = self._parts.profiles.cards.profiles
        for start in range(0, len(chosen), 500):
            wanted = [CacheRequest(profiles, peer) for peer in chosen[start : start + 500]]
            self._parts.base.cache.fetch(wanted, now)
        return self._each(
            signed_gets("/api/user/show", {**self.user, "peerId": str(peer)}, 1) for peer in chosen
        )

    def selves_cold(self, count: int) -> list[bytes]:
        """Requests of people for their own profiles, who are known to be logged in but to whom nothing was shown."""
        now = datetime.now(UTC)
        chosen = _take(self._fresh_users, count)
        sessions = self._parts.accounts.sessions
        for index in chosen:
            digest = digest_of(self._tokens[index])
            reading = sessions.reading(digest)
            answers = self._parts.base.guard_redis.round_trip(reading.commands)
            sessions.verify(self._first_id + index, digest, reading, answers, now)
        return self._each(signed_gets("/api/user/show", self._common(index), 1) for index in chosen)

    @staticmethod
    def _each(requests: Iterator[list[bytes]]) -> list[bytes]:
        return [request for (request,) in requests]

    def _common(self, index: int) -> dict[str, str]:
        return {"userId": str(self._first_id + index), "token": self._tokens[index]}

    def _insert(self) -> int:
        now = datetime.now(UTC)
        first_id = 200_000
        with self._parts.base.database.transaction() as session:
            for numbers in _chunks(PEOPLE):
                session.execute(
                    insert(UserInfo), [self._person(first_id + number, number, now) for number in numbers]
                )
            for numbers in _chunks(LOGGED_IN):
                session.execute(
                    insert(UserSession), [self._session(first_id, number, now) for number in numbers]
                )
        return first_id

    @staticmethod
    def _person(user_id: int, number: int, now: datetime) -> dict[str, object]:
        return {
            "id": user_id,
            "phone": f"+86138{number:08d}",
            "nickname": f"小明{number}",
            "gender": 1 + number % 2,
            "birthday": date(1990 + number % 12, 1 + number % 12, 1 + number % 28),
            "height": 150 + number % 45,
            "intro": "喜欢看电影、徒步和做饭。",
            "last_active": now,
            "create_time": now,
            "update_time": now,
        }

    def _session(self, first_id: int, number: int, now: datetime) -> dict[str, object]:
        return {
            "user_id": first_id + number,
            "token_hash": digest_of(self._tokens[number]),
            "login_time": now,
            "last_seen": now + timedelta(hours=1),
            "expires_at": now + timedelta(days=7),
        }


def _chunks(count: int) -> Iterator[range]:
    return (range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK))


def _take(source: Iterator[int], count: int) -> list[int]:
    taken = list(itertools.islice(source, count))
    if len(taken) < count:
        raise SystemExit("the benchmark has used up its people: fewer rounds, shorter ones, or more people")
    return taken
