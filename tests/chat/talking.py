"""Helpers for tests of chat."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import inspect, select

from datingtoday.infra.db import Base
from tests.plugins.api import Answer, Api, User
from tests.profiles.factories import make_user


def new_id() -> str:
    return secrets.token_hex(8)


def send(api: Api, user: User, peer: User | int, content: str = "hello", **own: Any) -> Answer:
    """Send a text, or with ``type`` and ``mediaId`` something else."""
    peer_id = peer if isinstance(peer, int) else peer.user_id
    params = {"peerId": peer_id, "type": "text", "clientId": new_id(), **own}
    if params["type"] == "text":
        params["content"] = content
    return api.post("/api/message/send", user, **params)


def two(api: Api, *, talk: bool = False) -> tuple[User, User]:
    """Two new people.

    :param talk: each has written to the other once.
    """
    one, other = make_user(api), make_user(api)
    if talk:
        send(api, one, other).data  # noqa: B018 - asserts success
        send(api, other, one).data  # noqa: B018
        # Whoever connects now is not told of these any more.
        api.parts.base.realtime.flush()
    return one, other


def history(api: Api, user: User, peer: User, **own: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(
        "/api/message/list", user, peerId=peer.user_id, **{"pageCount": 50, **own}
    ).data["list"]
    return found


def contents(api: Api, user: User, peer: User, **own: Any) -> list[Any]:
    return [message["content"] for message in history(api, user, peer, **own)]


def sync(api: Api, user: User, since: int | str = 0, **own: Any) -> list[dict[str, Any]]:
    """All entries after a position, page by page."""
    found: list[dict[str, Any]] = []
    while True:
        page = api.get("/api/message/sync", user, since=since, **own).data
        found += page["list"]
        since = page["next"]
        if not page["has_next"]:
            return found


def contacts(api: Api, user: User, **own: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/api/contacts/list", user, **own).data["list"]
    return found


def contact(api: Api, user: User, peer: User) -> dict[str, Any]:
    (found,) = [row for row in contacts(api, user, pageCount=50) if row["peer"]["user_id"] == peer.user_id]
    return found


def unread(api: Api, user: User) -> int:
    total: int = api.get("/api/message/unread", user).data["total"]
    return total


def rows(api: Api, table: type[Base], **columns: Any) -> list[Any]:
    with api.parts.base.database.transaction(write=False) as session:
        in_order = select(table).filter_by(**columns).order_by(*inspect(table).primary_key)
        return list(session.scalars(in_order))
