"""Logins at the very moment at which something ends or begins; moments are passed in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select

from datingtoday.accounts.errors import SmsCodeWrong
from datingtoday.accounts.models import UserAuth, UserSession
from datingtoday.infra.db import Database, DatabaseDown
from datingtoday.profiles.models import UserInfo, UserStatus
from datingtoday.protocol.errors import AccountBanned, AppError, NoPermission, TokenExpired
from datingtoday.protocol.login import Login, digest_of
from tests.accounts.conftest import AppWith
from tests.accounts.rows import set_person
from tests.plugins.api import Api, User, new_address, new_phone
from tests.profiles.factories import make_user

TICK = timedelta(microseconds=1)


def session_of(api: Api, user: User) -> UserSession:
    with api.parts.base.database.transaction(write=False) as session:
        found = session.query(UserSession).filter_by(token_hash=digest_of(user.token)).one()
        session.expunge(found)
        return found


def verify(api: Api, user: User, now: datetime) -> Login:
    """As the guard does it."""
    sessions = api.parts.accounts.sessions
    digest = digest_of(user.token)
    reading = sessions.reading(digest)
    answers = api.parts.base.guard_redis.round_trip(reading.commands)
    return sessions.verify(user.user_id, digest, reading, answers, now)


def refusals(api: Api, ids: list[int], now: datetime) -> dict[int, AppError]:
    with api.parts.base.database.transaction(write=False) as session:
        return api.parts.accounts.sessions.refusals(session, ids, now)


@contextmanager
def failing(database: Database, words: str, number: int) -> Iterator[list[str]]:
    """Let every statement with these words fail with an error of MySQL."""
    failed: list[str] = []

    def fail(_cursor: Any, text: str, _values: Any, context: Any) -> None:
        if words in text:
            failed.append(text)
            raise context.dialect.loaded_dbapi.OperationalError(number, "told to fail")

    event.listen(database.engine, "do_execute", fail)
    try:
        yield failed
    finally:
        event.remove(database.engine, "do_execute", fail)


def test_a_session_ends_at_its_moment(api: Api) -> None:
    user = make_user(api)
    ends_at = session_of(api, user).expires_at
    assert verify(api, user, ends_at - TICK).user_id == user.user_id
    user = make_user(api)
    row = session_of(api, user)
    with pytest.raises(TokenExpired):
        verify(api, user, row.expires_at)
    assert refusals(api, [row.id], row.expires_at - TICK) == {}
    assert isinstance(refusals(api, [row.id], row.expires_at)[row.id], TokenExpired)
    with api.parts.base.database.transaction(write=False) as session:
        live = api.parts.accounts.sessions.live
        assert len(live(session, user.user_id, row.expires_at - TICK)) == 1
        assert live(session, user.user_id, row.expires_at) == []


def test_a_ban_ends_at_its_moment(api: Api) -> None:
    user = make_user(api)
    row, until = session_of(api, user), datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    set_person(api.parts, user.user_id, status=UserStatus.BANNED, banned_until=until, ban_reason="spam")
    with pytest.raises(AccountBanned):
        verify(api, user, until - TICK)
    assert isinstance(refusals(api, [row.id], until - TICK)[row.id], AccountBanned)
    assert verify(api, user, until).user_id == user.user_id
    assert refusals(api, [row.id], until) == {}


def test_each_session_of_many_is_refused_for_its_own_reason(api: Api) -> None:
    now = datetime.now(UTC)
    live, ended, banned, deleted = (make_user(api) for _ in range(4))
    ids = [session_of(api, user).id for user in (live, ended, banned, deleted)]
    with api.parts.base.database.transaction() as session:
        api.parts.accounts.sessions.end(session, ended.user_id, None, now=now, reason="logged_out")
        session.get_one(UserInfo, banned.user_id).status = UserStatus.BANNED
        session.get_one(UserInfo, deleted.user_id).status = UserStatus.DELETED
    unknown = 2**31 - 1
    found = refusals(api, [*ids, unknown], now)
    assert {session_id: type(error) for session_id, error in found.items()} == {
        ids[1]: TokenExpired,
        ids[2]: AccountBanned,
        ids[3]: TokenExpired,
        unknown: TokenExpired,
    }


def test_a_session_in_use_is_renewed_every_five_minutes_for_a_week(api: Api) -> None:
    user = make_user(api)
    began = session_of(api, user)
    verify(api, user, began.last_seen + timedelta(seconds=299))
    assert session_of(api, user).last_seen == began.last_seen
    later = began.last_seen + timedelta(minutes=5)
    verify(api, user, later)
    renewed = session_of(api, user)
    assert (renewed.last_seen, renewed.expires_at) == (later, later + timedelta(days=7))


def test_a_renewal_that_loses_a_race_refuses_nobody(api: Api) -> None:
    for number in (1213, 1205):
        user = make_user(api)
        row = session_of(api, user)
        with failing(api.parts.base.database, "UPDATE user_session", number) as failed:
            assert verify(api, user, row.last_seen + timedelta(minutes=6)).user_id == user.user_id
        assert failed and session_of(api, user).last_seen == row.last_seen


def test_a_renewal_that_fails_otherwise_is_an_error(api: Api) -> None:
    user = make_user(api)
    later = session_of(api, user).last_seen + timedelta(minutes=6)
    with (
        failing(api.parts.base.database, "UPDATE user_session", 1146),
        pytest.raises(Exception, match="1146"),
    ):
        verify(api, user, later)


def test_a_token_of_another_user_is_none(api: Api) -> None:
    user, other = make_user(api), make_user(api)
    with pytest.raises(NoPermission):
        verify(api, User(other.user_id, user.token, ""), datetime.now(UTC))


@pytest.mark.parametrize(
    ("age", "is_right"), [(timedelta(seconds=300) - TICK, True), (timedelta(seconds=300), False)]
)
def test_a_code_is_good_for_five_minutes(api: Api, age: timedelta, is_right: bool) -> None:
    phone, database = f"+86{new_phone()}", api.parts.base.database
    codes, sent_at = api.parts.accounts.service.codes, datetime.now(UTC)
    code = codes.send(phone, "login", address=api.address, now=sent_at)

    def use() -> None:
        with database.transaction() as session:
            codes.check(session, phone, "login", code, address=api.address, now=sent_at + age)

    if is_right:
        use()
    else:
        with pytest.raises(SmsCodeWrong):
            use()


def test_a_try_that_fails_in_the_database_counts_for_nothing(app_with: AppWith) -> None:
    """A place is taken ahead: it must be given back, or a broken database locks a network out."""
    api = app_with(LIMITS_WRONG_CODES_PER_ADDRESS_PER_HOUR=1)
    phone, guesser, database = new_phone(), new_address(), api.parts.base.database
    code = api.new_code(phone)

    def use(tried: str, address: str) -> None:
        with database.transaction() as session:
            api.parts.accounts.service.codes.check(
                session, f"+86{phone}", "login", tried, address=address, now=datetime.now(UTC)
            )

    for _ in range(3):
        with failing(database, "UPDATE sms_code", 2006) as failed, pytest.raises(DatabaseDown):
            use(code, guesser)
        assert failed
    use(code, guesser)


def test_a_login_is_noted_at_its_moment(api: Api) -> None:
    user = make_user(api)
    before, now = session_of(api, user), datetime.now(UTC).replace(microsecond=0) + timedelta(hours=3)
    service, database = api.parts.accounts.service, api.parts.base.database
    with database.transaction() as session:
        login = service.log_in(
            session, f"+86{user.phone}", "unused", device="new phone", latlng=None, address=api.address, now=now,
            needs_code=False,
        )  # fmt: skip
    assert (login.user_id, login.is_new) == (user.user_id, False)
    assert login.expire_time == login.expired_time == now + timedelta(days=7)
    with database.transaction(write=False) as session:
        auth = session.scalars(select(UserAuth).where(UserAuth.user_id == user.user_id)).one()
        person = session.get_one(UserInfo, user.user_id)
        assert (auth.login_time, auth.create_time, person.last_active) == (now, auth.create_time, now)
        assert auth.create_time <= before.login_time
        devices = service.devices(session, user.user_id, current_id=before.id, now=now)
        assert [(it.device, it.login_time, it.last_seen, it.current) for it in devices] == [
            ("new phone", now, now, False),
            (before.device, before.login_time, before.last_seen, True),
        ]
