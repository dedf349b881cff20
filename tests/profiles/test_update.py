"""`user/update`: what each field takes, what it refuses, and that a refusal changes nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from marshmallow import Schema

from datingtoday.app import create_app
from datingtoday.infra.days import ServiceDays
from datingtoday.profiles.models import UserInfo
from datingtoday.profiles.schemas import UpdatedSchema, UpdateParams
from tests.plugins.api import Api, User, settings_of
from tests.plugins.backend import Backend
from tests.profiles.factories import make_user, row_of, set_row

TODAY = ServiceDays("Asia/Shanghai").today(datetime.now(UTC))
EIGHTEEN = TODAY.replace(year=TODAY.year - 18, day=min(TODAY.day, 28))

FULL: dict[str, Any] = {
    "nickname": "小明",
    "email": "ming@example.com",
    "gender": 1,
    "sexual": 2,
    "height": 180,
    "education": 4,
    "emotion": 0,
    "salary": 6,
    "birthday": date(1990, 2, 28),
    "authority": 2,
    "intro": "你好",
    "stealth": True,
    "personal": False,
}
CLEARED: dict[str, Any] = {
    "email": None, "gender": 0, "sexual": 0, "height": None, "education": 0, "emotion": None, "salary": None,
    "birthday": None, "authority": 1, "intro": "", "stealth": False, "personal": True, "avatar": None,
}  # fmt: skip

GOOD = [
    ("nickname", "A", "A"),
    ("nickname", "汉" * 32, "汉" * 32),
    ("nickname", "  两边的空格  ", "两边的空格"),
    ("nickname", "عربي", "عربي"),
    ("nickname", "ไทย", "ไทย"),
    ("nickname", "e\u0301", "\u00e9"),
    ("nickname", "👩‍👩‍👧", "👩‍👩‍👧"),
    # A Chinese character of Unicode 15, which Python 3.11 does not know.
    ("nickname", "\U00031350", "\U00031350"),
    ("nickname", "😀", "😀"),
    # One character each to whoever reads them, 7, 2 and 3 code points; vowels of Hindi are no characters of their own.
    ("nickname", "👨‍👩‍👧‍👦" * 32, "👨‍👩‍👧‍👦" * 32),
    ("nickname", "🇨🇳" * 32, "🇨🇳" * 32),
    ("nickname", "❤️\u200d🔥" * 32, "❤️\u200d🔥" * 32),
    ("nickname", "नि" * 32, "नि" * 32),
    ("nickname", "\ufeff\u200e小明\u200b", "小明"),
    (
        "nickname",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    ),
    ("email", "a.b+c@sub.example.cn", "a.b+c@sub.example.cn"),
    ("gender", "0", 0),
    ("gender", "2", 2),
    ("sexual", "1", 1),
    ("height", "100", 100),
    ("height", "250", 250),
    ("education", "5", 5),
    ("emotion", "3", 3),
    ("salary", "1", 1),
    ("birthday", "1900-01-01", date(1900, 1, 1)),
    ("birthday", "2000-02-29", date(2000, 2, 29)),
    ("authority", "0", 0),
    ("intro", "行" * 500, "行" * 500),
    ("intro", "一\r\n二\n三", "一\n二\n三"),
    ("intro", "   ", ""),
    ("stealth", "1", True),
    ("personal", "0", False),
]

BAD = [
    ("nickname", "", 505),
    ("nickname", "   ", 505),
    ("nickname", "\u200b\u200d\u3164\u2800", 505),
    ("nickname", "\u00ad", 505),
    ("nickname", "x" * 33, 505),
    ("nickname", "😀" * 33, 505),
    ("nickname", "e" + "\u0301" * 256, 505),
    ("nickname", "\ufffc", 505),
    ("nickname", "\u2065", 505),
    ("nickname", "\U000e0080", 505),
    ("nickname", "\u1160\u17b4\uffa0\ufff0", 505),
    ("nickname", "\U0001d159\U00013441", 505),
    ("nickname", "\U0001d173\ufff9", 505),
    ("nickname", "\u200e\ufeff", 505),
    ("nickname", "a\nb", 505),
    ("nickname", "a\u2028b", 505),
    ("nickname", "a\x00b", 505),
    ("nickname", "a\u202eb", 505),
    ("nickname", "a\ufffe", 505),
    ("email", "nobody", 300),
    ("email", "a@b", 300),
    ("email", "a@localhost", 300),
    ("email", "a b@example.com", 300),
    ("email", '"a"@example.com', 300),
    ("email", "a\n@example.com", 300),
    ("email", "a" * 53 + "@example.com", 300),
    ("gender", "3", 300),
    ("gender", "-1", 300),
    ("gender", "1.0", 300),
    ("gender", "１", 300),
    ("gender", "male", 300),
    ("gender", " 1", 300),
    ("sexual", "3", 300),
    ("height", "99", 300),
    ("height", "251", 300),
    ("height", "1e2", 300),
    ("height", "一百八", 300),
    ("height", "170.5", 300),
    ("height", "9" * 400, 300),
    ("education", "6", 300),
    ("emotion", "4", 300),
    ("salary", "0", 300),
    ("salary", "7", 300),
    ("birthday", "1899-12-31", 300),
    ("birthday", "2001-02-29", 300),
    ("birthday", "2000-2-9", 300),
    ("birthday", "20000229", 300),
    ("birthday", "2000-W01-1", 300),
    ("birthday", "２000-01-01", 300),
    ("birthday", "2000-01-01 00:00:00", 300),
    ("birthday", (TODAY + timedelta(days=1)).isoformat(), 300),
    ("birthday", (EIGHTEEN + timedelta(days=1)).isoformat() if TODAY.day <= 28 else "2020-01-01", 300),
    ("birthday", "9999-12-31", 300),
    ("authority", "3", 300),
    ("intro", "行" * 501, 300),
    ("intro", "a\x07b", 300),
    ("stealth", "2", 300),
    ("stealth", "true", 300),
    ("personal", "yes", 300),
    ("avatar", "../../etc/passwd", 300),
    ("avatar", "x" * 65, 300),
    ("avatar", "0123456789abcdef", 1204),
]


@pytest.fixture
def full(api: Api) -> User:
    """A user who has filled in everything."""
    return make_user(api, **FULL)


def test_every_field_is_tested() -> None:
    names = set(UpdateParams().fields)
    assert names == {name for name, _, _ in BAD} == {*CLEARED, "nickname"}
    assert names - {"avatar"} == {name for name, _, _ in GOOD} == set(FULL)


@pytest.mark.parametrize(("name", "sent", "stored"), GOOD)
def test_a_value_is_stored_and_told(api: Api, name: str, sent: str, stored: Any) -> None:
    user = make_user(api)

    told = api.post("/api/user/update", user, **{name: sent}).data

    assert getattr(row_of(api, user), name) == stored
    expected = stored.isoformat() if isinstance(stored, date) else stored
    assert told[name] == expected
    assert told["data"] == told["user_id"] == user.user_id
    _assert_shape(UpdatedSchema(), told)
    assert api.get("/api/user/show", user).data[name] == expected


@pytest.mark.parametrize(("name", "sent", "code"), BAD)
def test_a_bad_value_changes_nothing(api: Api, full: User, name: str, sent: str, code: int) -> None:
    other = ("height", "150") if name != "height" else ("gender", "2")

    answer = api.post("/api/user/update", full, **{name: sent, other[0]: other[1]})

    assert (answer.status, answer.code) == (200, code)
    assert name in answer.msg or code == 1204
    assert "data" not in answer.json
    assert _values(row_of(api, full)) == FULL


@pytest.mark.parametrize("name", sorted(CLEARED))
def test_an_empty_value_clears_and_the_rest_stays(api: Api, full: User, name: str) -> None:
    told = api.post("/api/user/update", full, **{name: ""}).data

    assert told[name] == CLEARED[name]
    assert _values(row_of(api, full)) == FULL | ({name: CLEARED[name]} if name in FULL else {})


def test_nothing_at_all_is_a_success_and_changes_nothing(api: Api, full: User) -> None:
    before = row_of(api, full)

    told = api.post("/api/user/update", full).data

    assert told["nickname"] == FULL["nickname"]
    assert row_of(api, full).update_time == before.update_time


def test_everything_at_once(api: Api) -> None:
    user = make_user(api)
    sent = {name: int(value) if isinstance(value, bool) else value for name, value in FULL.items()}

    api.post("/api/user/update", user, **sent).data  # noqa: B018 - asserts success

    assert _values(row_of(api, user)) == FULL


@pytest.mark.parametrize(
    ("now", "born", "accepted"),
    [
        # In China it is the 22nd from four in the afternoon of UTC's 21st.
        ("2026-11-21T16:00:01Z", "2008-11-22", True),
        ("2026-11-21T15:59:58Z", "2008-11-22", False),
        ("2026-02-28T12:00:00Z", "2008-02-29", False),
        ("2026-02-28T16:00:01Z", "2008-02-29", True),
    ],
)
def test_eighteen_on_the_day_in_china(api: Api, now: str, born: str, accepted: bool) -> None:
    with time_machine.travel(datetime.fromisoformat(now)):
        user = make_user(api)
        answer = api.post("/api/user/update", user, birthday=born)

    assert answer.code == (0 if accepted else 300)
    if accepted:
        assert answer.data["age"] == 18


def test_messages_speak_chinese(api: Api, full: User) -> None:
    answer = api.post("/api/user/update", full, height="99", lang="zh")
    assert "height" in answer.msg and "整数" in answer.msg
    assert "昵称" in api.post("/api/user/update", full, nickname="", lang="zh").msg


@pytest.mark.parametrize(
    ("nickname", "en", "zh"),
    [
        ("", "nothing of it is visible", "没有任何可见字符"),
        ("\ufffc", "nothing of it is visible", "没有任何可见字符"),
        ("x" * 33, "it is too long", "过长"),
        ("a\u202eb", "it has a control character", "改变文字方向"),
        ("a\nb", "a line break", "换行"),
    ],
)
def test_a_refused_nickname_says_which_rule(api: Api, full: User, nickname: str, en: str, zh: str) -> None:
    assert en in api.post("/api/user/update", full, nickname=nickname).msg.partition("; allowed")[0]
    assert zh in api.post("/api/user/update", full, nickname=nickname, lang="zh").msg.partition("；")[0]


def test_other_parameters_are_ignored(api: Api, full: User) -> None:
    """Columns that are not parameters cannot be written by giving them."""
    before = row_of(api, full)
    foreign = {"phone": "+8613900000000", "status": "banned", "id": 1, "create_time": "x", "vip": "1"}
    assert api.post("/api/user/update", full, **foreign).code == 0
    after = row_of(api, full)
    assert (after.phone, after.status, after.create_time) == (before.phone, before.status, before.create_time)


def _values(row: UserInfo) -> dict[str, Any]:
    return {name: getattr(row, name) for name in FULL}


def _assert_shape(schema: Schema, told: dict[str, Any]) -> None:
    assert schema.validate(told) == {}
    assert set(told) == set(schema.fields)


@pytest.mark.parametrize(
    ("zone", "accepted"), [("Asia/Shanghai", True), ("UTC", False), ("America/New_York", False)]
)
def test_the_time_zone_of_ages_is_a_setting(
    api: Api, shared_backend: Backend, tmp_path: Path, zone: str, accepted: bool
) -> None:
    settings = settings_of(shared_backend, tmp_path, ACCOUNTS_TIME_ZONE=zone)
    there = Api(create_app(settings, sms=api.sms), api.sms)
    born = "2008-11-22"
    with time_machine.travel(datetime.fromisoformat("2026-11-21T20:00:00Z")):
        user = make_user(api)
        answer = there.post("/api/user/update", user, birthday=born)
        assert (answer.code == 0) is accepted
        set_row(api, user, birthday=date.fromisoformat(born))
        age = there.get("/api/user/show", make_user(api), peerId=user.user_id).data["age"]
        found = there.get("/api/user/search", make_user(api), ageMax=17, pageCount=50).data["list"]
    assert age == (18 if accepted else 17)
    assert (user.user_id in [card["user_id"] for card in found]) is not accepted
