"""Fixtures of the tests about logging in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine

from datingtoday.app import PARTS, Parts, create_app
from datingtoday.infra.sms.provider import SmsProvider
from tests.plugins.api import Api, RecordingSms, settings_of
from tests.plugins.backend import Backend

AppWith = Callable[..., Api]


@pytest.fixture
def app_with(shared_backend: Backend, _shared_api: Api, tmp_path: Path) -> Iterator[AppWith]:
    """``app_with(SECTION_KEY=value, sms=provider)``: another application on the servers of `api`, like a second
    process of the same service: it shares rows and Redis, and nothing in memory."""
    made: list[Parts] = []

    def make(*, sms: SmsProvider | None = None, **values: object) -> Api:
        recording = RecordingSms()
        app = create_app(settings_of(shared_backend, tmp_path, **values), sms=sms or recording)
        made.append(app.extensions[PARTS])
        return Api(app, recording)

    yield make
    for parts in made:
        parts.base.database.dispose()
        parts.base.guard_redis.close()


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """The time of this process; ``clock.shift(seconds)`` moves it. It goes on running, and Redis keeps its own."""
    with time_machine.travel(datetime.now(UTC)) as traveller:
        yield traveller
