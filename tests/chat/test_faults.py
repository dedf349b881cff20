"""The promises under faults, in short; `make chaos` is the long form. And the proof that the checker notices."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.chat import lab as faults
from tests.chat.checker import Account, check
from tests.chat.connections import DroppingProxy
from tests.chat.lab import Lab
from tests.chat.storm import Storm
from tests.plugins.polling import wait_until
from tests.plugins.redis_server import RedisServer
from tests.plugins.sql_server import SqlServer
from tests.profiles.factories import make_user

pytestmark = pytest.mark.real
MakeLab = Callable[..., Lab]


@pytest.fixture
def make_lab(
    private_sql_server: Callable[[], SqlServer], private_redis: Callable[..., RedisServer], tmp_path: Path
) -> Iterator[MakeLab]:
    with ExitStack() as stack:

        def begin(**options: object) -> Lab:
            lab = Lab(tmp_path, private_sql_server(), private_redis("real"), **options)  # type: ignore[arg-type]
            stack.callback(lab.close)
            return lab

        yield begin


def storm_in(lab: Lab, *, people: int = 8, hot: bool = False) -> Storm:
    users = [make_user(lab.api) for _ in range(people)]
    storm = Storm(users, lab.connect, seed=11, hot=hot, listen=lab.listen if lab.pushes else None)
    storm.begin()
    return storm


def wait_for_more(storm: Storm, count: int) -> None:
    target = storm.acknowledged + count

    def reached() -> bool:
        storm.raise_failures()
        return storm.acknowledged >= target

    wait_until(reached, f"{target} messages", deadline_s=60, every_s=0.05)


def test_nothing_is_lost_or_doubled(make_lab: MakeLab) -> None:
    lab = make_lab(pushes=1)
    storm = storm_in(lab)
    chance = random.Random(5)
    for fault in (
        faults.kill_worker, faults.wipe_redis, faults.kill_push, faults.kill_database, faults.kill_worker,
        lambda lab, chance: faults.read_only(lab, chance, 0.5),
        lambda lab, chance: faults.no_connections(lab, chance, 0.5),
    ):  # fmt: skip
        wait_for_more(storm, 30)
        fault(lab, chance)
    pushed = storm.pushed
    wait_for_more(storm, 30)
    wait_until(lambda: storm.pushed > pushed, "pushes after all of it", deadline_s=60)
    assert storm.end() == {}


def test_the_checker_notices_a_server_without_dedupe(make_lab: MakeLab) -> None:
    lab = make_lab()
    with lab.api.parts.base.database.transaction() as session:
        session.execute(text("ALTER TABLE message DROP INDEX uq_message_from_uid_client_id"))
    proxy = DroppingProxy(lab.port, every_s=5, answers_lost=0.15, seed=1)
    try:
        storm = Storm(
            [make_user(lab.api) for _ in range(4)], lambda user: lab.connect(user, proxy.url), seed=3
        )
        storm.begin()
        wait_for_more(storm, 60)
        assert storm.end().get("shown twice", 0) > 0
    finally:
        proxy.close()


def test_the_checker_notices_a_push_of_what_never_came_to_be() -> None:
    entry = {"pos": 1, "kind": "read", "peer_id": 2, "seq": 5, "by_me": True}
    payload = {**entry, "epoch": 1}

    def found(*pushed: tuple[str, dict[str, object]]) -> dict[str, int]:
        return check([], [Account(1, [entry], [entry], {}, {}, pushed)])

    assert found(("read", payload), ("typing", {"peer_id": 2})) == {}
    for name, made_up in (
        ("read", {**payload, "pos": 2}),
        ("recall", payload),
        ("read", {**payload, "seq": 6}),
    ):
        assert found((name, made_up)) == {"pushed and not in the stream": 1}


@pytest.mark.long
def test_the_checker_notices_positions_by_auto_increment(make_lab: MakeLab) -> None:
    lab = make_lab(factory="auto_increment")
    with lab.api.parts.base.database.transaction() as session:
        session.execute(text("CREATE TABLE drawn (id INT PRIMARY KEY AUTO_INCREMENT)"))
    found: dict[str, int] = {}
    # Two commits have to overtake each other between two reads: a storm on a busy machine may miss that.
    for _ in range(4):
        storm = storm_in(lab, people=9, hot=True)
        wait_for_more(storm, 300)
        found = storm.end()
        if found.get("acknowledged and lost"):
            break
    assert found.get("acknowledged and lost", 0) > 0
    assert found.get("followed is not what is read again", 0) > 0


@pytest.mark.long
def test_the_checker_notices_an_answer_before_the_commit(make_lab: MakeLab) -> None:
    lab = make_lab(factory="early_answer")
    storm = storm_in(lab, people=6)
    for number in range(6):
        wait_for_more(storm, 6)
        faults.kill_worker(lab, random.Random(number))
    assert storm.end().get("acknowledged and lost", 0) > 0
