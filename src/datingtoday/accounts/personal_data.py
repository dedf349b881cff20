"""Personal data of logins."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.accounts.models import SmsCode, UserAuth, UserSession
from datingtoday.infra.personal_data import PersonColumn, remove_some

_RUNS_OUT = "removed two days after the last code, by `datingtoday purge`"


class LoginData:
    """Logins, devices and the codes that were sent. Neither tokens nor codes are stored, only hashes of them."""

    name = "logins"
    holds = (
        PersonColumn("user_auth", "user_id"),
        PersonColumn("user_session", "user_id"),
        PersonColumn("sms_code", "phone", not_removed=_RUNS_OUT),
        PersonColumn(
            "sms_number", "phone", not_exported="the time is that of the newest code", not_removed=_RUNS_OUT
        ),
    )

    def export(self, session: Session, user_id: int, now: datetime) -> dict[str, Any]:
        auth = session.scalars(select(UserAuth).where(UserAuth.user_id == user_id)).one()
        devices = session.scalars(
            select(UserSession).where(UserSession.user_id == user_id).order_by(UserSession.id)
        )
        codes = session.scalars(select(SmsCode).where(SmsCode.phone == auth.open_id).order_by(SmsCode.id))
        return {
            "login": {
                "login_type": auth.login_type,
                "open_id": auth.open_id,
                "login_time": auth.login_time,
                "create_time": auth.create_time,
            },
            "devices": [
                {
                    "device": row.device,
                    "login_time": row.login_time,
                    "last_seen": row.last_seen,
                    "expires_at": row.expires_at,
                    "ended_at": row.ended_at,
                    "end_reason": row.end_reason,
                }
                for row in devices
            ],
            "sms_codes": [{"purpose": row.purpose, "sent_at": row.sent_at} for row in codes],
        }

    def remove(self, session: Session, user_id: int, most: int) -> int:
        sessions = remove_some(session, UserSession, UserSession.user_id == user_id, most)
        return sessions or remove_some(session, UserAuth, UserAuth.user_id == user_id, most)
