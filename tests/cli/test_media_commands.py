"""`datingtoday media`: what it removes, what it says, and that running servers obey."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from datingtoday.cli.main import run
from datingtoday.infra.db import DatabaseDown
from datingtoday.infra.storage.storage import StorageError
from datingtoday.media.models import Media
from datingtoday.media.moderation import Verdict
from datingtoday.media.service import MediaService
from tests.media.uploads import count, make_media, row_of, stored
from tests.plugins.api import Api
from tests.profiles.factories import make_user

Capture = pytest.CaptureFixture[str]
EMBEDDED = pytest.mark.parametrize("backend", ["embedded"], indirect=True)


@pytest.fixture
def server(app_with_commands: Callable[..., Api]) -> Api:
    return app_with_commands()


def hours_ago(hours: int) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)


def test_purge(server: Api, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    old = make_media(server, 7, unused_since=hours_ago(25))
    young = make_media(server, 7, unused_since=hours_ago(23))
    assert run(["media", "purge"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "unused uploads: 1 removed",
        "stored objects: 1 removed",
        "unfinished files: 0 removed",
    ]
    assert row_of(server, old.id) is None
    assert stored(server, old.storage_key) == [False] * 3
    assert stored(server, young.storage_key) == [True] * 3
    monkeypatch.setenv("DATINGTODAY_MEDIA_UNUSED_HOURS", "22")
    assert run(["media", "purge", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert count(server, Media) == 0
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert run(["media", "purge"]) == 0
    assert "已删除 0 个" in capsys.readouterr().out


def test_purge_with_another_folder(
    server: Api, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    media = make_media(server, 7, unused_since=hours_ago(25))
    folder = server.parts.base.settings.data_dir / "media"
    monkeypatch.setenv("DATINGTODAY_DATA", str(tmp_path / "elsewhere"))
    assert run(["media", "purge", "--quiet"]) == 1
    assert "[STORAGE] path" in capsys.readouterr().err
    assert stored(server, media.storage_key) == [True] * 3
    # The setting holds wherever a command is started.
    other = make_media(server, 7, unused_since=hours_ago(25))
    monkeypatch.setenv("DATINGTODAY_STORAGE_PATH", str(folder))
    assert run(["media", "purge", "--quiet"]) == 0
    assert stored(server, other.storage_key) == [False] * 3


def test_moderate(server: Api, capsys: Capture) -> None:
    user, viewer = make_user(server), make_user(server)
    media = make_media(server, user, verdict="pending")
    server.post("/api/user/update", user, avatar=media.id).data  # noqa: B018 - asserts success

    assert run(["media", "moderate", "list"]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split()[0] == "id"
    assert line.split()[0] == media.id
    assert line.split()[3:6] == [str(user.user_id), "photo", "-"]
    url = line.split()[-1]
    assert server.send("GET", url).body == b"full form"

    def seen() -> int:
        return server.send(
            "GET", server.parts.media.service.urls(media, viewer.user_id, datetime.now(UTC))["url"]
        ).status

    assert seen() == 404
    assert run(["media", "moderate", "approve", media.id]) == 0
    assert capsys.readouterr().out == "approved: 1\n"
    assert seen() == 200
    assert run(["media", "moderate", "refuse", media.id, "--reason", "不雅"]) == 0
    assert seen() == 404
    capsys.readouterr()
    assert run(["media", "moderate", "list", "--verdict", "refused"]) == 0
    assert "不雅" in capsys.readouterr().out
    assert run(["media", "moderate", "list"]) == 0
    assert capsys.readouterr().err == "datingtoday: no such uploads\n"


def test_ask(server: Api, capsys: Capture) -> None:
    media = make_media(server, 7, verdict="pending", create_time=hours_ago(1))
    assert run(["media", "moderate", "ask"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{media.id} approved", "answered: 1"]
    row = row_of(server, media.id)
    assert row is not None and row.verdict == "approved"


@EMBEDDED
def test_each_upload_that_is_asked_about_is_told(
    server: Api, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [make_media(server, 7, verdict="pending", create_time=hours_ago(age)).id for age in (3, 2, 1)]
    answers = {ids[1]: Verdict.REFUSED}
    monkeypatch.setattr(MediaService, "ask", lambda _, media_id, now: answers.get(media_id))
    monkeypatch.setattr("datingtoday.cli.progress._LINE_EVERY_S", 0)
    monkeypatch.setattr("datingtoday.cli.progress._MIN_RATE_S", 1_000_000)
    assert run(["media", "moderate", "ask"]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == [f"{ids[0]} -", f"{ids[1]} refused", f"{ids[2]} -"]
    assert told.err.splitlines() == [
        "1 asked …",
        "2 asked …",
        "3 asked …",
        "datingtoday: answered: 1, no answer: 2; the log says why",
    ]


@EMBEDDED
@pytest.mark.parametrize("failure", [StorageError("no bucket"), DatabaseDown("no bucket")])
def test_what_cannot_be_removed_is_told(
    server: Api, capsys: Capture, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr("datingtoday.media.jobs.purge", fail)
    assert run(["media", "purge"]) == 1
    assert capsys.readouterr() == (
        "",
        "datingtoday: database or store cannot be reached (no bucket); what was removed stays removed\n",
    )


@EMBEDDED
def test_a_reason_of_two_hundred_characters(server: Api, capsys: Capture) -> None:
    media = make_media(server, 7)
    assert run(["media", "moderate", "refuse", media.id, "--reason", f" {'好' * 200} "]) == 0
    row = row_of(server, media.id)
    assert row is not None and row.reason == "好" * 200
    capsys.readouterr()
    assert run(["media", "moderate", "list", "--verdict", "refused"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[5] == "好" * 39 + "…"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["purge", "--batch", "0"], 2, "--batch"),
        (["moderate", "list", "--verdict", "maybe"], 2, "--verdict"),
        (["moderate", "approve"], 2, "MEDIA_IDS"),
        (["moderate", "refuse", "x", "--reason", "y" * 201], 2, "--reason"),
        (["moderate", "refuse", "x", "--reason", "a\nb"], 2, "--reason"),
    ],
)
def test_mistakes(server: Api, capsys: Capture, arguments: list[str], code: int, words: str) -> None:
    assert run(["media", *arguments]) == code
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""


def test_an_unknown_upload_leaves_the_others_alone(server: Api, capsys: Capture) -> None:
    media, unknown = make_media(server, 7), secrets.token_hex(16)
    assert run(["media", "moderate", "refuse", media.id, unknown]) == 1
    assert unknown in capsys.readouterr().err
    row = row_of(server, media.id)
    assert row is not None and row.verdict == "approved"
