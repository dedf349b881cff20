"""Moderation of reports and people; `datingtoday moderation` is its tool."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.accounts.sessions import Sessions
from datingtoday.media.models import Media
from datingtoday.media.service import MediaService
from datingtoday.profiles.service import Profiles
from datingtoday.safety.models import ReportState, UserReport
from datingtoday.safety.reports import HELD_PHOTOS


class ReportClosed(Exception):
    """The report is closed already; ``state`` says how."""

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(state)


class Moderation:
    """The rules of moderating."""

    def __init__(self, profiles: Profiles, sessions: Sessions, media: MediaService) -> None:
        self._profiles = profiles
        self._sessions = sessions
        self._media = media

    def reports(
        self, session: Session, *, state: ReportState | None, peer_id: int | None, most: int
    ) -> Sequence[UserReport]:
        """The oldest first.

        :param state: None for all. :param peer_id: only those about this person.
        """
        wanted = select(UserReport).order_by(UserReport.id).limit(most)
        if state is not None:
            wanted = wanted.where(UserReport.state == state)
        if peer_id is not None:
            wanted = wanted.where(UserReport.peer_id == peer_id)
        return session.scalars(wanted).all()

    def report(self, session: Session, report_id: int) -> UserReport | None:
        """One report with its evidence."""
        return session.get(UserReport, report_id)

    def dismiss(self, session: Session, report_id: int, note: str, now: datetime) -> UserReport | None:
        """Close a report without consequences; None if there is none. It is removed if the reported person is purged.

        :raises ReportClosed:
        """
        report = session.get(UserReport, report_id, with_for_update=True)
        if report is None:
            return None
        if report.state != ReportState.OPEN:
            raise ReportClosed(report.state)
        self._close(session, report, ReportState.DISMISSED, note, now)
        if self._profiles.is_purged(session, report.peer_id):
            session.delete(report)
        return report

    def held_photos(self, session: Session, report: UserReport) -> list[Media]:
        """The photos that an open report keeps, those that still exist."""
        media_ids = json.loads(report.evidence).get(HELD_PHOTOS, [])
        return list(self._media.read(session, media_ids).values()) if report.state == ReportState.OPEN else []

    def ban(
        self, session: Session, user_id: int, *, until: datetime | None, reason: str, now: datetime
    ) -> int:
        """Hide a person and keep them out: with the commit their tokens answer 1102 in every process, and nobody
        finds them. A ban of who is banned replaces it.

        :param until: None for good. :param reason: the person is told it.
        :return: how many open reports about them are closed by it.
        :raises UserNotFound: nobody has this id, or the account is deleted.
        :raises RedisDown: nothing was changed.
        """
        self._profiles.ban(session, user_id, until=until, reason=reason, now=now)
        self._sessions.ban(session, user_id, until=until, reason=reason, now=now)
        open_ones = session.scalars(
            select(UserReport)
            .where(UserReport.peer_id == user_id, UserReport.state == ReportState.OPEN)
            .order_by(UserReport.id)
            .with_for_update()
        ).all()
        for report in open_ones:
            self._close(session, report, ReportState.BANNED, reason, now)
        return len(open_ones)

    def unban(self, session: Session, user_id: int, now: datetime) -> bool:
        """End a ban at once; logins from before it work again if they have not expired. False if there was none.

        :raises UserNotFound: nobody has this id, or the account is deleted.
        :raises RedisDown: nothing was changed.
        """
        ended = self._profiles.unban(session, user_id, now)
        if ended:
            self._sessions.forget(session, user_id, now)
        return ended

    def _close(
        self, session: Session, report: UserReport, state: ReportState, note: str, now: datetime
    ) -> None:
        """Write the decision down, and let go of the photos that were kept for it."""
        self._media.detach(session, [media.id for media in self.held_photos(session, report)], now)
        report.state, report.note, report.close_time = state, note, now
