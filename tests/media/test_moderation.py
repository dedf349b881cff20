"""The hook, and what its verdicts mean."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest

from datingtoday.media.moderation import (
    ApproveAll,
    Judgement,
    Subject,
    Verdict,
    load_moderator,
    may_be_shown,
)
from tests.media.uploads import make_media
from tests.plugins.api import Api

SUBJECT = Subject(media_id="m", kind="photo", mime="image/jpeg", owner_id=1, read=lambda: b"bytes")


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("example_vendor")
    monkeypatch.setitem(sys.modules, "example_vendor", module)
    return module


def test_the_local_default_approves() -> None:
    moderator = load_moderator("approve")
    assert isinstance(moderator, ApproveAll)
    assert moderator.judge(SUBJECT) == Judgement(Verdict.APPROVED)


def test_a_vendor_is_put_in_by_name(vendor: ModuleType) -> None:
    class Vendor:
        def judge(self, subject: Subject) -> Judgement:
            return Judgement(Verdict.REFUSED, reason=f"{len(subject.read())} bytes", reference="case-7")

    vendor.Vendor = Vendor  # type: ignore[attr-defined]
    judgement = load_moderator("example_vendor:Vendor").judge(SUBJECT)
    assert judgement == Judgement(Verdict.REFUSED, "5 bytes", "case-7")


@pytest.mark.parametrize(
    "name",
    ["", "aprove", "example_vendor", ":Vendor", "example_vendor:", "example_vendor:Nobody", "no_such:X"],
)
def test_a_wrong_name_is_told(vendor: ModuleType, name: str) -> None:
    with pytest.raises(ValueError, match="moderator"):
        load_moderator(name)


def test_what_cannot_judge_is_told(vendor: ModuleType) -> None:
    vendor.make = dict  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="cannot judge"):
        load_moderator("example_vendor:make")


@pytest.mark.parametrize(
    ("verdict", "owner", "others"),
    [(Verdict.APPROVED, True, True), (Verdict.PENDING, True, False), (Verdict.REFUSED, True, False)],
)
def test_who_sees_what(verdict: Verdict, owner: bool, others: bool) -> None:
    assert may_be_shown(verdict, to_owner=True) is owner
    assert may_be_shown(verdict, to_owner=False) is others


def test_verdicts_are_stored_under_these_names() -> None:
    assert [verdict.value for verdict in Verdict] == ["pending", "approved", "refused"]


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_how_many_wait_and_for_how_long(app_of: Callable[..., Api]) -> None:
    api, now = app_of(), datetime(2026, 5, 4, 12, tzinfo=UTC)

    def read() -> dict[str, float]:
        return {it.name: it.samples[0].value for it in api.parts.media.numbers.read(now)}

    names = ("datingtoday_media_waiting", "datingtoday_media_waiting_seconds")
    make_media(api, 7, verdict="refused", create_time=now - timedelta(days=9))
    assert read() == dict(zip(names, (0, 0), strict=True))
    for ago_s in (60, 7200, -5):
        make_media(api, 7, verdict="pending", create_time=now - timedelta(seconds=ago_s))
    assert read() == dict(zip(names, (3, 7200), strict=True))
