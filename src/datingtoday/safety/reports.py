"""Reports of users about other users, with evidence that nobody can change afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import structlog
from sqlalchemy.orm import Session

from datingtoday.infra.days import DAY
from datingtoday.media.errors import MediaNotFound
from datingtoday.media.service import MediaService
from datingtoday.profiles.enumerations import Choice
from datingtoday.profiles.errors import UserNotFound
from datingtoday.profiles.follows import refuse_own_account
from datingtoday.profiles.people import lock_people
from datingtoday.profiles.service import Profiles
from datingtoday.profiles.visibility import Action, Visibility
from datingtoday.protocol.envelope import to_json
from datingtoday.protocol.sql_limits import refuse_above
from datingtoday.safety.models import UserReport

log = structlog.get_logger(__name__)

REASONS = (
    Choice("fake", "fake profile or photos", "虚假资料或照片"),
    Choice("spam", "spam or advertising", "垃圾信息或广告"),
    Choice("harassment", "harassment or insults", "骚扰或辱骂"),
    Choice("nudity", "nudity or sexual content", "裸露或色情内容"),
    Choice("underage", "younger than 18", "未满 18 岁"),
    Choice("fraud", "asks for money, fraud", "索要钱财或诈骗"),
    Choice("other", "something else", "其他"),
)
HELD_PHOTOS = "held_photos"
"""Key of the evidence that lists the uploads (photos, and what a message shows) it keeps from being removed."""


class Messages(Protocol):
    """Knows what was written, for evidence."""

    def evidence(self, session: Session, user_id: int, peer_id: int, message_id: int) -> dict[str, Any]:
        """A message from ``peer_id`` to ``user_id`` as it is stored, with ``media_id`` (None if it shows none).

        :raises AppError: there is none with this id.
        """


class Reports:
    """The rules of reporting.

    :param per_day: reports of one person in any 24 hours; None: no limit.
    """

    def __init__(
        self,
        profiles: Profiles,
        visibility: Visibility,
        media: MediaService,
        messages: Messages,
        *,
        per_day: int | None,
    ) -> None:
        self._profiles = profiles
        self._media = media
        self._visibility = visibility
        self._messages = messages
        self._per_day = per_day

    def report(
        self,
        session: Session,
        user_id: int,
        peer_id: int,
        *,
        reason: str,
        detail: str,
        message_id: int | None,
        now: datetime,
    ) -> UserReport:
        """Keep a report and how the reported person looks now, which every report does anew.

        :param message_id: of a message that they wrote to the reporter, which is kept as well, with what it shows.
        :raises ParameterError: the two are the same. :raises UserNotFound: the reporter may not report them.
        :raises MessageNotFound: it is not a message of theirs to the reporter.
        :raises RateLimited: too many in a day. Nothing was changed.
        """
        refuse_own_account(user_id, peer_id)
        lock_people(session, [user_id])
        if not self._visibility.may(session, user_id, peer_id, Action.REPORT, now):
            raise UserNotFound
        seen = self._profiles.snapshot(session, peer_id, now)
        evidence: dict[str, Any] = {"profile": seen}
        shown = [seen["avatar"], *seen["album"]]
        if message_id is not None:
            evidence["message"] = self._messages.evidence(session, user_id, peer_id, message_id)
            shown.append(evidence["message"]["media_id"])
        self._refuse_above_limit(session, user_id, now)
        evidence[HELD_PHOTOS] = self._hold(session, peer_id, shown)
        report = UserReport(
            user_id=user_id,
            peer_id=peer_id,
            reason=reason,
            detail=detail,
            message_id=message_id,
            evidence=to_json(evidence).decode(),
            create_time=now,
        )
        session.add(report)
        session.flush()
        return report

    def _hold(self, session: Session, owner_id: int, media_ids: Sequence[str | None]) -> list[str]:
        """Keep these photos until the report is closed, although their owner removes them; which are kept."""
        held = []
        for media_id in sorted({media_id for media_id in media_ids if media_id is not None}):
            try:
                held.append(self._media.attach(session, owner_id, media_id).id)
            except MediaNotFound:
                log.info("evidence_not_held", media_id=media_id)
        return held

    def _refuse_above_limit(self, session: Session, user_id: int, now: datetime) -> None:
        is_theirs = UserReport.user_id == user_id
        refuse_above(session, UserReport.create_time, self._per_day, DAY, now, is_theirs)
