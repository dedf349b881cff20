"""A database that was set back, and the clients that notice."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete

from datingtoday.chat.models import ChatEvent, Contact, Inbox, Message
from datingtoday.cli.main import run
from tests.chat.program import load_program
from tests.chat.talking import history, send, two
from tests.plugins.api import Api, User


def client_of(api: Api, user: User) -> Any:
    def request(method: str, path: str, parameters: dict[str, Any]) -> Any:
        return (api.get if method == "GET" else api.post)(path, user, **parameters).json

    return load_program()(request, wait=threading.Event().wait)


def set_back(api: Api, user: User, peer: User) -> None:
    """As a restored database has it: all after the first message never was."""
    with api.parts.base.database.transaction() as session:
        ids = (user.user_id, peer.user_id)
        session.execute(delete(ChatEvent).where(ChatEvent.user_id.in_(ids), ChatEvent.pos > 1))
        session.execute(delete(Message).where(Message.from_uid.in_(ids), Message.seq > 1))
        for user_id in ids:
            session.get_one(Inbox, user_id).head = 1
        for row in session.query(Contact).filter(Contact.user_id.in_(ids)):
            row.last_seq = 1


def test_clients_start_again_after_the_database_was_set_back(api: Api) -> None:
    user, peer = two(api)
    client = client_of(api, user)
    for content in ("first", "lost", "lost too"):
        send(api, peer, user, content).data  # noqa: B018
    client.sync()
    assert [it["content"] for it in client.messages.values()] == ["first", "lost", "lost too"]
    before = client.epoch

    set_back(api, user, peer)
    with api.parts.base.database.transaction() as session:
        api.parts.chat.begin_epoch(session, datetime.now(UTC))
    for content in ("new", "newer", "newest"):
        send(api, peer, user, content).data  # noqa: B018
    # The position alone would not tell: the stream is as long as it was.
    assert client.since == 3 and client.epoch == before
    client.sync()

    assert client.epoch > before
    assert [it["content"] for it in client.messages.values()] == ["first", "new", "newer", "newest"]
    assert [it["content"] for it in history(api, user, peer)] == ["first", "new", "newer", "newest"]


def test_no_epoch_comes_twice(api: Api) -> None:
    """Also if the older database has forgotten the epochs after it."""
    with api.parts.base.database.transaction() as session:
        first = api.parts.chat.begin_epoch(session, datetime.now(UTC))
        second = api.parts.chat.begin_epoch(session, datetime.now(UTC))
    assert second > first >= int(datetime.now(UTC).timestamp()) - 60


def test_the_command(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = api.parts.base.settings
    monkeypatch.setenv("DATINGTODAY_DATABASE_URI", settings.database.uri)
    monkeypatch.setenv("DATINGTODAY_REDIS_URI", settings.redis.uri)
    user, _ = two(api, talk=True)
    before = api.get("/api/message/sync", user, since="latest").data["epoch"]
    assert run(["db", "new-epoch"]) == 0
    assert api.get("/api/message/sync", user, since=0, epoch=before).code == 1406
