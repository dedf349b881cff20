"""Limits at the last value that is allowed and the first that is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from datingtoday.chat.schemas import MessageText
from datingtoday.cli.commands.moderation import REASON_CHARS
from datingtoday.cli.doctor import settings_checks, storage_checks
from datingtoday.cli.text_arguments import clean_text
from datingtoday.infra.jobs.leases import JobState
from datingtoday.infra.jobs.status import HEARTBEAT, is_worker_alive
from datingtoday.infra.payments.provider import NoticeRefused
from datingtoday.media.errors import FileRefused
from datingtoday.media.processing.audio_video import check_size
from datingtoday.media.processing.ffmpeg import Stream
from datingtoday.profiles.parameters import Email, Nickname
from datingtoday.protocol.errors import AppError
from datingtoday.protocol.fields import LatLng
from datingtoday.vip.jobs import PaymentJobs
from datingtoday.vip.models import RefundState
from datingtoday.vip.schemas import Receipt
from datingtoday.web.connection_report import is_proved, proof
from tests.plugins.api import Api
from tests.profiles.factories import make_user
from tests.vip.purchases import make_order, paid_at_provider, pay, sandbox_of, tasks_of

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
KEY = b"k" * 32
REFUSED = (ValueError, AppError, FileRefused, click.UsageError)


def reads(parameter: Any, text: str) -> bool:
    try:
        parameter.read(text)
    except REFUSED:
        return False
    return True


@pytest.mark.parametrize(
    ("parameter", "longest"),
    [
        (Nickname(), "名" * 32),
        # Eight characters of 31 code points each, and one of seven.
        (Nickname(), ("x" + "\u0301" * 30) * 8 + "x" + "\u0301" * 6),
        (Email(), "a" * 52 + "@example.com"),
        (MessageText(), "字" * 2000),
        (Receipt(), f"{'a' * 8000}.{'b' * 8000}.{'c' * 382}"),
        (LatLng(), f"1.{'2' * 398},3"),
    ],
)
def test_the_longest_text(parameter: Any, longest: str) -> None:
    assert reads(parameter, longest)
    more = longest.replace("1.2", "1.22") if isinstance(parameter, LatLng) else longest + longest[-1]
    assert not reads(parameter, more)


@pytest.mark.parametrize(("chars", "is_allowed"), [(0, False), (1, True), (200, True), (201, False)])
def test_the_reason_of_a_moderator(chars: int, is_allowed: bool) -> None:
    if is_allowed:
        assert clean_text("--reason", " " + "x" * chars, 1, REASON_CHARS) == "x" * chars
    else:
        with pytest.raises(click.UsageError, match="1 to 200 characters"):
            clean_text("--reason", "x" * chars, 1, REASON_CHARS)


@pytest.mark.parametrize(("ahead_s", "proves"), [(600, True), (601, False), (-600, True), (-601, False)])
def test_a_report_of_the_connection_is_for_ten_minutes(ahead_s: int, proves: bool) -> None:
    assert is_proved(KEY, proof(KEY, 10_000, "0" * 16), 10_000 + ahead_s) is proves


@pytest.mark.parametrize(("ago_ms", "is_alive"), [(44_999, True), (45_000, False)])
def test_a_worker_is_dead_after_45_seconds_without_a_heartbeat(ago_ms: int, is_alive: bool) -> None:
    state = JobState(HEARTBEAT, "", 0, 0, 0, 1_000_000, 0, 1, 0, "", 1_000_000 + ago_ms)
    assert is_worker_alive([state]) is is_alive


@pytest.mark.parametrize(
    ("width", "height", "is_allowed"),
    [(4096, 2304, True), (4097, 2304, False), (2304, 4096, True), (2304, 4097, False), (3800, 2500, True),
     (3801, 2500, False), (1, 1, True), (0, 1, False)],
)  # fmt: skip
def test_the_largest_picture_of_a_film(width: int, height: int, is_allowed: bool) -> None:
    picture = Stream(0, "video", "h264", width, height, 0, attached_picture=False)
    if is_allowed:
        check_size(picture)
    else:
        with pytest.raises(FileRefused):
            check_size(picture)


@pytest.mark.parametrize(
    ("free", "total", "said"),
    [
        (2**30, 2**30, "ok"), (2**30 - 1, 2**30, "warning"),
        (5 * 2**30, 100 * 2**30, "ok"), (5 * 2**30 - 1, 100 * 2**30, "warning"),
    ],
)  # fmt: skip
def test_room_for_what_is_stored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, total: int, said: str
) -> None:
    usage = SimpleNamespace(free=free, total=total)
    monkeypatch.setattr(storage_checks, "shutil", SimpleNamespace(disk_usage=lambda _: usage))
    assert storage_checks._room(tmp_path).state == said


@pytest.mark.parametrize(
    ("secret", "is_weak"),
    [
        ("abcdefgh" * 4, False),
        ("abcdefgh" * 4 + "x", False),
        (("abcdefgh" * 4)[1:], True),
        ("abcdefg" * 5, True),
    ],
)
def test_a_secret_has_32_characters_and_eight_different_ones(secret: str, is_weak: bool) -> None:
    settings: Any = SimpleNamespace(
        app=SimpleNamespace(appsecret=secret), security=SimpleNamespace(secret_key="")
    )
    assert bool(list(settings_checks._weak(settings))) is is_weak


@pytest.mark.parametrize(("age_s", "is_read"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_a_notification_is_for_five_minutes(api: Api, age_s: int, is_read: bool) -> None:
    trade = paid_at_provider(api, make_order(api, make_user(api)))
    sent = datetime.now(UTC).replace(microsecond=0)
    headers, body = sandbox_of(api).notice(trade, sent)
    read: Callable[[], Any] = lambda: sandbox_of(api).read_notice(  # noqa: E731
        {name.lower(): value for name, value in headers.items()}, body, sent + timedelta(seconds=age_s)
    )
    if is_read:
        assert read()
    else:
        with pytest.raises(NoticeRefused, match="age"):
            read()


def test_a_refund_is_tried_forty_times(api: Api) -> None:
    order = make_order(api, make_user(api))
    pay(api, order)
    jobs = api.parts.vip.jobs
    jobs.database.retried(lambda session: jobs.order_refund(order["trade_no"], NOW) and None)
    (task,) = tasks_of(api, order)
    for tries, state in ((38, RefundState.DUE), (39, RefundState.FAILED)):
        with jobs.database.transaction() as session:
            kept = session.get_one(type(task), task.id)
            kept.tries, kept.state = tries, RefundState.DUE
        with jobs.database.transaction() as session:
            PaymentJobs._try_later(session, task.id, NOW, is_final=False, reason="down")
        assert tasks_of(api, order)[0].state == state, tries
