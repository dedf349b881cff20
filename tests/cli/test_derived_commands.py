"""`datingtoday hot`, `nearby` and `seed`: their words, and what is left when they stop."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from datingtoday.cli.main import run
from datingtoday.cli.seeding.load import SeedLoad
from datingtoday.discovery.rebuild import HotRebuild
from datingtoday.infra.storage.storage import StorageError
from datingtoday.profiles.models import UserInfo
from tests.plugins.api import Api
from tests.profiles.factories import make_user

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.parametrize("backend", ["embedded"], indirect=True)


@pytest.fixture
def server(app_with_commands: Callable[..., Api]) -> Api:
    return app_with_commands()


def people(api: Api) -> int:
    with api.parts.base.database.transaction(write=False) as session:
        return session.scalar(select(func.count()).select_from(UserInfo)) or 0


def test_the_hot_list_is_made_anew(server: Api, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        make_user(server)
    monkeypatch.setattr("datingtoday.cli.progress._LINE_EVERY_S", 0)
    monkeypatch.setattr("datingtoday.cli.progress._MIN_RATE_S", 1_000_000)
    assert run(["hot", "rebuild"]) == 0
    assert capsys.readouterr() == ("3 people; 3 in the hot list\n", "3 people …\n")
    monkeypatch.setattr(HotRebuild, "make_edition", lambda *_: None)
    assert run(["hot", "rebuild"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 people; a server is already making the hot list"


def test_nearby_is_quiet_where_that_is_wanted(server: Api, capsys: Capture) -> None:
    make_user(server)
    assert run(["nearby", "rebuild", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert run(["nearby", "rebuild"]) == 0
    assert capsys.readouterr().out.startswith("people: ")


def test_made_up_people_are_told(server: Api, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datingtoday.cli.progress._LINE_EVERY_S", 0)
    monkeypatch.setattr("datingtoday.cli.progress._MIN_RATE_S", 1_000_000)
    made: list[Any] = []
    monkeypatch.setattr(SeedLoad, "make_edition", lambda _, now: made.append(now))
    assert run(["seed", "--users", "3"]) == 0
    told = capsys.readouterr()
    assert told.err.splitlines()[-1] == "3 / 3 …"
    found = re.fullmatch(r"3 made-up people \((\d+) to (\d+)\) in (\d+\.\d) s\n", told.out)
    assert found is not None, told.out
    assert (int(found[2]) - int(found[1]), float(found[3]) < 600) == (2, True)
    assert (len(made), people(server)) == (1, 3)
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert run(["seed", "--users", "1", "--force"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(
        rf"已生成 1 个虚构用户（{int(found[2]) + 1} 到 {int(found[2]) + 1}），用时 \d+\.\d 秒", last
    )


def test_people_of_your_own_are_not_mixed_with_others(server: Api, capsys: Capture) -> None:
    make_user(server)
    assert run(["seed", "--users", "3"]) == 1
    assert capsys.readouterr() == (
        "",
        "datingtoday: this database already holds people; --force adds made-up ones\n",
    )
    assert people(server) == 1


@pytest.mark.parametrize(
    ("done", "said"),
    [
        (None, "stopped with 0 of 9 people; the others: datingtoday seed --users 9 --force"),
        (4, "stopped with 4 of 9 people; the others: datingtoday seed --users 5 --force"),
    ],
)
def test_after_ctrl_c_the_command_for_the_others_is_told(
    server: Api, capsys: Capture, monkeypatch: pytest.MonkeyPatch, done: int | None, said: str
) -> None:
    def load(_: Any, users: int, seed: int, now: Any, tell: Callable[[int], None]) -> None:
        assert (users, seed) == (9, 2)
        if done is not None:
            tell(done)
        raise KeyboardInterrupt

    monkeypatch.setattr(SeedLoad, "load", load)
    assert run(["seed", "--users", "9", "--seed", "2"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == f"datingtoday: {said}"


def test_a_store_that_fails(server: Api, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any) -> None:
        raise StorageError("no bucket")

    monkeypatch.setattr(SeedLoad, "load", load)
    assert run(["seed", "--users", "9"]) == 1
    assert capsys.readouterr() == (
        "",
        "datingtoday: the pictures cannot be stored: no bucket; no people were added\n",
    )
    assert people(server) == 0
