"""Client programs: which appkeys exist, their live secrets, and what they may sign with.

They live in SQL and are few, so every process keeps all of them and reads them again within a second; a flood of
unknown appkeys costs nothing.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.infra.db import Database, DatabaseDown
from datingtoday.infra.text import BilingualError
from datingtoday.protocol.signing.models import NAME_CHARS, ClientApp, ClientSecret

log = structlog.get_logger(__name__)

REFRESH_S = 0.5
"""Whoever changes a client program may count on every process within twice this time."""
LIVE_SECRETS = 2


class ClientAppError(BilingualError):
    """A change of a client program cannot be made. One line in both languages: why, and what is possible."""


@dataclass(frozen=True, slots=True)
class KnownApp:
    """Client program as the guard needs it."""

    appkey: str
    secrets: tuple[tuple[str, datetime | None], ...]
    hmac_only: bool

    def live_secrets(self, now: datetime) -> list[str]:
        return [secret for secret, expires_at in self.secrets if expires_at is None or expires_at > now]


class ClientApps:
    """The enabled client programs, as this process last read them.

    :param configured: the one of the settings; it works without a row in SQL. A row with its appkey (made by
        ``datingtoday app rotate`` or ``disable``) wins over the settings.
    """

    def __init__(self, database: Database, configured: KnownApp | None) -> None:
        self._database = database
        self._configured = configured
        self._apps: dict[str, KnownApp] | None = None
        self._read_at = 0.0
        self._reading = threading.Lock()

    def find(self, appkey: str) -> KnownApp | None:
        """None if it is unknown or disabled.

        :raises DatabaseDown: only if nothing was read before; otherwise what was read last stays in force.
        """
        if self._is_stale():
            self._refresh()
        assert self._apps is not None  # noqa: S101 - _refresh raises otherwise
        return self._apps.get(appkey)

    def _is_stale(self) -> bool:
        return self._apps is None or time.monotonic() - self._read_at > REFRESH_S

    def _refresh(self) -> None:
        # Others go on with what they have while one thread reads, unless there is nothing yet.
        if not self._reading.acquire(blocking=self._apps is None):
            return
        try:
            if not self._is_stale():
                return
            self._apps = self._read()
            self._read_at = time.monotonic()
        except DatabaseDown:
            if self._apps is None:
                raise
            self._read_at = time.monotonic()
            log.warning("client_apps_not_refreshed")
        finally:
            self._reading.release()

    def _read(self) -> dict[str, KnownApp]:
        apps: dict[str, KnownApp] = {}
        if self._configured is not None:
            apps[self._configured.appkey] = self._configured
        with self._database.reading() as session:
            for row in session.scalars(select(ClientApp)):
                apps.pop(row.appkey, None)
                if not row.disabled:
                    live = tuple((secret.secret, secret.expires_at) for secret in row.secrets)
                    apps[row.appkey] = KnownApp(row.appkey, live, row.hmac_only)
        return apps


def create(session: Session, name: str, *, hmac_only: bool, now: datetime) -> tuple[ClientApp, str]:
    """Make a client program with a random appkey and appsecret; the secret is returned this once.

    :param name: for people; 1 to `NAME_CHARS` characters.
    """
    name = name.strip()
    if not 1 <= len(name) <= NAME_CHARS or not name.isprintable():
        raise ClientAppError(
            f"the name must have 1 to {NAME_CHARS} characters, no control characters",
            f"名称须为 1 到 {NAME_CHARS} 个字符，不含控制字符",
        )
    app = ClientApp(
        appkey=secrets.token_hex(6).upper(), name=name, hmac_only=hmac_only, disabled=False, create_time=now
    )
    session.add(app)
    return app, _add_secret(app, now)


def all_apps(session: Session) -> list[ClientApp]:
    return list(session.scalars(select(ClientApp).order_by(ClientApp.create_time, ClientApp.appkey)))


def is_only_in_settings(session: Session, appkey: str, configured: KnownApp | None) -> bool:
    """True if the database has no row of this client program yet. The first change gives it a row, which holds
    its secrets from then on.
    """
    return configured is not None and configured.appkey == appkey and session.get(ClientApp, appkey) is None


def rotate(
    session: Session, appkey: str, *, overlap: timedelta, now: datetime, configured: KnownApp | None = None
) -> str:
    """Add a new secret; the one before it ends after ``overlap``. At most two are live at a time.

    :param overlap: zero ends all others at once, however many there are.
    :param configured: the client program of the settings, which gets its row with its first change.
    :return: the new secret, this once.
    """
    app = _get(session, appkey, configured, now)
    live = app.live_secrets(now)
    if overlap and len(live) >= LIVE_SECRETS:
        ends = [secret.expires_at for secret in live if secret.expires_at is not None]
        until = f"{min(ends):%Y-%m-%d %H:%M:%S} UTC" if ends else "?"
        raise ClientAppError(
            f"{appkey} has {LIVE_SECRETS} live secrets, the older one until {until}; end that one with "
            f"`datingtoday app rotate {appkey} --finish`, or both with `--overlap 0`",
            f"{appkey} 已有 {LIVE_SECRETS} 个有效密钥，较早的一个到 {until} 为止；用 "
            f"`datingtoday app rotate {appkey} --finish` 结束它，或用 `--overlap 0` 结束两者",
        )
    for secret in live:
        ends_at = now + overlap
        secret.expires_at = ends_at if secret.expires_at is None else min(secret.expires_at, ends_at)
    return _add_secret(app, now)


def finish_rotation(
    session: Session, appkey: str, *, now: datetime, configured: KnownApp | None = None
) -> int:
    """End every live secret but the newest, at once; returns how many ended."""
    if is_only_in_settings(session, appkey, configured):
        return 0
    old = _get(session, appkey, None, now).live_secrets(now)[:-1]
    for secret in old:
        secret.expires_at = now
    return len(old)


def set_disabled(
    session: Session, appkey: str, *, disabled: bool, now: datetime, configured: KnownApp | None = None
) -> None:
    """A disabled client program is answered like an unknown one."""
    if disabled or not is_only_in_settings(session, appkey, configured):
        _get(session, appkey, configured, now).disabled = disabled


def set_hmac_only(
    session: Session, appkey: str, *, hmac_only: bool, now: datetime, configured: KnownApp | None = None
) -> None:
    _get(session, appkey, configured, now).hmac_only = hmac_only


def _get(session: Session, appkey: str, configured: KnownApp | None, now: datetime) -> ClientApp:
    app = session.get(ClientApp, appkey, with_for_update=True)
    if app is not None:
        return app
    if configured is None or configured.appkey != appkey:
        raise ClientAppError(
            f"there is no client program with the appkey {appkey}; `datingtoday app list` shows them",
            f"没有 appkey 为 {appkey} 的客户端程序；用 `datingtoday app list` 查看",
        )
    app = ClientApp(
        appkey=appkey,
        name="from the settings",
        hmac_only=configured.hmac_only,
        disabled=False,
        create_time=now,
    )
    app.secrets = [ClientSecret(secret=secret, create_time=now) for secret, _ in configured.secrets]
    session.add(app)
    return app


def _add_secret(app: ClientApp, now: datetime) -> str:
    secret = secrets.token_hex(24)
    app.secrets.append(ClientSecret(secret=secret, create_time=now))
    return secret
