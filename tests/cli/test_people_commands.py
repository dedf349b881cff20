"""`datingtoday label` and `datingtoday moderation`: what they say, and that running servers notice."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from datingtoday.cli.main import run
from datingtoday.safety.models import UserReport
from tests.plugins.api import Api
from tests.plugins.backend import Backend
from tests.profiles.factories import delete, make_user

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def server(app_of: Callable[..., Api], backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Api:
    """A server on the same database and Redis as the commands."""
    api = app_of()
    monkeypatch.setenv("DATINGTODAY_DATABASE_URI", backend.database_uri)
    monkeypatch.setenv("DATINGTODAY_REDIS_URI", backend.redis_uri)
    monkeypatch.setenv("DATINGTODAY_REDIS_CACHE_URI", backend.cache_uri)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return api


def report_about(api: Api, detail: str = "") -> tuple[int, int, int]:
    """A report: its id, about whom, by whom."""
    user, peer = make_user(api), make_user(api, nickname="坏人")
    sent = {"peerId": peer.user_id, "reason": "fraud", "detail": detail}
    return api.post("/api/user/report", user, **sent).data["report_id"], peer.user_id, user.user_id


class TestLabel:
    def test_an_added_label_can_be_chosen_at_once(self, server: Api, capsys: Capture) -> None:
        assert len(server.get("/api/label/list").data) == 27
        assert len(server.get("/api/label/list", gender=1).data) == 18

        assert run(["label", "add", " 爱喝茶 ", "--gender", "women", "--meaning", "一天三壶"]) == 0

        label_id = int(capsys.readouterr().out.split()[1])
        expected = {"label_id": label_id, "name": "爱喝茶", "gender": 2, "meaning": "一天三壶"}
        assert expected in server.get("/api/label/list").data
        assert expected in server.get("/api/label/list", gender=2).data
        assert expected not in server.get("/api/label/list", gender=1).data
        user = make_user(server)
        assert server.post("/api/user/label/update", user, labelIds=label_id).code == 0

    def test_a_new_name_shows_at_once_where_it_was_chosen(self, server: Api, capsys: Capture) -> None:
        users = [make_user(server) for _ in range(3)]
        for user in users[:2]:
            server.post("/api/user/label/update", user, labelIds="1,5").data  # noqa: B018 - asserts success
        for viewer, peer in ((users[2], users[0]), (users[0], users[1])):
            assert (
                server.get("/api/user/show", viewer, peerId=peer.user_id).data["labels"][0]["name"] == "慢热"
            )

        assert run(["label", "rename", "1", "很慢热"]) == 0

        assert capsys.readouterr().out == "label 1 is called 很慢热\n"
        for viewer, peer in ((users[2], users[0]), (users[0], users[1])):
            told = server.get("/api/user/show", viewer, peerId=peer.user_id).data["labels"]
            assert [label["name"] for label in told] == ["很慢热", "爱读书"]
        now = datetime.now(UTC)
        (card,) = server.parts.profiles.cards.of(users[2].user_id, [users[0].user_id], now)
        assert "很慢热" in bytes(card).decode()
        first = server.get("/api/label/list").data[0]
        assert (first["name"], first["meaning"]) == ("很慢热", "熟了以后话才多")

    def test_list(self, server: Api, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
        assert run(["label", "list"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["id", "for", "name", "meaning"]
        assert lines[1].split() == ["1", "everyone", "慢热", "熟了以后话才多"]
        assert len(lines) == 28
        monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
        assert run(["label", "list"]) == 0
        assert capsys.readouterr().out.split()[1] == "适用"

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["add", "慢热"], 1, "a label 慢热 exists already"),
            (["rename", "2", "慢热"], 1, "a label 慢热 exists already"),
            (["rename", "999", "x"], 1, "no label 999"),
            (["rename", "0", "x"], 2, "LABEL_ID"),
            (["add", "  "], 2, "NAME"),
            (["add", "x" * 51], 2, "NAME"),
            (["add", "a\nb"], 2, "NAME"),
            (["add", "x", "--meaning", "y" * 21], 2, "--meaning"),
            (["add", "x", "--gender", "dogs"], 2, "--gender"),
        ],
    )
    def test_mistakes(
        self, server: Api, capsys: Capture, arguments: list[str], code: int, words: str
    ) -> None:
        before = server.get("/api/label/list").body
        assert run(["label", *arguments]) == code
        captured = capsys.readouterr()
        assert words in captured.err
        assert (captured.out, captured.err.count("\n")) == ("", 1)
        assert server.get("/api/label/list").body == before

    def test_the_same_name_for_the_other_gender_is_fine(self, server: Api) -> None:
        assert run(["label", "add", "会做饭", "--gender", "women"]) == 0

    def test_one_character_is_a_name_and_a_meaning_can_be_taken_away(self, server: Api) -> None:
        assert run(["label", "add", "茶", "--meaning", "好" * 20]) == 0
        assert run(["label", "rename", "1", "慢", "--meaning", ""]) == 0
        labels = server.get("/api/label/list").data
        assert (labels[0]["name"], labels[0]["meaning"]) == ("慢", "")
        assert "茶" in {label["name"] for label in labels}


class TestModeration:
    def test_list_and_show(self, server: Api, capsys: Capture) -> None:
        assert run(["moderation", "list"]) == 0
        assert capsys.readouterr().out == "no reports\n"
        report_id, about, by = report_about(server, "要我转账\n" + "很多" * 40)

        assert run(["moderation", "list", "--user", str(about)]) == 0

        header, line = capsys.readouterr().out.splitlines()
        assert header.startswith("id")
        assert line.split()[0] == str(report_id)
        assert line.split()[3:7] == [str(about), str(by), "fraud", "open"]
        assert line.endswith("…")
        assert run(["moderation", "show", str(report_id)]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["evidence"]["profile"]["nickname"] == "坏人"
        assert (told["about"], told["by"], told["state"]) == (about, by, "open")

    def test_the_photos_that_a_report_keeps(self, server: Api, capsys: Capture, tmp_path: Path) -> None:
        user, peer = make_user(server), make_user(server)
        file = io.BytesIO()
        Image.new("RGB", (40, 30), (9, 9, 200)).save(file, "JPEG")
        media_id = server.upload("/api/media/upload", peer, file.getvalue(), kind="photo").data["media_id"]
        (photo,) = server.post("/api/album/add", peer, mediaId=media_id).data
        sent = {"peerId": peer.user_id, "reason": "nudity"}
        report_id = server.post("/api/user/report", user, **sent).data["report_id"]
        assert server.post("/api/album/remove", peer, photoId=photo["photo_id"]).code == 0
        data = ["--data", str(server.parts.base.settings.data_dir)]

        folder = tmp_path / "deep" / "out"
        for _ in range(2):
            assert run(["moderation", "show", str(report_id), "--photos", str(folder), *data]) == 0
            captured = capsys.readouterr()
            told = json.loads(captured.out)
            assert captured.err == f"datingtoday: {folder}/{media_id}.jpg\n"
        assert told["evidence"]["held_photos"] == [media_id]
        with Image.open(folder / f"{media_id}.jpg") as image:
            assert image.size == (40, 30)
        assert folder.stat().st_mode & 0o777 == 0o700, "nobody else may see them"
        (tmp_path / "file").touch()
        inside = str(tmp_path / "file" / "out")
        assert run(["moderation", "show", str(report_id), "--photos", inside, *data]) == 1
        assert "the photos cannot be written: " in capsys.readouterr().err
        assert run(["moderation", "dismiss", str(report_id), *data]) == 0
        assert run(["moderation", "show", str(report_id), "--photos", str(tmp_path / "none"), *data]) == 0
        assert list((tmp_path / "none").iterdir()) == []

    def test_dismiss(self, server: Api, capsys: Capture) -> None:
        report_id, *_ = report_about(server)
        assert run(["moderation", "dismiss", str(report_id), "--note", "harmless"]) == 0
        capsys.readouterr()
        assert run(["moderation", "show", str(report_id)]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["state"], told["note"], told["evidence"]["profile"]["nickname"]) == (
            "dismissed", "harmless", "坏人",
        )  # fmt: skip
        assert datetime.fromisoformat(told["close_time"]) >= datetime.fromisoformat(told["create_time"])
        assert run(["moderation", "dismiss", str(report_id)]) == 1
        assert "closed already: dismissed" in capsys.readouterr().err
        other, *_ = report_about(server)
        for state, shown in (("open", {other}), ("dismissed", {report_id}), ("all", {report_id, other})):
            capsys.readouterr()
            assert run(["moderation", "list", "--state", state]) == 0
            lines = capsys.readouterr().out.splitlines()[1:]
            assert {int(line.split()[0]) for line in lines} == shown
        assert run(["moderation", "list", "--state", "dismissed"]) == 0
        assert str(report_id) in capsys.readouterr().out
        with server.parts.base.database.transaction(write=False) as session:
            assert session.get_one(UserReport, report_id).note == "harmless"

    def test_a_ban_counts_at_once_in_a_running_server(self, server: Api, capsys: Capture) -> None:
        viewer, user = make_user(server), make_user(server)
        for _ in range(2):
            assert server.get("/api/user/show", user).code == 0
            assert server.get("/api/user/show", viewer, peerId=user.user_id).code == 0

        assert run(["moderation", "ban", str(user.user_id), "--reason", "广告", "--for", "7d"]) == 0

        told = capsys.readouterr().out
        answer = server.get("/api/user/show", user)
        assert (answer.code, answer.json["data"]["reason"]) == (1102, "广告")
        until = datetime.fromisoformat(answer.json["data"]["until"]).replace(tzinfo=UTC)
        assert told == f"{user.user_id} is banned until {until:%Y-%m-%d %H:%M:%S} UTC; 0 reports closed\n"
        assert timedelta(days=7) - timedelta(minutes=1) < until - datetime.now(UTC) <= timedelta(days=7)
        assert server.get("/api/user/show", viewer, peerId=user.user_id).code == 501
        assert run(["moderation", "unban", str(user.user_id)]) == 0
        assert server.get("/api/user/show", user).code == 0
        assert server.get("/api/user/show", viewer, peerId=user.user_id).code == 0

    def test_a_ban_for_good_closes_the_reports(self, server: Api, capsys: Capture) -> None:
        _, about, _ = report_about(server)
        assert run(["moderation", "ban", str(about), "--reason", "fraud"]) == 0
        assert "is banned permanently; 1 reports closed" in capsys.readouterr().out
        assert run(["moderation", "list"]) == 0
        assert capsys.readouterr().out == "no reports\n"

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["show", "77"], 1, "no report 77"),
            (["dismiss", "77"], 1, "no report 77"),
            (["ban", "77", "--reason", "x"], 1, "no account 77"),
            (["unban", "77"], 1, "no account 77"),
            (["ban", "77"], 2, "--reason"),
            (["ban", "77", "--reason", " "], 2, "--reason"),
            (["ban", "77", "--reason", "x" * 201], 2, "--reason"),
            (["ban", "77", "--reason", "x", "--for", "7"], 2, "--for"),
            (["ban", "77", "--reason", "x", "--for", "0d"], 2, "--for"),
            (["list", "--state", "closed"], 2, "--state"),
            (["list", "--most", "0"], 2, "--most"),
        ],
    )
    def test_mistakes(
        self, server: Api, capsys: Capture, arguments: list[str], code: int, words: str
    ) -> None:
        assert run(["moderation", *arguments]) == code
        captured = capsys.readouterr()
        assert words in captured.err
        assert (captured.out, captured.err.count("\n")) == ("", 1)

    def test_who_left_cannot_be_banned(self, server: Api, capsys: Capture) -> None:
        user = make_user(server)
        assert run(["moderation", "unban", str(user.user_id)]) == 1
        assert "is not banned" in capsys.readouterr().err
        delete(server, user)
        assert run(["moderation", "ban", str(user.user_id), "--reason", "x"]) == 1

    def test_nothing_is_changed_while_redis_is_down(
        self, server: Api, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user = make_user(server)
        monkeypatch.setenv("DATINGTODAY_REDIS_URI", "unix:///nonexistent/redis.sock")
        assert run(["moderation", "ban", str(user.user_id), "--reason", "x"]) == 1
        assert "Redis cannot be reached" in capsys.readouterr().err
        assert server.get("/api/user/show", user).code == 0
