"""`datingtoday moderation`: reports, and who may take part."""

import json
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datingtoday.cli.main import CommandFailed
from datingtoday.cli.options import settings_options
from datingtoday.cli.parts import reading, transaction
from datingtoday.cli.terminal import in_language, note, one_line, say, say_json, table
from datingtoday.cli.text_arguments import clean_text

if TYPE_CHECKING:
    from datingtoday.infra.storage.storage import Storage
    from datingtoday.media.models import Media
    from datingtoday.safety.models import UserReport

STATES = ("open", "dismissed", "banned")
REASON_CHARS = 200
_DAYS = re.compile(r"([1-9][0-9]{0,4})d", re.ASCII)


class Span(click.ParamType[timedelta]):
    """`7d`: whole days."""

    name = "days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        match = _DAYS.fullmatch(str(value))
        if match is None:
            self.fail("allowed: a number of days with d (1d, 30d), up to 99999d", param, ctx)
        return timedelta(days=int(match[1]))


@click.group()
def command() -> None:
    """Review reports, and ban users.

    Running servers notice every change with its commit.
    """


@command.command("list")
@click.option("--state", type=click.Choice([*STATES, "all"]), default="open", show_default=True)
@click.option("--user", "user_id", type=click.IntRange(min=1), help="Only reports about this user id.")
@click.option("--most", type=click.IntRange(1, 10_000), default=100, show_default=True)
@settings_options
def list_(
    state: str, user_id: int | None, most: int, config_file: Path | None, data_dir: Path | None
) -> None:
    """Show reports, the oldest first.

    Exit codes: 0 shown, 1 failed, 2 wrong usage or settings.
    """
    from datingtoday.safety.models import ReportState

    wanted = None if state == "all" else ReportState(state)
    with reading(config_file, data_dir) as (parts, session):
        found = parts.safety.moderation.reports(session, state=wanted, peer_id=user_id, most=most)
        rows = [_row(report) for report in found]
    if not rows:
        say("no reports", "没有举报")
        return
    header = (
        "id",
        in_language("time (UTC)", "时间 (UTC)"),
        in_language("about", "被举报人"),
        in_language("by", "举报人"),
        in_language("reason", "原因"),
        in_language("state", "状态"),
        in_language("detail", "说明"),
    )
    for line in table([header, *rows]):
        click.echo(line)


@command.command()
@click.argument("report_id", type=click.IntRange(min=1))
@click.option(
    "--photos",
    "photos_dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the photos that an open report keeps to this folder.",
)
@settings_options
def show(report_id: int, photos_dir: Path | None, config_file: Path | None, data_dir: Path | None) -> None:
    """Show a report with its evidence, as JSON.

    The evidence is how the reported person looked when the report was made. Media ids stand in place of URLs. As long
    as the report is open its photos are kept, although their owner may have removed them.

    Exit codes: 0 shown, 1 failed (no such report), 2 wrong usage or settings.
    """
    with reading(config_file, data_dir) as (parts, session):
        report = parts.safety.moderation.report(session, report_id)
        if report is None:
            raise _no_report(report_id)
        if photos_dir is not None:
            _write_photos(
                parts.media.service.storage, parts.safety.moderation.held_photos(session, report), photos_dir
            )
        data = {
            "report_id": report.id,
            "state": report.state,
            "about": report.peer_id,
            "by": report.user_id,
            "reason": report.reason,
            "detail": report.detail,
            "message_id": report.message_id,
            "create_time": _time(report.create_time),
            "close_time": None if report.close_time is None else _time(report.close_time),
            "note": report.note,
            "evidence": json.loads(report.evidence),
        }
    say_json(data)


@command.command()
@click.argument("report_id", type=click.IntRange(min=1))
@click.option("--note", "why", default="", help="Reason, for other moderators.")
@settings_options
def dismiss(report_id: int, why: str, config_file: Path | None, data_dir: Path | None) -> None:
    """Close a report without consequences.

    Exit codes: 0 done, 1 failed (no such report, or closed already), 2 wrong usage or settings.
    """
    from datingtoday.safety.moderation import ReportClosed

    why = clean_text("--note", why, 0, REASON_CHARS)
    try:
        with transaction(config_file, data_dir) as (parts, session):
            if parts.safety.moderation.dismiss(session, report_id, why, datetime.now(UTC)) is None:
                raise _no_report(report_id)
    except ReportClosed as error:
        raise CommandFailed(
            f"report {report_id} is closed already: {error.state}", f"举报 {report_id} 已关闭：{error.state}"
        ) from error
    say(f"report {report_id} is dismissed", f"举报 {report_id} 已驳回")


@command.command()
@click.argument("user_id", type=click.IntRange(min=1))
@click.option("--reason", required=True, help="Shown to the user.")
@click.option("--for", "span", type=Span(), help="Duration in days (7d); permanent if left out.")
@settings_options
def ban(
    user_id: int, reason: str, span: timedelta | None, config_file: Path | None, data_dir: Path | None
) -> None:
    """Hide a person and keep them out (1102), and close the open reports about them.

    Exit codes: 0 done, 1 failed (no such account), 2 wrong usage or settings.
    """
    from datingtoday.profiles.errors import UserNotFound

    reason = clean_text("--reason", reason, 1, REASON_CHARS)
    now = datetime.now(UTC)
    until = None if span is None else now + span
    try:
        with transaction(config_file, data_dir) as (parts, session):
            closed = parts.safety.moderation.ban(session, user_id, until=until, reason=reason, now=now)
    except UserNotFound as error:
        raise _no_account(user_id) from error
    say(
        f"{user_id} is banned {'permanently' if until is None else f'until {_time(until)} UTC'}; {closed} "
        f"reports closed",
        f"{user_id} 已封禁{'（永久）' if until is None else f'至 {_time(until)} UTC'}；关闭了 {closed} 条举报",
    )


@command.command()
@click.argument("user_id", type=click.IntRange(min=1))
@settings_options
def unban(user_id: int, config_file: Path | None, data_dir: Path | None) -> None:
    """End a ban at once.

    Exit codes: 0 done, 1 failed (no such account, or not banned), 2 wrong usage or settings.
    """
    from datingtoday.profiles.errors import UserNotFound

    try:
        with transaction(config_file, data_dir) as (parts, session):
            ended = parts.safety.moderation.unban(session, user_id, datetime.now(UTC))
    except UserNotFound as error:
        raise _no_account(user_id) from error
    if not ended:
        raise CommandFailed(f"{user_id} is not banned", f"{user_id} 未被封禁")
    say(f"{user_id} is no longer banned", f"{user_id} 已解封")


def _write_photos(storage: "Storage", photos: "list[Media]", folder: Path) -> None:
    from datingtoday.infra.storage.storage import StorageError

    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for photo in photos:
            file = folder / f"{photo.id}.jpg"
            with closing(storage.open_range(photo.storage_key)) as chunks, file.open("wb") as target:
                target.writelines(chunks)
            note(str(file), str(file))
    except (StorageError, OSError) as error:
        raise CommandFailed(f"the photos cannot be written: {error}", f"无法写出照片：{error}") from error


def _row(report: "UserReport") -> tuple[str, ...]:
    by = "-" if report.user_id is None else str(report.user_id)
    return (
        str(report.id),
        _time(report.create_time),
        str(report.peer_id),
        by,
        report.reason,
        report.state,
        one_line(report.detail),
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _no_report(report_id: int) -> CommandFailed:
    return CommandFailed(
        f"there is no report {report_id}: see `datingtoday moderation list --state all`",
        f"没有举报 {report_id}：见 `datingtoday moderation list --state all`",
    )


def _no_account(user_id: int) -> CommandFailed:
    return CommandFailed(f"there is no account {user_id}, or it is deleted", f"没有账号 {user_id}，或已注销")
