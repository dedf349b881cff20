"""Sessions: which tokens are live. SQL is the truth; Redis has ready answers for minutes (`session_cache.py`)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from datingtoday.accounts.errors import banned
from datingtoday.accounts.models import UserSession
from datingtoday.accounts.session_cache import FILL_WITHIN_S, Entry, SessionCache, Slot
from datingtoday.infra.db import Database, DatabaseDown, should_retry
from datingtoday.infra.events import Events
from datingtoday.infra.memory import Reading
from datingtoday.infra.redis import RedisDown, RedisRole
from datingtoday.profiles.service import Profiles
from datingtoday.profiles.standing import Standing, with_standing
from datingtoday.protocol.errors import AppError, NoPermission, TokenExpired
from datingtoday.protocol.login import Login, digest_of, new_token

log = structlog.get_logger(__name__)

SEEN_EVERY = timedelta(minutes=5)
"""Exactness of `last_seen` is, and how often a used session is renewed."""


@dataclass(frozen=True, slots=True)
class SessionsEnded:
    """Event: these sessions of a user are refused from now on.

    :param code: what requests with their tokens are answered with: 1101 (ended) or 1102 (banned).
    :param data: of that answer, if it has any.
    """

    user_id: int
    session_ids: tuple[int, ...]
    code: int
    data: Mapping[str, Any] | None = None


class Sessions:
    """Begins, checks, renews and ends sessions. It is the guard's `TokenVerifier`.

    :param redis: the guard role: where it is down no signed request is served, so no entry can be out of date unseen.
    :param life: how long an unused session lasts.
    :param devices: how many a person may have; the oldest ends when one more begins.
    """

    def __init__(
        self,
        database: Database,
        redis: RedisRole,
        profiles: Profiles,
        events: Events,
        *,
        life: timedelta,
        devices: int,
    ) -> None:
        self._database = database
        self._profiles = profiles
        self._events = events
        self._cache = SessionCache(redis, database)
        self._life = life
        self._devices = devices

    # --- what features do

    def begin(self, session: Session, user_id: int, *, device: str, now: datetime) -> tuple[str, UserSession]:
        """A new session and its token (128 bits); the oldest devices above the limit are logged out.

        The caller holds locks on the person's rows in `user_auth` and `user_info`, in this order.

        :raises RedisDown: nothing was changed.
        """
        live = self._live(session, user_id, now)
        self._end(session, live[: max(0, len(live) - self._devices + 1)], "pushed_out", now)
        token = new_token()
        row = UserSession(
            user_id=user_id,
            token_hash=digest_of(token),
            device=device,
            login_time=now,
            last_seen=now,
            expires_at=now + self._life,
        )
        session.add(row)
        session.flush()
        return token, row

    def live(self, session: Session, user_id: int, now: datetime) -> list[UserSession]:
        """The person's logged-in devices, the latest login first."""
        return self._live(session, user_id, now)[::-1]

    def end(
        self, session: Session, user_id: int, session_ids: Iterable[int] | None, *, now: datetime, reason: str
    ) -> int:
        """End some of a person's sessions, or all (None); effective everywhere with the commit.

        :return: how many were live among them.
        :raises RedisDown: nothing was changed.
        """
        wanted = None if session_ids is None else set(session_ids)
        ending = [row for row in self._live(session, user_id, now) if wanted is None or row.id in wanted]
        self._end(session, ending, reason, now)
        return len(ending)

    def ban(
        self, session: Session, user_id: int, *, until: datetime | None, reason: str, now: datetime
    ) -> None:
        """The person is banned in this transaction: requests with their tokens are refused with its commit.

        :param until: None for good.
        :raises RedisDown: the ban must not be committed.
        """
        rows = self.forget(session, user_id, now)
        error = banned(until, reason)
        self._announce(session, rows, error.code, error.data)

    def forget(self, session: Session, user_id: int, now: datetime) -> Sequence[UserSession]:
        """The person's standing changes in this transaction (a ban, its end): no cached answer may outlive it.

        :return: the live sessions.
        :raises RedisDown: the change must not be committed.
        """
        rows = self._live(session, user_id, now)
        self._cache.ask_sql(session, [row.token_hash for row in rows])
        return rows

    def refusals(self, session: Session, session_ids: Sequence[int], now: datetime) -> dict[int, AppError]:
        """Session id → how its requests are refused, for those that are; in one statement, from SQL."""
        wanted = select(UserSession.id, UserSession.ended_at, UserSession.expires_at).where(
            UserSession.id.in_(session_ids)
        )
        found: dict[int, AppError] = {session_id: TokenExpired() for session_id in session_ids}
        for session_id, ended_at, expires_at, *values in session.execute(
            with_standing(wanted, UserSession.user_id)
        ):
            person = Standing(*values)
            if ended_at is not None or expires_at <= now or person.is_deleted:
                continue
            if person.is_banned(now):
                found[session_id] = banned(person.banned_until, person.ban_reason)
            else:
                del found[session_id]
        return found

    def _announce(
        self, session: Session, rows: Sequence[UserSession], code: int, data: Mapping[str, Any] | None
    ) -> None:
        if rows:
            ids = tuple(row.id for row in rows)
            self._events.announce(session, SessionsEnded(rows[0].user_id, ids, code, data))

    @staticmethod
    def _live(session: Session, user_id: int, now: datetime) -> list[UserSession]:
        return list(
            session.scalars(
                select(UserSession)
                .where(
                    UserSession.user_id == user_id,
                    UserSession.ended_at.is_(None),
                    UserSession.expires_at > now,
                )
                .order_by(UserSession.login_time, UserSession.id)
            )
        )

    def _end(self, session: Session, rows: Sequence[UserSession], reason: str, now: datetime) -> None:
        self._cache.ask_sql(session, [row.token_hash for row in rows])
        for row in rows:
            row.ended_at = now
            row.end_reason = reason
        self._announce(session, rows, TokenExpired.code, None)

    # --- the guard's side

    def reading(self, digest: str) -> Reading:
        return self._cache.reading(digest)

    def verify(
        self, user_id: int, digest: str, reading: Reading, answers: Sequence[Any], now: datetime
    ) -> Login:
        slot = self._cache.look(reading, answers)
        cached = slot.value
        entry = None if cached is None else Entry.load(cached)
        if entry is None:
            asked_at = time.monotonic()
            entry = self._read(digest)
            if entry is None:
                raise NoPermission
            if cached is None and time.monotonic() - asked_at < FILL_WITHIN_S:
                self._cache.fill(slot, entry)
                cached = entry.dump()
        if entry.user_id != user_id:
            raise NoPermission
        now_s = now.timestamp()
        if entry.ended or entry.expires_s <= now_s:
            raise TokenExpired
        until_s = entry.banned_until_s
        if entry.banned and (until_s is None or until_s > now_s):
            raise banned(None if until_s is None else datetime.fromtimestamp(until_s, UTC), entry.ban_reason)
        if now_s - entry.seen_s >= SEEN_EVERY.total_seconds():
            self._renew(slot, entry, cached, now)
        return Login(user_id=entry.user_id, session_id=entry.session_id)

    def _read(self, digest: str) -> Entry | None:
        with self._database.reading() as session:
            wanted = select(UserSession).where(UserSession.token_hash == digest)
            found = session.execute(with_standing(wanted, UserSession.user_id)).one_or_none()
            if found is None:
                return None
            row, *values = found
            person = Standing(*values)
            return Entry(
                user_id=row.user_id,
                session_id=row.id,
                expires_s=row.expires_at.timestamp(),
                seen_s=row.last_seen.timestamp(),
                ended=row.ended_at is not None or person.is_deleted,
                banned=person.has_ban,
                banned_until_s=None if person.banned_until is None else person.banned_until.timestamp(),
                ban_reason=person.ban_reason,
            )

    def _renew(self, slot: Slot, entry: Entry, cached: bytes | None, now: datetime) -> None:
        """Note that the session is used and let it last longer; one of several requests at once does the work.

        A renewal that fails does not refuse the request: the session is good, and a later request tries again.
        """
        expires_at = now + self._life
        renewed = entry._replace(expires_s=expires_at.timestamp(), seen_s=now.timestamp())
        try:
            # Where SQL must be asked there is no entry to take turns by; whoever comes renews.
            if (
                cached is not None
                and Entry.load(cached) is not None
                and not self._cache.replace(slot, cached, renewed)
            ):
                return
            with self._database.transaction() as session:
                # The person's row first, as a login does: two that lock in different order could block each other.
                self._profiles.note_active(session, entry.user_id, now)
                session.execute(
                    update(UserSession)
                    .where(UserSession.id == entry.session_id, UserSession.ended_at.is_(None))
                    .values(last_seen=now, expires_at=expires_at)
                )
        except (RedisDown, DatabaseDown) as error:
            log.warning("session_not_renewed", part=type(error).__name__)
        except DBAPIError as error:
            if not should_retry(error):
                raise
            log.info("session_not_renewed", part="lost a race")
