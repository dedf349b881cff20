"""Everything that is stored on a person is declared, handed out, and removed."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, select

from datingtoday.discovery.hot.models import HotAttention, HotDay
from datingtoday.infra.db import Base, UTCDateTime
from datingtoday.infra.personal_data import PersonColumn
from datingtoday.profiles.models import UserAlbum, UserInfo, UserLabel, UserStatus
from datingtoday.safety.models import ReportState, UserReport
from datingtoday.safety.schemas import export_schema
from tests.chat.talking import send
from tests.media.uploads import make_media
from tests.plugins.api import Api, User
from tests.profiles.factories import make_block, make_follow, make_hidden, make_user

NAMES_A_PERSON = re.compile(
    r"(^|_)(uid|phone)$|^(user|peer|visitor|creator|owner|viewer|reporter|sender)_id$|_by$"
)
OTHER_IDS = re.compile(r"^(id|pos|seq|.*_(id|no))$")
"""Columns that look like ids; the tests below have to know what each of them is."""
NO_PERSON = {
    "user_label.label_id", "user_album.photo_id", "user_album.media_id", "user_report.message_id", "user_auth.open_id",
    "contacts.conversation_id", "message.conversation_id", "message.seq", "message.client_id", "message.media_id",
    "message_media.media_id", "message_media.conversation_id", "message_media.seq", "chat_event.pos",
    "chat_event.conversation_id", "chat_event.seq",
    "user_order.product_id", "user_order.trade_no", "user_order.client_id", "user_order.open_id",
    "user_order.transaction_id", "user_order.apple_id", "product.apple_id", "pay_notice.notice_id",
    "pay_notice.trade_no",
    "order_refund.order_id", "order_refund.refund_id", "order_refund.transaction_id", "refund_task.order_id",
    "refund_task.transaction_id", "refund_task.refund_no", "sandbox_trade.trade_no", "sandbox_trade.transaction_id",
    "vip_grant.order_id",
}  # fmt: skip
SECRET = "只有本人知道"


def _held(api: Api) -> list[PersonColumn]:
    return [held for keeper in api.parts.base.personal_data for held in keeper.holds]


def _columns() -> dict[str, Table]:
    """Columns that name a person, by what they are called or refer to."""
    found = {}
    for table in Base.metadata.tables.values():
        for column in table.columns:
            name = f"{table.name}.{column.name}"
            refers = any(key.target_fullname == "user_info.id" for key in column.foreign_keys)
            if refers or NAMES_A_PERSON.search(column.name) or name == "user_info.id":
                found[name] = table
    return found


def test_every_column_that_names_a_person_is_declared_once(api: Api) -> None:
    declared = [f"{held.table}.{held.column}" for held in _held(api)]
    assert sorted(declared) == sorted(_columns())


def test_no_column_escapes_by_its_name() -> None:
    """A new column that looks like an id must be told apart: it names a person, or it stands in `NO_PERSON`."""
    unclear = set()
    for table in Base.metadata.tables.values():
        for column in table.columns:
            name = f"{table.name}.{column.name}"
            if OTHER_IDS.search(column.name) and name not in _columns() and name not in NO_PERSON:
                if column.primary_key and column.name == "id":
                    continue
                unclear.add(name)
    assert unclear == set()


@pytest.fixture
def person(api: Api) -> User:
    """A user with a row in every table that names a person."""
    older = make_user(api)
    user = make_user(
        api, intro=SECRET, email="own@example.com", birthday=date(1991, 2, 3), height=181, nickname="自己"
    )
    others = [make_user(api) for _ in range(3)]
    make_follow(api, user, others[0])
    make_follow(api, others[0], user)
    make_follow(api, others[1], user)
    make_block(api, user, others[2])
    make_block(api, others[1], user)
    make_media(api, user)
    for sender, receiver in ((user, older), (older, user), (user, others[0])):
        send(api, sender, receiver, f"from {sender.user_id}").data  # noqa: B018 - asserts success
    now = datetime.now(UTC)
    with api.parts.base.database.transaction() as session:
        session.add(UserLabel(user_id=user.user_id, label_id=3, position=0))
        session.add(HotDay(user_id=user.user_id, day=1, weight=3, people=1))
        session.add(HotAttention(user_id=user.user_id, day=1, peer_id=others[0].user_id, weight=3))
        session.add(HotAttention(user_id=others[0].user_id, day=1, peer_id=user.user_id, weight=1))
        session.add(UserAlbum(user_id=user.user_id, media_id="Photo1", position=0, create_time=now))
        for reporter, reported, state in (
            (user, others[0], ReportState.DISMISSED), (others[0], user, ReportState.DISMISSED),
            (others[1], user, ReportState.OPEN),
        ):  # fmt: skip
            session.add(
                UserReport(
                    user_id=reporter.user_id, peer_id=reported.user_id, reason="spam", detail=f"von {reporter.user_id}",
                    evidence='{"profile": "' + SECRET + '"}', state=state, create_time=now,
                )
            )  # fmt: skip
    for held in _held(api):
        if f"{held.table}.{held.column}" not in _rows_naming(api, user):
            _add_any_row(api, Base.metadata.tables[held.table], held.column, user)
    return user


def _add_any_row(api: Api, table: Table, column: str, user: User) -> None:
    """A row of a table of another feature that names the person; what else is in it does not matter here."""
    values: dict[str, Any] = {column: f"+86{user.phone}" if column == "phone" else user.user_id}
    for other in table.columns:
        if (
            other.name in values
            or other.nullable
            or other.default is not None
            or other.server_default is not None
        ):
            continue
        if other.autoincrement is True:
            continue
        kind = datetime if isinstance(other.type, UTCDateTime) else other.type.python_type
        some: dict[type, Any] = {
            int: secrets.randbelow(30_000), str: secrets.token_hex(4), bool: False, float: 0.5, date: date(2020, 1, 1),
            datetime: datetime.now(UTC), bytes: b"",
        }  # fmt: skip
        values[other.name] = some[kind]
    with api.parts.base.database.transaction() as session:
        session.execute(table.insert().values(values))


def _rows_naming(api: Api, user: User) -> set[str]:
    """The columns that name this person in some row."""
    found = set()
    with api.parts.base.database.transaction(write=False) as session:
        for name, table in _columns().items():
            column = table.columns[name.rpartition(".")[2]]
            value: Any = f"+86{user.phone}" if column.name == "phone" else user.user_id
            if session.execute(select(column).where(column == value).limit(1)).first():
                found.add(name)
    return found


def test_an_export_holds_what_is_stored_and_nothing_of_others(api: Api, person: User) -> None:
    code = api.new_code(person.phone, "export")
    assert _rows_naming(api, person) == set(_columns()), "the person must be in every table"

    answer = api.post("/api/user/export", person, code=code)

    told = answer.data
    assert export_schema(keeper.name for keeper in api.parts.base.personal_data).validate(told) == {}
    profile = told["profile"]["profile"]
    assert set(profile) == {column.key for column in UserInfo.__mapper__.column_attrs}
    assert (profile["intro"], profile["email"], profile["birthday"]) == (
        SECRET,
        "own@example.com",
        "1991-02-03",
    )
    assert profile["phone"] == f"+86{person.phone}"
    assert [label["name"] for label in told["profile"]["labels"]] == ["夜猫子"]
    assert [photo["media_id"] for photo in told["profile"]["album"]] == ["Photo1"]
    assert (len(told["profile"]["following"]), len(told["profile"]["blocked"])) == (1, 1)
    # One of the two fans has blocked the person, and whom others block or report is theirs.
    assert len(told["profile"]["fans"]) == 1
    assert len(told["reports"]["reports"]) == 1
    assert len(told["logins"]["devices"]) == 1
    assert told["hot"]["attention"] == [{"day": "2026-01-02", "weight": 3, "people": 1}]
    (photo,) = told["media"]["uploads"]
    assert api.send("GET", photo["url"]).body == b"full form"
    assert told["logins"]["sms_codes"][-1]["purpose"] == "export"
    text = answer.body.decode()
    assert "von " + str(person.user_id) in text
    assert text.count("von ") == 1
    assert "evidence" not in text
    for secret in (person.token, code, "token_hash", "code_hash"):
        assert secret not in text


def test_every_keeper_has_its_part_in_the_export(api: Api) -> None:
    user = make_user(api)
    told = api.post("/api/user/export", user, code=api.new_code(user.phone, "export")).data
    names = [keeper.name for keeper in api.parts.base.personal_data]
    assert len(set(names)) == len(names)
    assert set(told) == {"user_id", "exported_at", *names}


def test_an_export_does_not_tell_of_a_report(api: Api) -> None:
    user, other = make_user(api), make_user(api)
    media = make_media(api, user)
    assert api.post("/api/album/add", user, mediaId=media.id).code == 0
    now = datetime.now(UTC)

    def told() -> dict[str, Any]:
        with api.parts.base.database.transaction(write=False) as session:
            return {
                keeper.name: keeper.export(session, user.user_id, now)
                for keeper in api.parts.base.personal_data
            }

    before = told()
    assert len(before["media"]["uploads"]) == 1
    assert api.post("/api/user/report", other, peerId=user.user_id, reason="spam").code == 0
    assert told() == before


def test_fans_that_hide_are_not_told(api: Api) -> None:
    user, fan = make_user(api), make_user(api)
    make_follow(api, fan, user)
    make_hidden(api, fan)
    told = api.post("/api/user/export", user, code=api.new_code(user.phone, "export")).data
    assert told["profile"]["fans"] == []


def test_an_export_a_day(app_with: Any) -> None:
    # No limits on codes, so that only the export's own is met.
    api = app_with(
        LIMITS_SMS_GAP_S=0,
        LIMITS_SMS_PER_HOUR=1000,
        LIMITS_SMS_PER_DAY=1000,
        LIMITS_SMS_PER_ADDRESS_PER_HOUR=1000,
    )
    user = make_user(api)
    assert api.post("/api/user/export", user, code="000000").code == 503
    assert api.post("/api/user/export", user, code=api.new_code(user.phone, "login")).code == 503
    assert api.post("/api/user/export", user, code=api.new_code(user.phone, "export")).code == 0
    again = api.post("/api/user/export", user, code=api.new_code(user.phone, "export"))
    assert (again.status, again.code) == (429, 429)
    assert 86_000 < again.json["data"]["retry_after_s"] <= 86_400


def test_the_purge_leaves_only_what_is_declared_to_stay(api: Api, person: User) -> None:
    parts = api.parts
    api.post("/api/user/delete", person, code=api.new_code(person.phone, "delete")).data  # noqa: B018
    assert "user_album.user_id" in _rows_naming(api, person)

    parts.safety.deletion.purge(parts.base.database, datetime.now(UTC) + timedelta(days=31))

    stays = {f"{held.table}.{held.column}" for held in _held(api) if held.not_removed}
    left = _rows_naming(api, person)
    assert left <= stays
    assert {"user_info.id", "user_report.peer_id"} <= left
    with parts.base.database.transaction(write=False) as session:
        row = session.get_one(UserInfo, person.user_id)
        assert row.status == UserStatus.DELETED
        text = repr({column.key: getattr(row, column.key) for column in UserInfo.__mapper__.column_attrs})
        assert SECRET not in text and "own@example.com" not in text and "自己" not in text
        about = session.scalars(select(UserReport).where(UserReport.peer_id == person.user_id)).all()
        assert [report.state for report in about] == [ReportState.OPEN]
        report_id = about[0].id
    # Twice is like once.
    assert parts.safety.deletion.purge(parts.base.database, datetime.now(UTC) + timedelta(days=31)) == 0
    # The open one goes when it is closed.
    with parts.base.database.transaction() as session:
        parts.safety.moderation.dismiss(session, report_id, "gone", datetime.now(UTC))
    left = _rows_naming(api, person)
    assert left <= stays and "user_report.peer_id" not in left


def test_small_batches_remove_all(api: Api, person: User) -> None:
    make_follow(api, person, *[make_user(api) for _ in range(5)])
    for _ in range(5):
        make_media(api, person)
    api.post("/api/user/delete", person, code=api.new_code(person.phone, "delete")).data  # noqa: B018
    later = datetime.now(UTC) + timedelta(days=31)
    api.parts.safety.deletion.purge(api.parts.base.database, later, batch_rows=2)
    assert not {"user_follow.user_id", "media.user_id", "media_usage.user_id"} & _rows_naming(api, person)
