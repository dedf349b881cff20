"""Logging in and out, by phone number and code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datingtoday.accounts.models import LOGIN_BY_PHONE, UserAuth
from datingtoday.accounts.sessions import Sessions
from datingtoday.accounts.sms_codes import SmsCodes
from datingtoday.infra.events import Events
from datingtoday.profiles.models import UserInfo, UserStatus
from datingtoday.profiles.service import Profiles
from datingtoday.protocol.envelope import wire_time
from datingtoday.protocol.errors import AccountBanned, ParameterError

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class LoggedIn:
    """Event: somebody logged in. ``latlng`` in decimal degrees if the client sent it."""

    user_id: int
    address: str
    latlng: tuple[float, float] | None


@dataclass(frozen=True)
class NewLogin:
    """What a client gets of its login."""

    token: str
    expire_time: datetime
    user_id: int
    is_new: bool

    @property
    def expired_time(self) -> datetime:
        """The same moment: the articles print it under both names."""
        return self.expire_time


@dataclass(frozen=True)
class Device:
    """A logged-in device as its owner sees it."""

    id: int
    device: str
    login_time: datetime
    last_seen: datetime
    current: bool


class Accounts:
    """The rules of logging in."""

    def __init__(self, codes: SmsCodes, sessions: Sessions, profiles: Profiles, events: Events) -> None:
        self.codes = codes
        self.sessions = sessions
        self._profiles = profiles
        self._events = events

    def log_in(
        self,
        session: Session,
        phone: str,
        code: str,
        *,
        device: str,
        latlng: tuple[float, float] | None,
        address: str,
        now: datetime,
    ) -> NewLogin:
        """Log in, and register a number that is new; the code is used up in the same transaction.

        Two first logins of one number at the same time make one account.

        :raises SmsCodeWrong, AccountBanned, TooMany:
        """
        self.codes.check(session, phone, "login", code, address=address, now=now)
        auth, is_new = self._find_or_register(session, phone, now)
        person = auth.user_basic
        if person.status == UserStatus.BANNED and (person.banned_until is None or person.banned_until > now):
            raise _banned(person)
        token, row = self.sessions.begin(session, person.id, device=device, now=now)
        auth.login_time = now
        person.last_active = now
        self._events.announce(session, LoggedIn(person.id, address, latlng))
        return NewLogin(token=token, expire_time=row.expires_at, user_id=person.id, is_new=is_new)

    def log_out(
        self,
        session: Session,
        user_id: int,
        *,
        current_id: int,
        everywhere: bool,
        session_id: int | None,
        now: datetime,
    ) -> None:
        """End the current session, another of one's own, or all.

        :raises ParameterError: the session is not a live one of this person.
        """
        if everywhere:
            self.sessions.end(session, user_id, None, now=now, reason="logged_out")
            return
        wanted = current_id if session_id is None else session_id
        if (
            not self.sessions.end(session, user_id, [wanted], now=now, reason="logged_out")
            and session_id is not None
        ):
            raise ParameterError.plain(
                "sessionId is not one of your sessions; allowed: an id of /api/auth/sessions",
                "sessionId 不是你的登录；允许：/api/auth/sessions 中的 id",
            )

    def devices(self, session: Session, user_id: int, *, current_id: int, now: datetime) -> list[Device]:
        """The person's logged-in devices, the latest login first."""
        return [
            Device(row.id, row.device, row.login_time, row.last_seen, row.id == current_id)
            for row in self.sessions.live(session, user_id, now)
        ]

    def change_phone(
        self,
        session: Session,
        user_id: int,
        phone: str,
        code: str,
        *,
        current_id: int,
        address: str,
        now: datetime,
    ) -> None:
        """Move the account to another number, which proved itself by a code; other devices are logged out.

        :raises SmsCodeWrong, TooMany:
        :raises ParameterError: the number has another account (told only to who holds the number).
        """
        self.codes.check(session, phone, "phone", code, address=address, now=now)
        auth = session.scalars(select(UserAuth).where(UserAuth.user_id == user_id).with_for_update()).one()
        if auth.open_id != phone:
            try:
                with session.begin_nested():
                    auth.open_id = phone
                    auth.user_basic.phone = phone
                    auth.user_basic.update_time = now
            except IntegrityError:
                raise PhoneTaken from None
        others = [row.id for row in self.sessions.live(session, user_id, now) if row.id != current_id]
        self.sessions.end(session, user_id, others, now=now, reason="phone_changed")

    def _find_or_register(self, session: Session, phone: str, now: datetime) -> tuple[UserAuth, bool]:
        """The login row of the number, locked; made if there is none."""
        find = (
            select(UserAuth)
            .where(UserAuth.login_type == LOGIN_BY_PHONE, UserAuth.open_id == phone)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        auth = session.scalars(find).one_or_none()
        if auth is not None:
            return auth, False
        try:
            with session.begin_nested():
                person = self._profiles.register(session, phone=phone, now=now)
                auth = UserAuth(open_id=phone, login_type=LOGIN_BY_PHONE, create_time=now, user_basic=person)
                session.add(auth)
        except IntegrityError:
            log.info("registered_by_another_request")
            return session.scalars(find).one(), False
        return auth, True


def _banned(person: UserInfo) -> AccountBanned:
    until = person.banned_until
    return AccountBanned(
        data={"until": None if until is None else wire_time(until), "reason": person.ban_reason or ""}
    )


class PhoneTaken(ParameterError):
    """Not a class of its own in the table: code 300 with a sentence of its own."""

    en = "phone belongs to another account; allowed: a number without an account"
    zh = "手机号 phone 已属于另一个账号；允许：没有账号的号码"
    # The code was right and is used up.
    commits = True
