"""Media as other features use it, moderation, and the jobs."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from datingtoday.media.errors import MediaNotFound
from datingtoday.media.jobs import ask_again
from datingtoday.media.models import Media, MediaUsage
from datingtoday.media.moderation import Judgement, Subject, Verdict
from datingtoday.media.processing.inspect import Kind
from datingtoday.media.service import MediaJudged
from tests.accounts.at_once import at_once
from tests.media.uploads import make_media, row_of, upload
from tests.plugins.api import Api, User
from tests.profiles.factories import make_user

DAY = timedelta(hours=24)


def now() -> datetime:
    return datetime.now(UTC)


def usage_of(api: Api, user: User) -> tuple[int, int]:
    with api.parts.base.database.transaction(write=False) as session:
        row = session.get(MediaUsage, user.user_id)
        return (0, 0) if row is None else (row.files, row.stored_bytes)


def attach(api: Api, user: User, media_id: str, *kinds: Kind) -> Media:
    with api.parts.base.database.transaction() as session:
        return api.parts.media.service.attach(session, user.user_id, media_id, *kinds)


def detach(api: Api, media_ids: list[str], at: datetime) -> None:
    with api.parts.base.database.transaction() as session:
        api.parts.media.service.detach(session, media_ids, at)


class TestUses:
    def test_own_of_the_right_kind(self, api: Api) -> None:
        user, other = make_user(api), make_user(api)
        photo, sound = make_media(api, user), make_media(api, user, "audio")
        pending, refused = make_media(api, user, verdict="pending"), make_media(api, user, verdict="refused")
        media = api.parts.media.service
        for get in (media.get_own, media.attach):
            with api.parts.base.database.transaction() as session:
                assert get(session, user.user_id, photo.id, Kind.PHOTO).id == photo.id
                assert get(session, user.user_id, sound.id).id == sound.id
                assert get(session, user.user_id, sound.id, Kind.IMAGE, Kind.AUDIO).id == sound.id
                assert get(session, user.user_id, pending.id, Kind.PHOTO).id == pending.id
                for user_id, media_id, kinds in (
                    (other.user_id, photo.id, [Kind.PHOTO]),
                    (user.user_id, photo.id, [Kind.IMAGE]),
                    (user.user_id, sound.id, [Kind.PHOTO]),
                    (user.user_id, refused.id, []),
                    (user.user_id, photo.id.upper() + "x", []),
                    (user.user_id, secrets.token_hex(16), []),
                    (user.user_id, "", []),
                ):
                    with pytest.raises(MediaNotFound):
                        get(session, user_id, media_id, *kinds)

    def test_are_counted(self, api: Api) -> None:
        user, at = make_user(api), datetime(2026, 5, 1, tzinfo=UTC)
        media = make_media(api, user)

        def state() -> tuple[int, datetime | None]:
            row = row_of(api, media.id)
            assert row is not None
            return row.uses, row.unused_since

        assert attach(api, user, media.id).uses == 1
        assert state() == (1, None)
        attach(api, user, media.id)
        assert state() == (2, None)
        detach(api, [media.id], at)
        assert state() == (1, None)
        detach(api, [media.id, secrets.token_hex(16)], at)
        assert state() == (0, at)
        detach(api, [media.id], at + DAY)
        assert state() == (0, at), "nothing is taken away that was not there"

    def test_several_in_one_transaction(self, api: Api) -> None:
        user, at = make_user(api), datetime(2026, 5, 1, tzinfo=UTC)
        media = make_media(api, user)
        service = api.parts.media.service
        with api.parts.base.database.transaction() as session:
            for _ in range(3):
                service.attach(session, user.user_id, media.id)
            service.detach(session, [media.id], at)
        row = row_of(api, media.id)
        assert row is not None and row.uses == 2

    def test_at_the_same_time(self, api: Api) -> None:
        user = make_user(api)
        media = make_media(api, user)
        at_once([lambda: attach(api, user, media.id) for _ in range(5)])
        row = row_of(api, media.id)
        assert row is not None and row.uses == 5

    def test_a_rollback_takes_nothing(self, api: Api) -> None:
        user = make_user(api)
        media = make_media(api, user)
        with pytest.raises(RuntimeError), api.parts.base.database.transaction() as session:
            api.parts.media.service.attach(session, user.user_id, media.id)
            raise RuntimeError
        row = row_of(api, media.id)
        assert row is not None and (row.uses, row.unused_since is None) == (0, False)

    def test_many_are_read_at_once(self, api: Api) -> None:
        user = make_user(api)
        rows = [make_media(api, user) for _ in range(3)]
        wanted = [row.id for row in rows]
        with api.parts.base.database.transaction(write=False) as session:
            found = api.parts.media.service.read(session, [*wanted, *wanted, secrets.token_hex(16)])
            assert api.parts.media.service.read(session, []) == {}
        assert sorted(found) == sorted(wanted)


class TestUrls:
    def test_of_photos_change_once_a_day(self, api: Api) -> None:
        media = make_media(api, 7)
        start = datetime(2026, 11, 22, tzinfo=UTC)
        told = [
            api.parts.media.service.urls(media, 7, start + timedelta(minutes=10 * n)) for n in range(6 * 48)
        ]
        assert set(told[0]) == {"url", "thumb_url"}
        assert len({one["url"] for one in told}) in (2, 3)
        assert "size=thumb" in told[0]["thumb_url"]

    @pytest.mark.parametrize("kind", ["image", "audio", "video"])
    def test_of_chat_live_ten_minutes(self, api: Api, kind: str) -> None:
        media, at = make_media(api, 7, kind), datetime(2026, 11, 22, 12, tzinfo=UTC)
        told = api.parts.media.service.urls(media, 7, at)
        assert set(told) == ({"url"} if kind == "audio" else {"url", "thumb_url"})
        for url in told.values():
            assert int(parse_qs(urlsplit(url).query)["expires"][0]) == at.timestamp() + 600

    def test_need_no_sql(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        media = make_media(api, 7)
        monkeypatch.setattr(api.parts.media.service, "database", None)
        assert api.parts.media.service.describe(media, 8, now())["url"]


class Vendor:
    """A moderator that answers what it is told to."""

    def __init__(self, *answers: Judgement | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Subject, bytes]] = []

    def judge(self, subject: Subject) -> Judgement:
        self.asked.append((subject, subject.read()))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def vendor(api: Api, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Vendor]:
    def put_in(*answers: Judgement | Exception) -> Vendor:
        made = Vendor(*answers)
        monkeypatch.setattr(api.parts.media.service, "_moderator", made)
        return made

    return put_in


class TestModeration:
    @pytest.mark.parametrize("verdict", list(Verdict))
    def test_an_upload_is_judged_once(
        self, api: Api, vendor: Callable[..., Vendor], verdict: Verdict
    ) -> None:
        asked = vendor(Judgement(verdict, "because " * 100, "case-1 " * 100))
        user = make_user(api)
        told = upload(api, user).data
        row = row_of(api, told["media_id"])
        assert row is not None
        assert (row.verdict, row.reason) == (verdict, ("because " * 100)[:200])
        assert row.reference == ("case-1 " * 100)[:100]
        assert row.asked_at is not None
        ((subject, seen),) = asked.asked
        assert (subject.media_id, subject.kind, subject.owner_id) == (row.id, "photo", user.user_id)
        assert len(seen) == told["bytes"]
        assert api.send("GET", told["url"]).status == 200, "the owner sees it in any case"

    def test_where_all_is_approved_nobody_is_asked(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        """An upload costs no transaction more than it needs."""

        def never(*_: object) -> None:
            raise AssertionError("asked")

        monkeypatch.setattr(api.parts.media.service, "ask", never)
        row = row_of(api, upload(api, make_user(api)).data["media_id"])
        assert row is not None and (row.verdict, row.asked_at) == ("approved", row.create_time)

    def test_a_film_is_judged_by_its_poster(self, api: Api, vendor: Callable[..., Vendor]) -> None:
        asked = vendor(Judgement(Verdict.APPROVED))
        media = make_media(api, 7, "video", verdict="pending")
        assert api.parts.media.service.ask(media.id, now()) is Verdict.APPROVED
        assert asked.asked[0][1] == f"medium {media.id}".encode()

    def test_a_moderator_that_fails_is_asked_again(
        self, app_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api = app_of()
        asked = Vendor(OSError("down"), OSError("still down"), Judgement(Verdict.REFUSED))
        monkeypatch.setattr(api.parts.media.service, "_moderator", asked)
        media_id = upload(api, make_user(api)).data["media_id"]
        row = row_of(api, media_id)
        assert row is not None and (row.verdict, row.asked_at) == ("pending", None)
        told: list[tuple[str, Verdict | None]] = []

        def again(at: datetime) -> int:
            told.clear()
            return ask_again(
                api.parts.media.service, at, report_progress=lambda one, verdict: told.append((one, verdict))
            )

        five_minutes_old = row.create_time + timedelta(minutes=5)
        assert (again(five_minutes_old), told) == (0, []), "the upload may still be asking"
        later = five_minutes_old + timedelta(microseconds=1)
        assert (again(later), told) == (0, [(media_id, None)])
        assert (again(later), told) == (1, [(media_id, Verdict.REFUSED)])
        assert (again(later), told) == (0, [])
        assert len(asked.asked) == 3
        row = row_of(api, media_id)
        assert row is not None and row.verdict == "refused"

    def test_who_answers_later_is_not_asked_again(
        self, app_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api = app_of()
        asked = Vendor(Judgement(Verdict.PENDING, reference="case-2"))
        monkeypatch.setattr(api.parts.media.service, "_moderator", asked)
        media_id = upload(api, make_user(api)).data["media_id"]
        assert ask_again(api.parts.media.service, now() + DAY) == 0
        with api.parts.base.database.transaction() as session:
            api.parts.media.service.decide(session, media_id, Judgement(Verdict.APPROVED, "ok"), now())
        row = row_of(api, media_id)
        assert row is not None and (row.verdict, row.reason) == ("approved", "ok")

    def test_who_decided_meanwhile_has_the_last_word(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        media = make_media(api, 7, verdict="pending")

        class Slow:
            def judge(self, subject: Subject) -> Judgement:
                with api.parts.base.database.transaction() as session:
                    api.parts.media.service.decide(
                        session, subject.media_id, Judgement(Verdict.REFUSED), now()
                    )
                return Judgement(Verdict.APPROVED)

        monkeypatch.setattr(api.parts.media.service, "_moderator", Slow())
        assert api.parts.media.service.ask(media.id, now()) is None
        row = row_of(api, media.id)
        assert row is not None and row.verdict == "refused"

    def test_a_change_is_announced(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        heard: list[MediaJudged] = []
        api.parts.base.events.listen(MediaJudged, heard.append)
        media = make_media(api, 7, "image", verdict="pending")
        for verdict in (Verdict.REFUSED, Verdict.REFUSED, Verdict.APPROVED):
            with api.parts.base.database.transaction() as session:
                api.parts.media.service.decide(session, media.id, Judgement(verdict), now())
        assert heard == [
            MediaJudged(media.id, 7, "image", Verdict.REFUSED),
            MediaJudged(media.id, 7, "image", Verdict.APPROVED),
        ]
        with pytest.raises(MediaNotFound), api.parts.base.database.transaction() as session:
            api.parts.media.service.decide(session, "none", Judgement(Verdict.APPROVED), now())
