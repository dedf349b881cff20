"""Reporting and moderating."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from datingtoday.profiles.models import UserAlbum, UserLabel
from datingtoday.safety.models import ReportState, UserReport
from datingtoday.safety.moderation import ReportClosed
from datingtoday.safety.reports import REASONS
from tests.plugins.api import Answer, Api, User
from tests.profiles.factories import ban, delete, make_block, make_hidden, make_user, set_row

NOBODY = 2**31 - 1


def report(api: Api, user: User, peer: User | int, **what: Any) -> Answer:
    peer_id = peer if isinstance(peer, int) else peer.user_id
    return api.post("/api/user/report", user, **{"peerId": peer_id, "reason": "spam", **what})


def stored(api: Api, report_id: int) -> UserReport:
    with api.parts.base.database.transaction(write=False) as session:
        return session.get_one(UserReport, report_id)


def count(api: Api, user: User) -> int:
    with api.parts.base.database.transaction(write=False) as session:
        return (
            session.scalar(
                select(func.count()).select_from(UserReport).where(UserReport.user_id == user.user_id)
            )
            or 0
        )


@pytest.mark.parametrize("reason", [reason.word for reason in REASONS])
def test_a_report_is_kept(api: Api, reason: str) -> None:
    user, peer = make_user(api), make_user(api)
    told = report(api, user, peer, reason=reason, detail="  他骗钱 \N{POUTING FACE} ").data
    row = stored(api, told["report_id"])
    assert set(told) == {"report_id"}
    assert (row.user_id, row.peer_id, row.reason, row.detail) == (
        user.user_id, peer.user_id, reason, "他骗钱 \N{POUTING FACE}",
    )  # fmt: skip
    assert row.state == ReportState.OPEN


def test_the_evidence_does_not_change_with_the_profile(api: Api) -> None:
    user, peer = make_user(api), make_user(api, nickname="加我微信", intro="广告", avatar="Face1", height=180)
    with api.parts.base.database.transaction() as session:
        session.add(UserLabel(user_id=peer.user_id, label_id=1, position=0))
        session.add(
            UserAlbum(user_id=peer.user_id, media_id="Photo1", position=0, create_time=datetime.now(UTC))
        )
    report_id = report(api, user, peer).data["report_id"]
    set_row(api, peer, nickname="好人", intro="", avatar=None)

    seen = json.loads(stored(api, report_id).evidence)["profile"]

    assert (seen["nickname"], seen["intro"], seen["avatar"]) == ("加我微信", "广告", "Face1")
    assert (seen["labels"], seen["album"], seen["height"]) == (["慢热"], ["Photo1"], 180)
    # What others do not see is no evidence.
    assert peer.phone not in stored(api, report_id).evidence


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("peerId", ""), ("peerId", "x"), ("reason", ""), ("reason", "SPAM"), ("reason", "boring"),
        ("detail", "x" * 1001), ("detail", "a\x00b"), ("messageId", "0"), ("messageId", "x"),
        ("messageId", "9223372036854775808"), ("messageId", ""),
    ],
)  # fmt: skip
def test_bad_parameters_are_named_and_nothing_is_kept(api: Api, name: str, sent: str) -> None:
    user, peer = make_user(api), make_user(api)
    answer = report(api, user, peer, **{name: sent})
    assert (answer.code, name in answer.msg) == (300, True)
    assert count(api, user) == 0


@pytest.mark.parametrize("name", ["peerId", "reason"])
def test_missing_parameters_are_named(api: Api, name: str) -> None:
    user, peer = make_user(api), make_user(api)
    sent = {"peerId": peer.user_id, "reason": "spam"}
    del sent[name]
    answer = api.post("/api/user/report", user, **sent)
    assert (answer.code, name in answer.msg) == (300, True)


def test_the_own_account_is_refused(api: Api) -> None:
    user = make_user(api)
    assert report(api, user, user).code == 300


@pytest.mark.parametrize("arrange", [make_hidden, ban, delete])
def test_strangers_whom_one_may_not_see_are_like_nobody(api: Api, arrange: Any) -> None:
    user, peer = make_user(api), make_user(api)
    arrange(api, peer)
    assert report(api, user, peer).body == report(api, user, NOBODY).body
    assert report(api, user, peer).code == 501
    assert count(api, user) == 0


def test_whom_one_blocked_or_knows_can_be_reported(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    user, blocked, blocking, seen = (make_user(api) for _ in range(4))
    make_block(api, user, blocked)
    make_block(api, blocking, user)
    make_block(api, seen, user)

    def has_seen(session: Session, viewer_id: int, target_ids: Collection[int]) -> set[int]:
        return set(target_ids) & {seen.user_id}

    monkeypatch.setattr(api.parts.profiles.visibility, "seen", has_seen)
    codes = [report(api, user, peer).code for peer in (blocked, blocking, seen)]
    assert codes == [0, 501, 0]


def test_a_day_has_a_limit(app_with: Any) -> None:
    api = app_with(LIMITS_REPORTS_PER_DAY=3)
    user, other, peer = make_user(api), make_user(api), make_user(api)
    for _ in range(3):
        assert report(api, user, peer).code == 0
    answer = report(api, user, peer)
    assert (answer.status, answer.code) == (429, 429)
    assert 86_300 < answer.json["data"]["retry_after_s"] <= 86_400
    assert answer.headers["Retry-After"] == str(answer.json["data"]["retry_after_s"])
    assert count(api, user) == 3
    assert report(api, other, peer).code == 0
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=24, seconds=1)):
        assert report(api, user, peer).code == 0


# --- moderation


def test_a_ban_counts_at_once_and_closes_reports(api: Api) -> None:
    user, peer = make_user(api), make_user(api)
    report_ids = [report(api, user, peer).data["report_id"] for _ in range(2)]
    assert api.get("/api/user/show", peer).code == 0
    assert api.get("/api/user/show", user, peerId=peer.user_id).code == 0
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)

    with api.parts.base.database.transaction() as session:
        closed = api.parts.safety.moderation.ban(
            session, peer.user_id, until=until, reason="广告", now=datetime.now(UTC)
        )

    assert closed == 2
    answer = api.get("/api/user/show", peer)
    assert (answer.status, answer.code) == (200, 1102)
    assert answer.json["data"] == {"until": until.strftime("%Y-%m-%d %H:%M:%S"), "reason": "广告"}
    assert api.get("/api/user/show", user, peerId=peer.user_id).code == 501
    assert {stored(api, report_id).state for report_id in report_ids} == {ReportState.BANNED}

    with api.parts.base.database.transaction() as session:
        assert api.parts.safety.moderation.unban(session, peer.user_id, datetime.now(UTC))
    assert api.get("/api/user/show", peer).code == 0
    assert api.get("/api/user/show", user, peerId=peer.user_id).code == 0
    with api.parts.base.database.transaction() as session:
        assert not api.parts.safety.moderation.unban(session, peer.user_id, datetime.now(UTC))


def test_a_ban_that_is_over_needs_nobody(api: Api) -> None:
    user, peer = make_user(api), make_user(api)
    until = datetime.now(UTC) + timedelta(hours=1)
    with api.parts.base.database.transaction() as session:
        api.parts.safety.moderation.ban(session, peer.user_id, until=until, reason="x", now=datetime.now(UTC))
    assert api.get("/api/user/show", peer).code == 1102
    with time_machine.travel(until + timedelta(seconds=1)):
        assert api.get("/api/user/show", peer).code == 0
        # The cache has noticed by itself: its own clock was not moved.
        api.parts.base.cache_redis.execute("DEL", api.cache_name(f"profile:{{{peer.user_id}}}"))
        assert api.get("/api/user/show", user, peerId=peer.user_id).code == 0


def test_a_report_is_closed_once(api: Api) -> None:
    user, peer = make_user(api), make_user(api)
    report_id = report(api, user, peer).data["report_id"]
    parts, now = api.parts, datetime.now(UTC)
    with parts.base.database.transaction() as session:
        assert parts.safety.moderation.dismiss(session, report_id, "nothing", now) is not None
    with parts.base.database.transaction() as session, pytest.raises(ReportClosed):
        parts.safety.moderation.dismiss(session, report_id, "again", now)
    with parts.base.database.transaction() as session:
        assert parts.safety.moderation.dismiss(session, 2**31 - 1, "", now) is None
        mine = parts.safety.moderation.reports(session, state=None, peer_id=peer.user_id, most=10)
        assert [(row.id, row.state, row.note) for row in mine] == [
            (report_id, ReportState.DISMISSED, "nothing")
        ]
        assert (
            parts.safety.moderation.reports(session, state=ReportState.OPEN, peer_id=peer.user_id, most=10)
            == []
        )
