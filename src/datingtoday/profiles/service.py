"""People: their profiles."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from datingtoday.profiles.errors import UserNotFound
from datingtoday.profiles.models import UserInfo

_NICKNAME_SIGNS = "23456789abcdefghjkmnpqrstuvwxyz"
"""Without signs that look alike."""


class Profiles:
    """The rules of profiles."""

    def register(self, session: Session, *, phone: str, now: datetime) -> UserInfo:
        """A new person with a neutral nickname, which tells nothing of the number.

        :raises sqlalchemy.exc.IntegrityError: the number has an account.
        """
        person = UserInfo(
            phone=phone, nickname=neutral_nickname(), create_time=now, update_time=now, last_active=now
        )
        session.add(person)
        session.flush()
        return person

    def show(self, session: Session, viewer_id: int, peer_id: int | None, now: datetime) -> dict[str, Any]:
        """A profile.

        :raises UserNotFound: for everybody but oneself.
        """
        if peer_id is not None and peer_id != viewer_id:
            raise UserNotFound
        return self.show_self(session, viewer_id, now)

    def show_self(self, session: Session, user_id: int, now: datetime) -> dict[str, Any]:
        """One's own profile."""
        person = session.get_one(UserInfo, user_id)
        return {
            "user_id": person.id,
            "nickname": person.nickname,
            "age": age_in_years(person, now),
            "gender": person.gender,
            "avatar": None,
            "height": person.height,
            "sexual": person.sexual,
            "education": person.education,
            "salary": person.salary,
            "emotion": person.emotion,
            "vip": False,
            "intro": person.intro,
            "labels": [],
            "album": [],
            "following": False,
            "followed_by": False,
            "last_active": person.last_active,
            "phone": person.phone,
            "email": person.email,
            "birthday": person.birthday,
            "authority": person.authority,
            "stealth": person.stealth,
            "personal": person.personal,
            "create_time": person.create_time,
            "vip_deadline": None,
        }


def neutral_nickname() -> str:
    return "用户" + "".join(secrets.choice(_NICKNAME_SIGNS) for _ in range(8))


def age_in_years(person: UserInfo, now: datetime) -> int | None:
    """Full years on the day of ``now`` in UTC; None without a birthday."""
    born = person.birthday
    if born is None:
        return None
    today = now.date()
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))
