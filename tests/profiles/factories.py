"""People for tests, written straight into the tables: quicker than logging in, and with any row."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from datingtoday.accounts.models import UserAuth
from datingtoday.media.models import Media
from datingtoday.media.moderation import Judgement, Verdict
from datingtoday.media.processing.inspect import Kind
from datingtoday.profiles.models import UserBlock, UserFollow, UserInfo, UserStatus
from tests.plugins.api import Api, User, new_phone


def make_user(api: Api, **columns: Any) -> User:
    """A logged-in person; ``columns`` of `UserInfo` beyond the neutral ones."""
    now = datetime.now(UTC)
    phone = new_phone()
    with api.parts.base.database.transaction() as session:
        person = UserInfo(
            **{
                "phone": f"+86{phone}",
                "nickname": f"测试{phone[-6:]}",
                "create_time": now,
                "update_time": now,
                "last_active": now,
                **columns,
            }
        )
        session.add(person)
        session.flush()
        session.add(UserAuth(user_id=person.id, open_id=f"+86{phone}", create_time=now))
        session.flush()
        token, _ = api.parts.accounts.sessions.begin(session, person.id, device="test", now=now)
        return User(person.id, token, phone)


def make_photo(api: Api, user: User, *, kind: Kind = Kind.PHOTO, verdict: Verdict = Verdict.APPROVED) -> str:
    """The row of an upload without its files; its media id."""
    now = datetime.now(UTC)
    with api.parts.base.database.transaction() as session:
        media = Media(
            id=secrets.token_hex(16), user_id=user.user_id, kind=kind, mime="image/jpeg",
            storage_key=secrets.token_hex(16), size_bytes=1, sha256="0" * 64, medium_bytes=1, medium_sha256="0" * 64,
            thumb_bytes=1, thumb_sha256="0" * 64, verdict=verdict, unused_since=now, create_time=now,
        )  # fmt: skip
        session.add(media)
        return media.id


def media_row(api: Api, media_id: str) -> Media:
    with api.parts.base.database.transaction(write=False) as session:
        return session.get_one(Media, media_id)


def judge(api: Api, media_id: str, verdict: Verdict) -> None:
    with api.parts.base.database.transaction() as session:
        api.parts.media.service.decide(session, media_id, Judgement(verdict), datetime.now(UTC))


def row_of(api: Api, user: User) -> UserInfo:
    """The person's row as it is now."""
    with api.parts.base.database.transaction(write=False) as session:
        return session.get_one(UserInfo, user.user_id)


def set_row(api: Api, user: User, **columns: Any) -> None:
    """Write into the person's row as a feature would: what is cached of them goes with the commit."""
    with api.parts.base.database.transaction() as session:
        person = session.get_one(UserInfo, user.user_id)
        for name, value in columns.items():
            setattr(person, name, value)
        api.parts.profiles.cards.changed(session, [user.user_id])
        if "status" in columns:
            api.parts.accounts.sessions.forget(session, user.user_id, datetime.now(UTC))


def make_hidden(api: Api, user: User) -> None:
    set_row(api, user, authority=0)


def ban(api: Api, user: User, until: datetime | None = None) -> None:
    set_row(api, user, status=UserStatus.BANNED, banned_until=until, ban_reason="spam")


def delete(api: Api, user: User) -> None:
    set_row(api, user, status=UserStatus.DELETED, phone=None, deleted_at=datetime.now(UTC))


def make_follow(api: Api, user: User, *peers: User) -> None:
    """Rows of follows, whatever the rules say."""
    _ties(api, UserFollow, user, peers)


def make_block(api: Api, user: User, *peers: User) -> None:
    """Rows of blocks, whatever the rules say."""
    _ties(api, UserBlock, user, peers)


def _ties(api: Api, table: type[UserFollow | UserBlock], user: User, peers: tuple[User, ...]) -> None:
    now = datetime.now(UTC)
    with api.parts.base.database.transaction() as session:
        for peer in peers:
            session.add(table(user_id=user.user_id, peer_id=peer.user_id, create_time=now))
        api.parts.profiles.visibility.ties_changed(session, [(user.user_id, peer.user_id) for peer in peers])
