"""Limits by settings: new conversations a day, and pace."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine

from datingtoday.chat.models import Contact, Conversation
from tests.chat.talking import new_id, rows, send, two
from tests.plugins.api import Api
from tests.profiles.factories import make_hidden, make_user

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)


def test_new_conversations_a_day(app_with: Any) -> None:
    api: Api = app_with(LIMITS_NEW_CONTACTS_PER_DAY=2)
    user, hidden, *others = (make_user(api) for _ in range(6))
    make_hidden(api, hidden)
    with time_machine.travel(NOON, tick=False) as clock:
        client_id = new_id()
        # Begun by others, refused, and going on: none of it counts.
        send(api, others[3], user).data  # noqa: B018
        assert send(api, user, hidden).code == 1401
        first = send(api, user, others[0], clientId=client_id).data
        for _ in range(3):
            send(api, user, others[0]).data  # noqa: B018
        send(api, user, others[1]).data  # noqa: B018
        refused = send(api, user, others[2])
        assert (refused.code, "2" in refused.msg) == (1404, True)
        send(api, user, others[3]).data  # noqa: B018
        assert send(api, user, others[0], clientId=client_id).data == first
        assert rows(api, Contact, user_id=user.user_id, peer_id=others[2].user_id) == []
        clock.shift(timedelta(hours=12))
        assert send(api, user, others[2]).code == 0


def test_the_limit_is_exact_at_once(app_with: Any) -> None:
    api: Api = app_with(LIMITS_NEW_CONTACTS_PER_DAY=3)
    user, others = make_user(api), [make_user(api) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda other: send(api, user, other).code, others))
    assert sorted(codes) == [0, 0, 0, 1404, 1404, 1404, 1404, 1404]
    assert len(rows(api, Contact, user_id=user.user_id)) == 3
    assert len(rows(api, Conversation, creator_id=user.user_id)) == 3


def test_vips_may_begin_more(app_with: Any, monkeypatch: Any) -> None:
    api: Api = app_with(LIMITS_NEW_CONTACTS_PER_DAY=1, LIMITS_NEW_CONTACTS_PER_DAY_VIP=2)
    user, others = make_user(api), [make_user(api) for _ in range(3)]
    send(api, user, others[0]).data  # noqa: B018
    assert send(api, user, others[1]).code == 1404
    monkeypatch.setattr(type(api.parts.profiles.visibility), "is_vip", lambda *_: True)
    assert [send(api, user, other).code for other in others[1:]] == [0, 1404]


def test_pace(app_with: Any) -> None:
    api: Api = app_with(LIMITS_MESSAGES_PER_MINUTE=6)
    user, peer = two(api)
    with time_machine.travel(NOON, tick=False) as clock:
        client_id = new_id()
        first = send(api, user, peer, clientId=client_id).data
        for _ in range(5):
            send(api, user, peer).data  # noqa: B018
        refused = send(api, user, peer)
        assert (refused.status, refused.code, refused.json["data"]["retry_after_s"]) == (429, 429, 10)
        assert refused.headers["Retry-After"] == "10"
        # Nobody else's, and a retry of what was sent is none.
        assert send(api, peer, user).code == 0
        assert send(api, user, peer, clientId=client_id).data == {**first}
        clock.shift(timedelta(seconds=10))
        assert [send(api, user, peer).code for _ in range(2)] == [0, 429]
        clock.shift(timedelta(seconds=60))
        assert [send(api, user, peer).code for _ in range(7)] == [0] * 6 + [429]
