"""Reports as a purge leaves them, as an export tells them and as moderators list and close them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from datingtoday.media.models import Media
from datingtoday.media.personal_data import MediaData
from datingtoday.safety.models import ReportState, UserReport
from datingtoday.safety.moderation import ReportClosed
from datingtoday.safety.personal_data import ReportData
from tests.media.uploads import make_media
from tests.plugins.api import Api, User
from tests.profiles.factories import make_user

pytestmark = pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def make_report(api: Api, by: User, about: User, state: ReportState) -> int:
    with api.parts.base.database.transaction() as session:
        row = UserReport(
            user_id=by.user_id, peer_id=about.user_id, reason="spam", detail=f"said of {state}", state=state,
            evidence="{}", create_time=NOW,
        )  # fmt: skip
        session.add(row)
        session.flush()
        return row.id


def left(api: Api, report_ids: list[int]) -> list[tuple[int | None, str] | None]:
    """Reporter and words of each report; None if it is gone."""
    with api.parts.base.database.reading() as session:
        rows = [session.get(UserReport, report_id) for report_id in report_ids]
    return [None if row is None else (row.user_id, row.detail) for row in rows]


def test_of_reports_the_purge_leaves_what_is_still_open(api: Api) -> None:
    user, other, third = (make_user(api) for _ in range(3))
    by, about, else_ = (
        [make_report(api, one, peer, state) for state in ReportState]
        for one, peer in ((user, other), (other, user), (other, third))
    )
    data = ReportData()
    removed: list[int] = []
    for _ in range(4):
        with api.parts.base.database.transaction() as session:
            removed.append(data.remove(session, user.user_id, 2))
    # Closed ones about the person; then the person's own, in batches.
    assert removed == [2, 2, 1, 0]
    open_, dismissed, banned = (f"said of {state}" for state in ReportState)
    assert left(api, by) == [(None, open_), (None, ""), (None, "")]
    assert left(api, about) == [(other.user_id, open_), None, None]
    assert left(api, else_) == [(other.user_id, words) for words in (open_, dismissed, banned)]


def test_an_export_tells_of_the_own_reports_which_are_closed(api: Api) -> None:
    user, other = make_user(api), make_user(api)
    ids = [make_report(api, user, other, state) for state in ReportState]
    make_report(api, other, user, ReportState.OPEN)
    with api.parts.base.database.reading() as session:
        told = ReportData().export(session, user.user_id, NOW)["reports"]
    assert [(it["report_id"], it["user_id"], it["closed"]) for it in told] == [
        (ids[0], other.user_id, False),
        (ids[1], other.user_id, True),
        (ids[2], other.user_id, True),
    ]


def test_reports_are_listed_by_state_and_person_the_oldest_first(api: Api) -> None:
    user, other, third = (make_user(api) for _ in range(3))
    ids = [make_report(api, user, other, state) for state in ReportState]
    more = make_report(api, user, third, ReportState.OPEN)
    moderation = api.parts.safety.moderation
    with api.parts.base.database.reading() as session:

        def listed(state: ReportState | None, peer: User | None, most: int = 1000) -> list[int]:
            peer_id = None if peer is None else peer.user_id
            found = moderation.reports(session, state=state, peer_id=peer_id, most=most)
            return [report.id for report in found if report.id in {*ids, more}]

        assert listed(None, other) == ids
        assert listed(None, other, 2) == ids[:2]
        assert [listed(state, other) for state in ReportState] == [[report_id] for report_id in ids]
        assert listed(ReportState.OPEN, None) == [ids[0], more]
        assert listed(None, None) == [*ids, more]
        report = moderation.report(session, more)
        assert report is not None and report.peer_id == third.user_id


@pytest.mark.parametrize("state", [ReportState.DISMISSED, ReportState.BANNED])
def test_a_closed_report_says_how_it_was_closed(api: Api, state: ReportState) -> None:
    report_id = make_report(api, make_user(api), make_user(api), state)
    with (
        pytest.raises(ReportClosed, match=state) as refused,
        api.parts.base.database.transaction() as session,
    ):
        api.parts.safety.moderation.dismiss(session, report_id, "again", NOW)
    assert refused.value.state == state


def test_what_is_closed_has_its_moment_and_note(api: Api) -> None:
    user, other, third = (make_user(api) for _ in range(3))
    dismissed = make_report(api, user, other, ReportState.OPEN)
    banned, kept = (
        make_report(api, user, third, ReportState.OPEN),
        make_report(api, third, user, ReportState.OPEN),
    )
    moderation = api.parts.safety.moderation
    with api.parts.base.database.transaction() as session:
        moderation.dismiss(session, dismissed, "harmless", NOW)
        assert moderation.ban(session, third.user_id, until=None, reason="rude", now=NOW + DAY) == 1
    with api.parts.base.database.reading() as session:
        rows = [session.get_one(UserReport, report_id) for report_id in (dismissed, banned, kept)]
    assert [(row.state, row.note, row.close_time) for row in rows] == [
        (ReportState.DISMISSED, "harmless", NOW),
        (ReportState.BANNED, "rude", NOW + DAY),
        (ReportState.OPEN, "", None),
    ]


def test_a_purge_counts_people(api: Api) -> None:
    deletion, database = api.parts.safety.deletion, api.parts.base.database
    now = datetime.now(UTC)
    deletion.purge(database, now + 40 * DAY)
    for _ in range(3):
        user = make_user(api)
        with database.transaction() as session:
            api.parts.profiles.service.leave(session, user.user_id, now)
    told: list[int] = []
    assert deletion.purge(database, now + 30 * DAY, report_progress=told.append) == 0
    later = now + 30 * DAY + timedelta(seconds=1)
    assert deletion.purge(database, later, report_progress=told.append) == 3
    assert told == [1, 2, 3]
    assert deletion.purge(database, later, report_progress=told.append) == 0


def test_of_uploads_an_export_tells_how_many_there_are(api: Api) -> None:
    user = make_user(api)
    data = MediaData(api.parts.media.service)

    def told() -> tuple[list[str], int, int]:
        with api.parts.base.database.reading() as session:
            found = data.export(session, user.user_id, NOW)
        return [it["media_id"] for it in found["uploads"]], found["files"], found["stored_bytes"]

    assert told() == ([], 0, 0)
    rows = [
        make_media(api, user, kind, create_time=NOW + n * DAY) for n, kind in enumerate(("photo", "audio"))
    ]
    make_media(api, make_user(api))
    assert told() == ([row.id for row in rows], 2, sum(row.stored_bytes for row in rows))
    with api.parts.base.database.reading() as session:
        sizes = session.execute(
            select(Media.size_bytes, Media.medium_bytes, Media.thumb_bytes).where(
                Media.user_id == user.user_id
            )
        )
        assert told()[2] == sum(size or 0 for row in sizes for size in row)
