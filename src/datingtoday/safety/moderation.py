"""What moderators do with reports and with people; `datingtoday moderation` is their tool."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from datingtoday.accounts.sessions import Sessions
from datingtoday.profiles.service import Profiles
from datingtoday.safety.models import ReportState, UserReport


class ReportClosed(Exception):
    """Somebody has closed it already; ``state`` says how."""

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(state)


class Moderation:
    """The rules of moderating."""

    def __init__(self, profiles: Profiles, sessions: Sessions) -> None:
        self._profiles = profiles
        self._sessions = sessions

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
        report.state, report.note, report.close_time = ReportState.DISMISSED, note, now
        if self._profiles.is_purged(session, report.peer_id):
            session.delete(report)
        return report

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
        self._sessions.forget(session, user_id, now)
        closed = session.execute(
            update(UserReport)
            .where(UserReport.peer_id == user_id, UserReport.state == ReportState.OPEN)
            .values(state=ReportState.BANNED, note=reason, close_time=now)
        )
        return int(getattr(closed, "rowcount", 0))

    def unban(self, session: Session, user_id: int, now: datetime) -> bool:
        """End a ban at once; logins from before it work again if they have not expired. False if there was none.

        :raises UserNotFound: nobody has this id, or the account is deleted.
        :raises RedisDown: nothing was changed.
        """
        ended = self._profiles.unban(session, user_id, now)
        if ended:
            self._sessions.forget(session, user_id, now)
        return ended
