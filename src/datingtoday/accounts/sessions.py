"""Sessions: which tokens are live. SQL is the truth; Redis holds ready answers for a minute.

A session that ends must be refused by every process at once, whatever a cache was about to hold. So before the end is
committed its cache entry becomes "ask": readers then ask SQL and may not cache what they find, until the entry runs
out. A reader that had fetched the old row just before cannot overwrite it, since filling never overwrites.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import orjson
import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from datingtoday.accounts.models import UserSession
from datingtoday.infra.db import Database, DatabaseDown, on_commit
from datingtoday.infra.redis import Command, RedisDown, RedisRole, Script
from datingtoday.profiles.models import UserInfo, UserStatus
from datingtoday.protocol.envelope import wire_time
from datingtoday.protocol.errors import AccountBanned, NoPermission, TokenExpired
from datingtoday.protocol.login import Login

log = structlog.get_logger(__name__)

CACHE_S = 60
"""How long an answer is kept; longer than any transaction takes, see "ask" above."""
SEEN_EVERY = timedelta(minutes=5)
"""How exact `last_seen` is, and how often a used session is renewed."""
ENDED_KEPT = timedelta(days=30)
"""How long a token that ended is told from one that never was."""

ASK = b"ask"

# KEYS: entry; ARGV: the value seen, the value to put, life in ms. Only one of several readers succeeds.
_REPLACE = Script(
    """
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
    return 1
    """
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is cached of a session; times in epoch seconds."""

    user_id: int
    session_id: int
    expires_s: float
    seen_s: float
    ended: bool
    banned: bool
    banned_until_s: float | None
    ban_reason: str | None

    def dump(self) -> bytes:
        return orjson.dumps(
            [
                self.user_id,
                self.session_id,
                self.expires_s,
                self.seen_s,
                self.ended,
                self.banned,
                self.banned_until_s,
                self.ban_reason,
            ]
        )

    @classmethod
    def load(cls, data: bytes) -> _Entry:
        return cls(*orjson.loads(data))


class Sessions:
    """Begins, checks, renews and ends sessions. It is the guard's `TokenVerifier`.

    :param redis: the guard role: where it is down no signed request is served, so no entry can be out of date unseen.
    :param life: how long an unused session lasts.
    :param devices: how many a person may have; the oldest ends when one more begins.
    """

    def __init__(
        self, database: Database, redis: RedisRole, *, life: timedelta = timedelta(days=7), devices: int = 5
    ) -> None:
        self._database = database
        self._redis = redis
        self._life = life
        self._devices = devices

    def begin(self, session: Session, user_id: int, *, device: str, now: datetime) -> tuple[str, UserSession]:
        """A new session and its token (128 bits). The caller holds a lock on the person's login row."""
        live = self._live(session, user_id, now)
        surplus = live[: max(0, len(live) - self._devices + 1)]
        self._end(session, surplus, "pushed_out", now)
        token = secrets.token_hex(16)
        row = UserSession(
            user_id=user_id,
            token_hash=_digest(token),
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

    def forget(self, session: Session, user_id: int, now: datetime) -> None:
        """The person's standing changes in this transaction (a ban, its end): no cached answer may outlive it.

        :raises RedisDown: the change must not be committed.
        """
        self._ask_sql(session, self._live(session, user_id, now))

    def purge(self, session: Session, now: datetime) -> int:
        """Remove sessions that ended long ago; returns how many."""
        old = now - ENDED_KEPT
        removed = session.execute(delete(UserSession).where(UserSession.expires_at < old))
        return int(getattr(removed, "rowcount", 0))

    # --- the guard's side

    def commands(self, token: str) -> list[Command]:
        return [("GET", _key(_digest(token)))]

    def verify(self, user_id: int, token: str, answers: Sequence[Any], now: datetime) -> Login:
        digest = _digest(token)
        cached: bytes | None = answers[0]
        entry = _Entry.load(cached) if cached is not None and cached != ASK else None
        if entry is None:
            entry = self._read(digest)
            if entry is None:
                raise NoPermission
            data = entry.dump()
            if cached is None:
                self._redis.execute("SET", _key(digest), data, "PX", CACHE_S * 1000, "NX")
                cached = data
        if entry.user_id != user_id:
            raise NoPermission
        now_s = now.timestamp()
        if entry.ended or entry.expires_s <= now_s:
            raise TokenExpired
        if entry.banned and (entry.banned_until_s is None or entry.banned_until_s > now_s):
            until = (
                None if entry.banned_until_s is None else datetime.fromtimestamp(entry.banned_until_s, UTC)
            )
            raise AccountBanned(
                data={"until": None if until is None else wire_time(until), "reason": entry.ban_reason or ""}
            )
        if now_s - entry.seen_s >= SEEN_EVERY.total_seconds():
            self._renew(digest, entry, cached, now)
        return Login(user_id=entry.user_id, session_id=entry.session_id)

    def _read(self, digest: str) -> _Entry | None:
        with self._database.transaction(write=False) as session:
            found = session.execute(
                select(UserSession, UserInfo.status, UserInfo.banned_until, UserInfo.ban_reason)
                .join(UserInfo, UserInfo.id == UserSession.user_id)
                .where(UserSession.token_hash == digest)
            ).one_or_none()
            if found is None:
                return None
            row, status, banned_until, ban_reason = found
            return _Entry(
                user_id=row.user_id,
                session_id=row.id,
                expires_s=row.expires_at.timestamp(),
                seen_s=row.last_seen.timestamp(),
                ended=row.ended_at is not None or status == UserStatus.DELETED,
                banned=status == UserStatus.BANNED,
                banned_until_s=None if banned_until is None else banned_until.timestamp(),
                ban_reason=ban_reason,
            )

    def _renew(self, digest: str, entry: _Entry, cached: bytes, now: datetime) -> None:
        """Note that the session is used and let it last longer; one of several requests at once does the work.

        A renewal that fails does not refuse the request: the session is good, and the next request tries again.
        """
        expires_at = now + self._life
        renewed = _Entry(
            entry.user_id, entry.session_id, expires_at.timestamp(), now.timestamp(), False, entry.banned,
            entry.banned_until_s, entry.ban_reason,
        )  # fmt: skip
        try:
            if cached != ASK and not self._redis.run_script(
                _REPLACE, [_key(digest)], cached, renewed.dump(), CACHE_S * 1000
            ):
                return
            with self._database.transaction() as session:
                session.execute(
                    update(UserSession)
                    .where(UserSession.id == entry.session_id, UserSession.ended_at.is_(None))
                    .values(last_seen=now, expires_at=expires_at)
                )
                session.execute(update(UserInfo).where(UserInfo.id == entry.user_id).values(last_active=now))
        except (RedisDown, DatabaseDown) as error:
            log.warning("session_not_renewed", part=type(error).__name__)

    # --- ending

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
        if not rows:
            return
        self._ask_sql(session, rows)
        for row in rows:
            row.ended_at = now
            row.end_reason = reason

    def _ask_sql(self, session: Session, rows: Sequence[UserSession]) -> None:
        keys = [_key(row.token_hash) for row in rows]
        if not keys:
            return
        commands: list[Command] = [("SET", key, ASK, "PX", CACHE_S * 1000) for key in keys]
        self._redis.round_trip(commands)
        # Once more after the commit, in case the first was lost meanwhile; SQL is right either way.
        on_commit(session, lambda: self._redis.round_trip(commands) and None)


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _key(digest: str) -> str:
    return f"session:{digest}"
