"""A login that ends is refused by every process at once, whatever they had in memory or were about to cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import time_machine
from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.accounts.models import UserSession
from datingtoday.accounts.session_cache import ASK, CACHE_S
from datingtoday.accounts.sessions import SEEN_EVERY
from datingtoday.infra.db import before_commit, commit
from datingtoday.infra.models_memory import RedisMemory
from datingtoday.infra.redis import RedisDown
from datingtoday.profiles.models import UserStatus
from tests.accounts.conftest import AppWith
from tests.accounts.rows import set_person
from tests.plugins.api import Api, User, new_phone

Clock = time_machine.Traveller


def code_of(api: Api, user: User) -> int:
    return api.get("/api/user/show", user).code


def entry_key(api: Api, user: User) -> str:
    with api.parts.base.database.transaction(write=False) as session:
        epoch = session.get_one(RedisMemory, "sessions").epoch
    return f"session:{hashlib.sha256(user.token.encode()).hexdigest()}@{epoch}"


def entry_of(api: Api, user: User) -> bytes | None:
    found: bytes | None = api.parts.base.guard_redis.execute("GET", entry_key(api, user))
    return found


def row_of(api: Api, user: User) -> UserSession:
    digest = hashlib.sha256(user.token.encode()).hexdigest()
    with api.parts.base.database.transaction(write=False) as session:
        return session.scalars(select(UserSession).where(UserSession.token_hash == digest)).one()


@pytest.fixture
def here(app_with: AppWith) -> Api:
    return app_with(LIMITS_ENABLED=0)


@pytest.fixture
def there(app_with: AppWith) -> Api:
    """Another process of the same service."""
    return app_with(LIMITS_ENABLED=0)


def log_out(api: Api, user: User) -> None:
    assert api.post("/api/auth/logout", user).code == 0


def log_out_everywhere(api: Api, user: User) -> None:
    assert api.post("/api/auth/logout", api.new_user(user.phone), all=1).code == 0


def log_out_by_id(api: Api, user: User) -> None:
    other = api.new_user(user.phone)
    assert api.post("/api/auth/logout", other, sessionId=row_of(api, user).id).code == 0


def push_out(api: Api, user: User) -> None:
    for _ in range(5):
        api.new_user(user.phone)


def change_phone(api: Api, user: User) -> None:
    other, phone = api.new_user(user.phone), new_phone()
    assert api.post("/api/user/phone", other, phone=phone, code=api.new_code(phone, "phone")).code == 0


def ban(api: Api, user: User) -> None:
    set_person(api.parts, user.user_id, status=UserStatus.BANNED)


def delete(api: Api, user: User) -> None:
    with api.parts.base.database.transaction() as session:
        api.parts.accounts.service.close_account(session, user.user_id, now=datetime.now(UTC))


ENDS: list[tuple[Callable[[Api, User], None], int]] = [
    (log_out, 1101),
    (log_out_everywhere, 1101),
    (log_out_by_id, 1101),
    (push_out, 1101),
    (change_phone, 1101),
    (ban, 1102),
    (delete, 1101),
]


@pytest.mark.parametrize(("end", "code"), ENDS, ids=[end.__name__ for end, _ in ENDS])
class TestEveryEnd:
    def test_is_known_everywhere_at_once(
        self, here: Api, there: Api, end: Callable[[Api, User], None], code: int
    ) -> None:
        user = here.new_user()
        # Both answer from the cache now.
        assert [code_of(side, user) for side in (here, there, here, there)] == [0] * 4
        end(here, user)
        assert [code_of(side, user) for side in (there, here)] == [code] * 2

    def test_while_the_other_fills_its_cache(
        self,
        here: Api,
        there: Api,
        end: Callable[[Api, User], None],
        code: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The other has read the row, then the session ends, then it would cache what it has read."""
        user = here.new_user()
        sessions = there.parts.accounts.sessions
        read = sessions._read

        def read_then_it_ends(digest: str) -> Any:
            found = read(digest)
            monkeypatch.setattr(sessions, "_read", read)
            end(here, user)
            return found

        monkeypatch.setattr(sessions, "_read", read_then_it_ends)
        # This request was checked before the end; it may still be served.
        assert code_of(there, user) == 0
        assert [code_of(side, user) for side in (there, here)] == [code] * 2


@contextmanager
def ending(api: Api, user: User) -> Iterator[Session]:
    """A transaction in which the person's sessions have ended, not committed yet."""
    session = api.parts.base.database.session(write=True)
    try:
        api.parts.accounts.sessions.end(
            session, user.user_id, None, now=datetime.now(UTC), reason="logged_out"
        )
        session.flush()
        yield session
    finally:
        session.rollback()
        session.close()


class TestInterleavings:
    @pytest.fixture
    def there(self, there: Api) -> Api:
        """A new process writes once, at its first request; on SQLite that would wait for the open transaction."""
        assert code_of(there, there.new_user()) == 0
        return there

    def test_a_reader_between_the_word_and_the_commit_caches_nothing(self, here: Api, there: Api) -> None:
        user = here.new_user()
        seen: list[Any] = []
        with ending(here, user) as session:
            before_commit(session, lambda: seen.extend([code_of(there, user), entry_of(there, user)]))
            commit(session)
        assert seen == [0, ASK]
        assert code_of(there, user) == 1101

    def test_the_word_may_get_lost(self, here: Api, there: Api) -> None:
        """Redis loses "ask" before the commit, and a reader caches the old row: it is said again after the commit."""
        user = here.new_user()
        seen: list[Any] = []

        def lose() -> None:
            here.parts.base.guard_redis.execute("DEL", entry_key(here, user))
            seen.extend([code_of(there, user), entry_of(there, user)])

        with ending(here, user) as session:
            before_commit(session, lose)
            commit(session)
        assert seen[0] == 0
        assert seen[1] not in (None, ASK)
        assert code_of(there, user) == 1101

    def test_what_is_rolled_back_ended_nothing(self, here: Api, there: Api) -> None:
        user = here.new_user()
        assert code_of(there, user) == 0
        with ending(here, user):
            assert entry_of(there, user) not in (None, ASK)
        assert [code_of(side, user) for side in (there, here)] == [0, 0]

    def test_without_redis_nothing_ends(self, here: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        """A revocation that not every process heard of must not be done."""
        user = here.new_user()

        def down(*_args: Any) -> None:
            raise RedisDown("away")

        round_trip = here.parts.base.guard_redis.round_trip
        with pytest.raises(RedisDown), here.parts.base.database.transaction() as session:
            monkeypatch.setattr(here.parts.base.guard_redis, "round_trip", down)
            here.parts.accounts.sessions.end(
                session, user.user_id, None, now=datetime.now(UTC), reason="logged_out"
            )
        monkeypatch.setattr(here.parts.base.guard_redis, "round_trip", round_trip)
        assert row_of(here, user).ended_at is None
        assert code_of(here, user) == 0

    @pytest.mark.parametrize("with_entry", [True, False])
    def test_a_renewal_does_not_revive(
        self, here: Api, there: Api, clock: Clock, monkeypatch: pytest.MonkeyPatch, with_entry: bool
    ) -> None:
        """A used session is renewed in the very moment in which it ends elsewhere."""
        user = here.new_user()
        if with_entry:
            assert code_of(there, user) == 0
        else:
            here.parts.base.guard_redis.execute("SET", entry_key(here, user), ASK, "PX", 60_000)
        clock.shift(3600)
        sessions = there.parts.accounts.sessions
        renew = sessions._renew

        def it_ends_then_renew(*args: Any) -> None:
            log_out(here, user)
            ended = row_of(here, user)
            renew(*args)
            after = row_of(here, user)
            assert (after.expires_at, after.last_seen) == (ended.expires_at, ended.last_seen)

        monkeypatch.setattr(sessions, "_renew", it_ends_then_renew)
        assert code_of(there, user) == 0
        monkeypatch.setattr(sessions, "_renew", renew)
        assert [code_of(side, user) for side in (there, here)] == [1101, 1101]

    def test_an_answer_that_took_too_long_is_not_cached(
        self, here: Api, there: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So long that the "ask" which it must not miss could have run out."""
        user = here.new_user()
        monkeypatch.setattr("datingtoday.accounts.sessions.FILL_WITHIN_S", 0.0)
        assert code_of(there, user) == 0
        assert entry_of(there, user) is None


class TestEntriesOfAnotherForm:
    """Left behind by another version of the program, or by a fault: SQL is asked, nothing breaks."""

    GOOD = (1, 100785, 1, 4e9, 4e9, False, False, None, None)
    STRANGE = (
        b"",
        b"null",
        b"0",
        b"[]",
        b"{}",
        b"[1]",
        b'"ask"',
        b"asks",
        b"\xff\xfe",
        b"[" * 100,
        orjson.dumps(GOOD[1:]),
        orjson.dumps((2, *GOOD[1:])),
        orjson.dumps((*GOOD, None)),
        orjson.dumps((1, "100785", *GOOD[2:])),
        orjson.dumps((*GOOD[:3], None, *GOOD[4:])),
        orjson.dumps((*GOOD[:5], "no", *GOOD[6:])),
        orjson.dumps((*GOOD[:7], "soon", None)),
        orjson.dumps((*GOOD[:8], 5)),
    )

    def test_break_nothing_and_hide_no_end(self, here: Api, there: Api) -> None:
        user = here.new_user()
        for strange in self.STRANGE:
            here.parts.base.guard_redis.execute("SET", entry_key(here, user), strange, "PX", 60_000)
            assert [code_of(side, user) for side in (here, there)] == [0, 0], strange
            assert entry_of(here, user) == strange, "it may be another version's word"
        log_out(here, user)
        for strange in self.STRANGE:
            here.parts.base.guard_redis.execute("SET", entry_key(here, user), strange, "PX", 60_000)
            assert [code_of(side, user) for side in (here, there)] == [1101, 1101], strange

    def test_a_good_one_is_believed(self, here: Api) -> None:
        """Otherwise the others would prove nothing."""
        user = here.new_user()
        assert code_of(here, user) == 0
        entry = orjson.loads(entry_of(here, user) or b"")
        entry[5] = True
        here.parts.base.guard_redis.execute("SET", entry_key(here, user), orjson.dumps(entry), "PX", 60_000)
        assert code_of(here, user) == 1101

    def test_every_entry_runs_out(self, here: Api) -> None:
        """But not before a session in use is renewed, which makes it anew without reading SQL."""
        user = here.new_user()
        assert code_of(here, user) == 0
        assert (
            SEEN_EVERY.total_seconds() * 1000
            < here.parts.base.guard_redis.execute("PTTL", entry_key(here, user))
            <= CACHE_S * 1000
        )
        log_out(here, user)
        assert 0 < here.parts.base.guard_redis.execute("PTTL", entry_key(here, user)) <= CACHE_S * 1000


class TestRedisLosesItsMemory:
    def test_and_nobody_is_logged_out_or_in(self, app_of: Callable[..., Api], clock: Clock) -> None:
        api = app_of(LIMITS_ENABLED=0)
        used, unused, ended = api.new_user(), api.new_user(), api.new_user()
        assert [code_of(api, user) for user in (used, ended)] == [0, 0]
        log_out(api, ended)
        api.parts.base.guard_redis.client.flushall()
        assert code_of(api, used) == 1001
        clock.shift(6)
        assert [code_of(api, user) for user in (used, unused, ended)] == [0, 0, 1101]
