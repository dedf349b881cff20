"""Races that a transaction loses on MariaDB and MySQL: 1205 (lock wait), 1213 (deadlock), 1020 (changed since read)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, func, select

from datingtoday.accounts.models import SmsNumber
from datingtoday.infra.db import Database, DatabaseDown
from datingtoday.profiles.models import UserFollow
from tests.plugins.api import Api, User, new_phone
from tests.profiles.factories import make_user

LOST = [1205, 1213, 1020]
ALWAYS = 1_000


@contextmanager
def losing(database: Database, number: int, times: int, word: str) -> Iterator[list[str]]:
    """Let the next statements that contain ``word`` fail as the server would let them; which did."""
    lost: list[str] = []

    def lose(_cursor: Any, text: str, _values: Any, context: Any) -> None:
        if word in text and len(lost) < times:
            lost.append(text)
            raise context.dialect.loaded_dbapi.OperationalError(number, "lost a race")

    event.listen(database.engine, "do_execute", lose)
    try:
        yield lost
    finally:
        event.remove(database.engine, "do_execute", lose)


@contextmanager
def losing_commits(database: Database, number: int, times: int) -> Iterator[list[str]]:
    lost: list[str] = []
    dialect: Any = database.engine.dialect
    commit = dialect.do_commit

    def lose(connection: Any) -> None:
        if len(lost) < times:
            lost.append("COMMIT")
            # As a server does that refuses a commit: it has rolled back.
            connection.rollback()
            raise dialect.loaded_dbapi.OperationalError(number, "lost a race")
        commit(connection)

    dialect.do_commit = lose
    try:
        yield lost
    finally:
        dialect.do_commit = commit


def make_follow(api: Api, user: User) -> int:
    with api.parts.base.database.transaction(write=False) as session:
        return session.scalars(select(func.count()).where(UserFollow.user_id == user.user_id)).one()


@pytest.mark.parametrize("number", LOST)
def test_a_request_that_loses_once_or_twice_is_done_again(api: Api, number: int) -> None:
    for times in (1, 2):
        user, peer = make_user(api), make_user(api)
        with losing(api.parts.base.database, number, times, "INSERT INTO user_follow") as lost:
            assert api.post("/api/user/follow", user, peerId=peer.user_id).data["following"] is True
        assert len(lost) == times
        assert make_follow(api, user) == 1


@pytest.mark.parametrize("number", LOST)
def test_a_request_that_loses_every_time_is_told_to_come_back_and_changes_nothing(
    api: Api, number: int
) -> None:
    user, peer = make_user(api), make_user(api)
    with losing(api.parts.base.database, number, ALWAYS, "INSERT INTO user_follow") as lost:
        answer = api.post("/api/user/follow", user, peerId=peer.user_id)
    assert (answer.status, answer.code) == (503, 503)
    assert int(answer.headers["Retry-After"]) >= 1
    assert 2 <= len(lost) <= 10, "neither given up at once nor tried without end"
    assert make_follow(api, user) == 0
    assert api.post("/api/user/follow", user, peerId=peer.user_id).code == 0


def test_a_login_that_loses_uses_its_code_once(api: Api) -> None:
    phone = new_phone()
    code = api.new_code(phone)
    with losing(api.parts.base.database, 1213, 1, "INSERT INTO user_session") as lost:
        assert api.post("/api/auth/login", phone=phone, code=code).data["is_new"] is True
    assert lost
    assert api.post("/api/auth/login", phone=phone, code=code).code == 503


@pytest.mark.parametrize("number", LOST)
def test_sending_a_code_is_done_again_and_sends_once(api: Api, number: int) -> None:
    phone = new_phone()
    with losing(api.parts.base.database, number, 1, "INSERT INTO sms_code") as lost:
        assert api.post("/api/auth/sendsms", phone=phone).code == 0
    assert lost
    assert len(api.sms.sent[f"+86{phone}"]) == 1


def test_a_race_that_is_lost_in_the_commit_is_lost_like_any_other(api: Api) -> None:
    user, peer = make_user(api), make_user(api)
    # The first requests of all agree with SQL on what Redis remembers.
    other = make_user(api)
    assert api.get("/api/user/show", user, peerId=other.user_id).code == 0
    assert api.post("/api/user/follow", user, peerId=other.user_id).code == 0
    api.parts.base.streams.flush()
    with losing_commits(api.parts.base.database, 1213, 1) as lost:
        assert api.post("/api/user/follow", user, peerId=peer.user_id).code == 0
    assert lost == ["COMMIT"]
    assert make_follow(api, user) == 2


class TestRetried:
    """`Database.retried`, which work outside of requests' transactions goes through."""

    def work(self, phone: str) -> Callable[[Any], str]:
        def work(session: Any) -> str:
            session.add(SmsNumber(phone=phone, last_sent_at=None))
            session.flush()
            return "done"

        return work

    @pytest.mark.parametrize("number", LOST)
    def test_once(self, api: Api, number: int) -> None:
        database = api.parts.base.database
        with losing(database, number, 1, "INSERT INTO sms_number") as lost:
            assert database.retried(self.work(f"+86{new_phone()}")) == "done"
        assert len(lost) == 1

    def test_every_time(self, api: Api) -> None:
        database, phone = api.parts.base.database, f"+86{new_phone()}"
        with (
            losing(database, 1213, ALWAYS, "INSERT INTO sms_number") as lost,
            pytest.raises(DatabaseDown, match="lost every race"),
        ):
            database.retried(self.work(phone))
        assert len(lost) == 5
        with database.transaction(write=False) as session:
            assert session.get(SmsNumber, phone) is None

    def test_other_errors_are_not_tried_again(self, api: Api) -> None:
        database = api.parts.base.database
        with (
            losing(database, 1146, ALWAYS, "INSERT INTO sms_number") as lost,
            pytest.raises(Exception, match="1146"),
        ):
            database.retried(self.work(f"+86{new_phone()}"))
        assert len(lost) == 1
