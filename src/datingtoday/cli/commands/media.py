"""`datingtoday media`: what nothing shows goes, and people judge what other people upload."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datingtoday.cli.main import EXIT_FAILED, CommandFailed
from datingtoday.cli.options import settings_options
from datingtoday.cli.parts import open_parts, reading, transaction
from datingtoday.cli.progress import Progress
from datingtoday.cli.terminal import in_language, note, one_line, say, table
from datingtoday.cli.text_arguments import clean_text
from datingtoday.infra.text import Text

if TYPE_CHECKING:
    from datingtoday.media.models import Media
    from datingtoday.media.moderation import Verdict

VERDICTS = ("pending", "refused", "approved")
REASON_CHARS = 200


@click.group()
def command() -> None:
    """Remove unused uploads, and moderate uploads."""


@command.command()
@click.option(
    "--batch", "batch_rows", type=click.IntRange(1, 10_000), default=200, show_default=True,
    help="Maximum uploads per statement.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="Print errors only; for cron.")
@settings_options
def purge(batch_rows: int, quiet: bool, config_file: Path | None, data_dir: Path | None) -> int:
    """Remove uploads that no album, avatar or message uses ([MEDIA] unused_hours), and orphaned files.

    Orphaned files belong to uploads that failed or were removed, and to deleted accounts. Works in small
    batches while servers
    keep running. Safe to stop and to run twice. A worker on each host does it once an hour.

    Exit codes: 0 done, 1 failed (removed rows stay removed) or objects missing, 2 the settings are wrong.
    """
    from datingtoday.infra.db import DatabaseDown
    from datingtoday.infra.storage.storage import StorageError
    from datingtoday.media.jobs import purge as purge_media

    with open_parts(config_file, data_dir, needs_redis=False) as parts, Progress(quiet=quiet) as progress:
        unused_for = timedelta(hours=parts.base.settings.media.unused_hours)
        try:
            done = purge_media(
                parts.media.service,
                datetime.now(UTC),
                unused_for=unused_for,
                batch_rows=batch_rows,
                report_progress=lambda what, count: progress.report(count, *_removed(what, count)),
            )
        except (DatabaseDown, StorageError) as error:
            raise CommandFailed(
                f"database or store cannot be reached ({error}); what was removed stays removed",
                f"无法访问数据库或存储（{error}）；已删除的部分不受影响",
            ) from error
    if done.missing:
        note(*_missing(done.missing))
    if not quiet:
        for what, count in (
            ("unused", done.unused),
            ("objects", done.objects),
            ("leftovers", done.leftovers),
        ):
            say(*_removed(what, count))
    return EXIT_FAILED if done.missing else 0


_WHAT = {
    "unused": ("unused uploads", "未使用的上传"),
    "objects": ("stored objects", "存储对象"),
    "leftovers": ("unfinished files", "未完成的文件"),
}


def _missing(count: int) -> Text:
    return Text(
        f"{count} objects are not in the storage, and are looked for again tomorrow: is [STORAGE] path the folder that "
        "the servers use?",
        f"存储中缺少 {count} 个对象，明天会再次查找：[STORAGE] path 是否为服务所用的目录？",
    )


def _removed(what: str, count: int) -> Text:
    en, zh = _WHAT[what]
    return Text(f"{en}: {count} removed", f"{zh}：已删除 {count} 个")


@command.group()
def moderate() -> None:
    """Moderate uploads: pending and refused ones are shown to their owners only.

    Takes effect with the next request for the bytes.
    """


@moderate.command("list")
@click.option("--verdict", type=click.Choice(VERDICTS), default="pending", show_default=True)
@click.option("--most", type=click.IntRange(1, 10_000), default=100, show_default=True)
@settings_options
def list_(verdict: str, most: int, config_file: Path | None, data_dir: Path | None) -> None:
    """Show uploads with this verdict, the oldest first, with URLs that work for a while.

    Whoever has such a URL sees the upload as its owner does.

    Exit codes: 0 shown, 1 failed, 2 wrong usage or settings.
    """
    from datingtoday.media.moderation import Verdict

    now = datetime.now(UTC)
    with reading(config_file, data_dir) as (parts, session):
        found = parts.media.service.judged(session, Verdict(verdict), most=most)
        rows = [_row(row, parts.media.service.urls(row, row.user_id, now)["url"]) for row in found]
    if not rows:
        note("no such uploads", "没有这样的上传")
        return
    header = (
        "id",
        in_language("time (UTC)", "时间 (UTC)"),
        in_language("owner", "所有者"),
        in_language("kind", "类型"),
        in_language("reason", "原因"),
        "url",
    )
    for line in table([header, *rows]):
        click.echo(line)


@moderate.command()
@click.argument("media_ids", nargs=-1, required=True)
@settings_options
def approve(media_ids: Sequence[str], config_file: Path | None, data_dir: Path | None) -> None:
    """Let these uploads be shown to everybody who may see them.

    Exit codes: 0 done, 1 failed (no such upload; nothing was changed), 2 wrong usage or settings.
    """
    from datingtoday.media.moderation import Verdict

    _decide(media_ids, Verdict.APPROVED, "", config_file, data_dir)
    say(f"approved: {len(media_ids)}", f"已通过：{len(media_ids)}")


@moderate.command()
@click.argument("media_ids", nargs=-1, required=True)
@click.option("--reason", default="", help="Reason, for other moderators.")
@settings_options
def refuse(media_ids: Sequence[str], reason: str, config_file: Path | None, data_dir: Path | None) -> None:
    """Show these uploads to nobody but their owners.

    Exit codes: 0 done, 1 failed (no such upload; nothing was changed), 2 wrong usage or settings.
    """
    from datingtoday.media.moderation import Verdict

    _decide(media_ids, Verdict.REFUSED, reason, config_file, data_dir)
    say(f"refused: {len(media_ids)}", f"已拒绝：{len(media_ids)}")


@moderate.command()
@settings_options
def ask(config_file: Path | None, data_dir: Path | None) -> None:
    """Ask the moderator of the settings about uploads that it has not answered for, because it failed.

    Exit codes: 0 done, 1 failed (no answer for some of them), 2 the settings are wrong.
    """
    from datingtoday.media.jobs import ask_again

    failed: list[str] = []

    with open_parts(config_file, data_dir) as parts, Progress() as progress:
        asked = 0

        def report_progress(media_id: str, verdict: "Verdict | None") -> None:
            nonlocal asked
            asked += 1
            if verdict is None:
                failed.append(media_id)
            progress.say(f"{media_id} {verdict or '-'}")
            progress.report(asked, f"{asked} asked", f"已询问 {asked} 个")

        answered = ask_again(parts.media.service, datetime.now(UTC), report_progress=report_progress)
    if failed:
        raise CommandFailed(
            f"answered: {answered}, no answer: {len(failed)}; the log says why",
            f"已回答：{answered}，未回答：{len(failed)}；原因见日志",
        )
    say(f"answered: {answered}", f"已回答：{answered}")


def _decide(
    media_ids: Sequence[str], verdict: "Verdict", reason: str, config_file: Path | None, data_dir: Path | None
) -> None:
    """All of them, or none."""
    from datingtoday.media.errors import MediaNotFound
    from datingtoday.media.moderation import Judgement

    reason = clean_text("--reason", reason, 0, REASON_CHARS)
    now = datetime.now(UTC)
    with transaction(config_file, data_dir) as (parts, session):
        for media_id in sorted(set(media_ids)):
            try:
                parts.media.service.decide(session, media_id, Judgement(verdict, reason), now)
            except MediaNotFound as error:
                raise CommandFailed(
                    f"there is no upload {media_id}; nothing was changed",
                    f"没有上传 {media_id}；没有做任何修改",
                ) from error


def _row(row: "Media", url: str) -> tuple[str, ...]:
    reason = one_line(row.reason) or "-"
    return row.id, f"{row.create_time:%Y-%m-%d %H:%M:%S}", str(row.user_id), row.kind, reason, url
