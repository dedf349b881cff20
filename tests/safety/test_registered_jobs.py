"""Jobs as features register them: how often docs/worker.md and docs/vip.md say that they run, and that they do it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from datingtoday.accounts.models import SmsCode
from datingtoday.infra.jobs.registry import Job
from datingtoday.media.moderation import Judgement, Subject, Verdict
from datingtoday.profiles.models import UserInfo
from datingtoday.protocol.signing.models import KeptSignature
from tests.house.source import PROJECT
from tests.media.uploads import make_media, row_of
from tests.plugins.api import Api
from tests.profiles.factories import make_user

PERIODS = {"day": 86_400, "daily": 86_400, "hour": 3_600, "min": 60, "second": 1, "s": 1}
DEPENDS = {"hot_edition", "heartbeat"}
"""Its period follows from its cost; of the worker's own, not of a feature."""


def told(page: str) -> dict[str, tuple[float, str]]:
    """Period (s) and what is said of it, by job."""
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    found = re.findall(r"^\| `(\w+)` \| (?:(\d+) )?(\w+)([^|]*)\|", text, re.MULTILINE)
    found += [(*it, "") for it in re.findall(r"`(\w+)` \((\d+) (s)\)", text)]
    rows = {name: (float(number or 1) * PERIODS.get(unit, 0), more) for name, number, unit, more in found}
    if (daily := re.search(r"`(\w+)` and `(\w+)` \(daily\)", text)) is not None:
        rows |= dict.fromkeys(daily.groups(), (86400.0, ""))
    return rows


def jobs_of(api: Api) -> dict[str, Job]:
    return {job.name: job for job in api.parts.base.jobs}


def test_jobs_run_as_often_as_the_pages_say(api: Api) -> None:
    jobs, pages = jobs_of(api), {**told("worker.md"), **told("vip.md")}
    assert jobs.keys() - {"demo_answers"} <= pages.keys()
    for name, job in jobs.items():
        period_s, more = pages[name]
        assert job.every_s == period_s or name in DEPENDS, name
        assert job.per_host is ("on each host" in more), name
        if "if there is work" in more:
            assert job.has_work is not None, name


@pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)
def test_the_purges_are_registered(api: Api) -> None:
    jobs, now = jobs_of(api), datetime.now(UTC)
    leaving = make_user(api)
    code = api.new_code(leaving.phone, "delete")
    assert api.post("/api/user/delete", leaving, code=code).code == 0
    sign = "0" * 63 + "f"
    with api.parts.base.database.transaction() as session:
        session.add(KeptSignature(sign=sign, until=now - timedelta(seconds=1)))
        deleted_at = session.get_one(UserInfo, leaving.user_id).deleted_at
        assert deleted_at is not None
    for name in ("signatures_purge", "logins_purge", "accounts_purge"):
        jobs[name].run(now + timedelta(days=31))
    with api.parts.base.database.reading() as session:
        assert session.get(KeptSignature, sign) is None
        assert session.get_one(UserInfo, leaving.user_id).deleted_at is None, "purged"
        assert session.scalars(select(SmsCode.id).where(SmsCode.sent_at < now)).all() == []


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_the_jobs_of_uploads_are_registered(
    app_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = app_of(MEDIA_UNUSED_HOURS=5)
    jobs, now = jobs_of(api), datetime.now(UTC)
    old, young = (make_media(api, 7, unused_since=now - timedelta(hours=hours)) for hours in (6, 4))
    jobs["media_purge"].run(now)
    assert (row_of(api, old.id), row_of(api, young.id) is None) == (None, False)

    left = api.parts.base.settings.data_dir / "uploads" / "upload-abc"
    left.mkdir(parents=True)
    jobs["media_leftovers"].run(now)
    assert left.exists()
    os.utime(left, (0, 0))
    jobs["media_leftovers"].run(now)
    assert not left.exists()

    class Refusing:
        def judge(self, subject: Subject) -> Judgement:
            return Judgement(Verdict.REFUSED)

    monkeypatch.setattr(api.parts.media.service, "_moderator", Refusing())
    waiting = make_media(api, 7, verdict="pending", create_time=now - timedelta(minutes=6))
    jobs["media_moderation"].run(now)
    judged = row_of(api, waiting.id)
    assert judged is not None and judged.verdict == "refused"
