"""Shared by the tests of visitors: VIPs, visits, and the work of the worker."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from datingtoday.infra.stream_reader import drain
from tests.plugins.api import Api, User

LIST = "/api/visitor/list"
COUNT = "/api/visitor/count"


class Vips:
    """Until when people are VIP, in place of the feature that sells it."""

    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        self._until: dict[int, datetime] = {}
        monkeypatch.setattr(api.parts.profiles.cards.people, "_vip", self)
        monkeypatch.setattr(api.parts.profiles.visibility, "_vip", self)
        self._api = api

    def deadlines(self, session: Session, user_ids: Collection[int]) -> dict[int, datetime]:
        return {user_id: self._until[user_id] for user_id in user_ids if user_id in self._until}

    def make(self, *users: User, seconds: float = 3600) -> None:
        with self._api.parts.base.database.transaction() as session:
            for user in users:
                self._until[user.user_id] = datetime.now(UTC) + timedelta(seconds=seconds)
            self._api.parts.profiles.cards.changed(session, [user.user_id for user in users])


def visit(api: Api, visitor: User, owner: User) -> None:
    """Look at a profile; what the worker has to do is not done yet."""
    api.get("/api/user/show", visitor, peerId=owner.user_id).data  # noqa: B018 - asserts success


def record(api: Api) -> None:
    """Do the worker's work."""
    drain(api.parts.base.streams)


def count(api: Api, owner: User) -> Any:
    record(api)
    return api.get(COUNT, owner).data


def listed(api: Api, owner: User, **page: Any) -> Any:
    record(api)
    return api.get(LIST, owner, **page).data


def ids(page: Any) -> list[int]:
    return [row["peer"]["user_id"] for row in page["list"]]
