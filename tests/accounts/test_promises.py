"""Periods and limits by the values that the docs promise, not by the constants of the program."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from datingtoday.accounts import jobs
from datingtoday.accounts.models import SmsCode, SmsNumber, UserSession
from datingtoday.infra.config.settings import load_settings
from tests.accounts.test_sendsms import other_than
from tests.plugins.api import Api, new_phone
from tests.plugins.backend import Backend
from tests.profiles.factories import make_user

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def test_settings_as_the_docs_give_them(tmp_path: object) -> None:
    settings = load_settings(None, tmp_path, {})  # type: ignore[arg-type]
    accounts, limits, protocol = settings.accounts, settings.limits, settings.protocol
    assert (accounts.code_ttl_s, accounts.code_tries, accounts.session_days, accounts.devices) == (
        300,
        5,
        7,
        5,
    )
    assert accounts.regions == ("CN", "HK", "MO", "TW")
    assert (limits.sms_gap_s, limits.sms_per_hour, limits.sms_per_day) == (60, 5, 10)
    assert (limits.sms_per_address_per_hour, limits.per_user_per_minute, limits.reports_per_day) == (
        30,
        600,
        20,
    )
    assert (limits.wrong_codes_per_address_per_hour, limits.wrong_codes_per_prefix_per_hour) == (60, 300)
    assert (limits.sms_per_prefix_per_day, limits.sms_in_all_per_day) == (2_000, 20_000)
    assert (limits.cards_per_hour, limits.cards_per_day) == (4_000, 12_000)
    assert (limits.profiles_per_hour, limits.profiles_per_day, limits.uploads_at_once) == (600, 2_000, 2)
    assert (protocol.window_s, protocol.ahead_s) == (60, 5)
    assert (settings.media.user_files, settings.media.unused_hours) == (5_000, 24)
    assert (settings.discovery.hot_half_life_days, settings.discovery.hot_people_per_day) == (7, 200)
    assert settings.discovery.hot_giver_days == 7


def test_five_wrong_tries_and_not_one_more(api: Api) -> None:
    for tries, expected in ((4, 0), (5, 503)):
        phone = new_phone()
        code = api.new_code(phone)
        for _ in range(tries):
            assert api.post("/api/auth/login", phone=phone, code=other_than(code)).code == 503
        assert api.post("/api/auth/login", phone=phone, code=code).code == expected, tries


def test_codes_and_numbers_are_kept_for_two_days(app_of: Callable[..., Api]) -> None:
    api = app_of()
    database, now = api.parts.base.database, datetime.now(UTC)
    ages = {new_phone(): age for age in (MINUTE, 2 * DAY - MINUTE, 2 * DAY + MINUTE, 9 * DAY)}
    for phone, age in ages.items():
        api.new_code(phone)
        with database.transaction() as session:
            of_phone = f"+86{phone}"
            session.execute(update(SmsCode).where(SmsCode.phone == of_phone).values(sent_at=now - age))
            session.execute(
                update(SmsNumber).where(SmsNumber.phone == of_phone).values(last_sent_at=now - age)
            )
    jobs.purge(database, now)
    kept = {f"+86{phone}" for phone, age in ages.items() if age < 2 * DAY}
    with database.transaction(write=False) as session:
        assert set(session.scalars(select(SmsCode.phone))) == kept
        assert set(session.scalars(select(SmsNumber.phone))) == kept


def test_sessions_are_kept_for_thirty_days_after_their_end(app_of: Callable[..., Api]) -> None:
    api = app_of()
    database, now = api.parts.base.database, datetime.now(UTC)
    ages = {make_user(api).user_id: age for age in (29 * DAY, 30 * DAY - MINUTE, 30 * DAY + MINUTE)}
    for user_id, age in ages.items():
        with database.transaction() as session:
            mine = update(UserSession).where(UserSession.user_id == user_id)
            session.execute(mine.values(expires_at=now - age))
    jobs.purge(database, now)
    with database.transaction(write=False) as session:
        assert set(session.scalars(select(UserSession.user_id))) == {
            user_id for user_id, age in ages.items() if age < 30 * DAY
        }


def test_a_number_that_gets_a_code_while_it_is_purged_stays(
    app_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second line of defence: what was found to be old is looked at again when it is removed."""
    api, phone = app_of(), new_phone()
    database, now = api.parts.base.database, datetime.now(UTC)
    api.new_code(phone)
    with database.transaction() as session:
        session.execute(update(SmsNumber).values(last_sent_at=now - 3 * DAY))
    found: list[object] = []
    find = jobs._find

    def find_and_send(*arguments: object) -> object:
        keys = find(*arguments)  # type: ignore[arg-type]
        if f"+86{phone}" in keys and not found:
            found.append(keys)
            with database.transaction() as session:
                session.execute(update(SmsNumber).values(last_sent_at=now))
        return keys

    monkeypatch.setattr(jobs, "_find", find_and_send)
    removed = jobs.purge(database, now)
    assert found and removed["sms_number"] == 0
    with database.transaction(write=False) as session:
        assert session.get(SmsNumber, f"+86{phone}") is not None


def test_a_session_lasts_seven_days(api: Api, shared_backend: Backend) -> None:
    before = datetime.now(UTC)
    user = api.new_user()
    with api.parts.base.database.transaction(write=False) as session:
        row = session.scalars(select(UserSession).where(UserSession.user_id == user.user_id)).one()
    assert timedelta(0) <= row.expires_at - before - 7 * DAY <= MINUTE
