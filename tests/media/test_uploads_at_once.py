"""Limit on the uploads of one person that are worked on at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from datingtoday.infra.ratelimit import RateLimits
from datingtoday.infra.redis import RedisDown
from datingtoday.media.processing import images
from datingtoday.media.uploads_at_once import LEASE_S, NAME
from datingtoday.protocol.errors import RateLimited
from tests.media.uploads import upload
from tests.plugins.api import Answer, Api, User
from tests.profiles.factories import make_user


class TestAtOnce:
    """Two uploads of one person are worked on at the same time, over all processes; one more is refused at once."""

    @pytest.fixture
    def slow(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Semaphore, threading.Event]]:
        """Decoders that wait for ``leave``, and count up ``inside`` when they do."""
        inside, leave = threading.Semaphore(0), threading.Event()

        def wait(file: Path, *rest: Any, **more: Any) -> Any:
            inside.release()
            assert leave.wait(30)
            return images.process_image(file, *rest, **more)

        monkeypatch.setattr("datingtoday.media.processing.prepare.process_image", wait)
        yield inside, leave
        leave.set()

    def begin(self, api: Api, user: User, answers: list[Answer]) -> threading.Thread:
        thread = threading.Thread(target=lambda: answers.append(upload(api, user)))
        thread.start()
        return thread

    def test_a_third_is_refused_in_any_process(self, app_with: Any, slow: Any) -> None:
        inside, leave = slow
        here, there = app_with(SERVER_THREADS=16, MEDIA_PARALLEL=8), app_with(SERVER_THREADS=16)
        user, other = make_user(here), make_user(here)
        answers: list[Answer] = []
        threads = [self.begin(api, user, answers) for api in (here, there)]
        for _ in threads:
            assert inside.acquire(timeout=30)
        for api in (here, there):
            refused = upload(api, user)
            assert (refused.status, refused.code) == (429, 429)
            assert refused.headers["Retry-After"] == str(refused.json["data"]["retry_after_s"]) == "2"
        threads.append(self.begin(here, other, answers))
        assert inside.acquire(timeout=30), "others are not concerned"
        leave.set()
        for thread in threads:
            thread.join()
        assert [answer.code for answer in answers] == [0, 0, 0]
        assert upload(here, user).code == 0, "the places are free again"

    def test_a_refused_file_gives_its_place_back(self, app_with: Any) -> None:
        api = app_with()
        user = make_user(api)
        for _ in range(3):
            assert upload(api, user, b"no picture").code == 1201
        assert upload(api, user).code == 0

    def test_a_place_of_a_process_that_died_is_free_after_a_while(self, app_with: Any) -> None:
        api = app_with()
        user, limits = make_user(api), api.parts.base.limits
        now = datetime.now(UTC)
        for _ in range(2):
            limits.hit(NAME, str(user.user_id), 2, per_s=LEASE_S, now=now - timedelta(seconds=130))
        assert upload(api, user).code == 0
        for _ in range(2):
            limits.hit(NAME, str(user.user_id), 2, per_s=LEASE_S, now=now)
        assert upload(api, user).status == 429

    def test_without_redis_each_process_counts_its_own(
        self, app_with: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service = app_with().parts.media.service

        def down(*_: Any, **__: Any) -> str:
            raise RedisDown("gone")

        monkeypatch.setattr(RateLimits, "hit", down)
        monkeypatch.setattr(RateLimits, "give_back", down)
        now = datetime.now(UTC)
        place = service.at_once.place
        with place(1, now), place(1, now), place(2, now), pytest.raises(RateLimited), place(1, now):
            raise AssertionError("must not get here")
        with place(1, now):
            pass
        # One place is free, not more, while the other is held.
        with place(1, now):
            with place(1, now):
                pass
            with place(1, now), pytest.raises(RateLimited), place(1, now):
                raise AssertionError("must not get here")
        assert not service.at_once._here, "nothing is kept of who holds no place"
