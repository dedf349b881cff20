"""Logging in and out, by phone number and code."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datingtoday.accounts.errors import PhoneTaken, banned, not_ones_session
from datingtoday.accounts.models import LOGIN_BY_PHONE, UserAuth
from datingtoday.accounts.sessions import Sessions
from datingtoday.accounts.sms_codes import SmsCodes
from datingtoday.infra.events import Events
from datingtoday.profiles.people import is_banned
from datingtoday.profiles.service import Profiles
from datingtoday.protocol.errors import TokenExpired

log = structlog.get_logger(__name__)

_CLOSED = "closed-"
"""Beginning of the text that takes the place of a deleted account's number."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Event: a user logged in. ``latlng`` in decimal degrees if the client sent it."""

    user_id: int
    address: str
    latlng: tuple[float, float] | None
    at: datetime


@dataclass(frozen=True, slots=True)
class NewLogin:
    """Answer to a login."""

    token: str
    expire_time: datetime
    user_id: int
    is_new: bool

    @property
    def expired_time(self) -> datetime:
        """The same moment: the articles print it under both names."""
        return self.expire_time


@dataclass(frozen=True, slots=True)
class Device:
    """A logged-in device as its owner sees it."""

    id: int
    device: str
    login_time: datetime
    last_seen: datetime
    current: bool


class Accounts:
    """The rules of logging in.

    Rows are locked in one order everywhere: the code, `user_auth`, `user_info`, then sessions.
    """

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
        needs_code: bool,
    ) -> NewLogin:
        """Log in, and register a number that is new; the code is used up in the same transaction.

        Two first logins of one number at the same time make one account.

        :param phone: E.164.
        :param needs_code: False for a demo person whose code was checked already.
        :raises SmsCodeWrong, TooMany, RedisDown:
        :raises AccountBanned: the code stays in force.
        """
        if needs_code:
            self.codes.check(session, phone, "login", code, address=address, now=now)
        auth, is_new = self._find_or_register(session, phone, now)
        person = self._profiles.lock(session, auth.user_id)
        if is_banned(person, now):
            raise banned(person.banned_until, person.ban_reason)
        auth.login_time = now
        self._profiles.note_active(session, person.id, now)
        token, row = self.sessions.begin(session, person.id, device=device, now=now)
        self._events.announce(session, LoggedIn(person.id, address, latlng, now))
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
        """End the user's current session, another one, or all (``everywhere``, whatever ``session_id`` says).

        :raises ParameterError: the session is not a live one of this person.
        :raises RedisDown: nothing was changed.
        """
        if everywhere:
            self.sessions.end(session, user_id, None, now=now, reason="logged_out")
            return
        wanted = current_id if session_id is None else session_id
        ended = self.sessions.end(session, user_id, [wanted], now=now, reason="logged_out")
        # The current one may have been ended by another request meanwhile: that is what was asked for.
        if not ended and wanted != current_id:
            raise not_ones_session()

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

        The old number is free at once. The user's present number may be given: then only the devices are logged out.
        Of two accounts that want a number at the same time one gets it.

        :param phone: E.164.
        :raises SmsCodeWrong, TooMany, RedisDown:
        :raises PhoneTaken: the number has another account; the code is used up.
        """
        self.codes.check(session, phone, "phone", code, address=address, now=now)
        auth = _locked_login(session, user_id)
        person = self._profiles.lock(session, user_id)
        if auth.open_id != phone:
            try:
                with session.begin_nested():
                    self._profiles.set_phone(session, person, phone, now)
                    auth.open_id = phone
            except IntegrityError:
                raise PhoneTaken from None
        others = [row.id for row in self.sessions.live(session, user_id, now) if row.id != current_id]
        self.sessions.end(session, user_id, others, now=now, reason="phone_changed")

    def confirm(
        self, session: Session, user_id: int, purpose: str, code: str, *, address: str, now: datetime
    ) -> None:
        """Let a logged-in person prove again, by a code to their own number, that it is they (delete, export).

        :raises SmsCodeWrong, TooMany: :raises TokenExpired: the account was deleted meanwhile.
        """
        phone = session.scalars(select(UserAuth.open_id).where(UserAuth.user_id == user_id)).one()
        if phone.startswith(_CLOSED):
            raise TokenExpired
        self.codes.check(session, phone, purpose, code, address=address, now=now)

    def close_account(self, session: Session, user_id: int, *, now: datetime) -> None:
        """The person leaves: every device is logged out, and the number is free as soon as this is committed.

        What else leaving means (status, what others see, the purge) is the caller's.

        :raises RedisDown: nothing was changed.
        """
        auth = _locked_login(session, user_id)
        person = self._profiles.lock(session, user_id)
        auth.open_id = f"{_CLOSED}{secrets.token_hex(16)}"
        self._profiles.set_phone(session, person, None, now)
        self.sessions.end(session, user_id, None, now=now, reason="closed")

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


def _locked_login(session: Session, user_id: int) -> UserAuth:
    return session.scalars(
        select(UserAuth)
        .where(UserAuth.user_id == user_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
