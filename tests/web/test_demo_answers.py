"""The demo person who answers by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from datingtoday.infra.config.demo import ANSWERING_PHONE
from datingtoday.infra.milliseconds import moment_of
from datingtoday.infra.realtime import PushEvent
from datingtoday.web.jobs import DemoAnswers
from tests.chat.talking import contents, send
from tests.plugins.api import Api, User, make_api
from tests.plugins.backend import Backend
from tests.profiles.factories import make_user

LATER = timedelta(seconds=3)


@pytest.fixture
def demo(backend: Backend, tmp_path: Path) -> Api:
    return make_api(backend, tmp_path)


def test_who_blocks_it_silences_it_for_nobody_else(demo: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[PushEvent] = []
    monkeypatch.setattr(demo.parts.base.realtime, "publish", told.extend)
    answers = DemoAnswers(demo.parts.base, demo.parts.chat)
    assert not answers.has_work(datetime.now(UTC))
    answering = demo.new_user(ANSWERING_PHONE)
    blocking, leaving, patient = (make_user(demo) for _ in range(3))
    for user in (blocking, leaving, patient):
        send(demo, user, answering).data  # noqa: B018 - asserts success
    demo.post("/api/user/block", blocking, peerId=answering.user_id).data  # noqa: B018
    _leave(demo, leaving)

    told.clear()
    answers.run(datetime.now(UTC) - timedelta(seconds=1))
    assert [(it.user_id, it.name) for it in told] == [(patient.user_id, "typing")]
    for _ in range(2):
        answers.run(datetime.now(UTC) + LATER)
    assert not answers.has_work(datetime.now(UTC))
    assert len(contents(demo, patient, answering)) == 2
    assert contents(demo, blocking, answering) == ["hello"]


def test_it_thinks_for_two_seconds_and_answers_once(demo: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[PushEvent] = []
    monkeypatch.setattr(demo.parts.base.realtime, "publish", told.extend)
    answers, answering, user = (
        DemoAnswers(demo.parts.base, demo.parts.chat),
        demo.new_user(ANSWERING_PHONE),
        make_user(demo),
    )
    message = send(demo, user, answering).data
    written_at = moment_of(message["send_ms"])
    told.clear()
    answers.run(written_at + timedelta(seconds=2, milliseconds=-1))
    assert [it.user_id for it in told if it.name == "typing"] == [user.user_id]
    assert len(contents(demo, user, answering)) == 1
    assert answers.has_work(written_at)
    for _ in range(2):
        answers.run(written_at + timedelta(seconds=2))
        assert len(contents(demo, user, answering)) == 2
    assert not answers.has_work(written_at)


def _leave(api: Api, user: User) -> None:
    api.post("/api/user/delete", user, code=api.new_code(user.phone, "delete")).data  # noqa: B018
