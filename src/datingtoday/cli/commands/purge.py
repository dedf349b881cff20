"""`datingtoday purge`: rows that nothing needs any more."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from datingtoday.cli.main import CommandFailed, speaks_chinese
from datingtoday.cli.options import settings_options
from datingtoday.cli.parts import open_parts

_TELL_EVERY_S = 2.0
_ACCOUNTS = "accounts"


@click.command()
@settings_options
@click.option(
    "--batch",
    "batch_rows",
    type=click.IntRange(1, 10_000),
    default=1000,
    show_default=True,
    help="The most rows that one statement touches.",
)
@click.option("--quiet", is_flag=True, help="Say nothing but errors; for cron.")
def command(config_file: Path | None, data_dir: Path | None, batch_rows: int, quiet: bool) -> None:
    """Remove SMS codes older than 2 days, logins that expired and accounts that were deleted more than 30 days ago.

    In small batches: servers go on meanwhile. Safe to stop and to run twice. Run it once a day.

    Exit codes: 0 done, 1 failed (what was removed stays removed), 2 the settings are wrong.
    """
    from datingtoday.accounts.jobs import purge
    from datingtoday.infra.db import DatabaseDown

    told_at = time.monotonic()

    def tell(table: str, removed: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= _TELL_EVERY_S:
            told_at = time.monotonic()
            click.echo(_line(table, removed, more=True))

    quiet_tell = (lambda table, removed: None) if quiet else tell
    now = datetime.now(UTC)
    with open_parts(config_file, data_dir, needs_redis=False) as parts:
        try:
            removed = purge(parts.base.database, now, batch_rows=batch_rows, tell=quiet_tell)
            accounts = parts.safety.deletion.purge(
                parts.base.database, now, batch_rows=batch_rows, tell=lambda done: quiet_tell(_ACCOUNTS, done)
            )
        except DatabaseDown as error:
            raise CommandFailed(
                "the database cannot be reached; what was removed stays removed",
                "无法连接数据库；已删除的部分不受影响",
            ) from error
    removed[_ACCOUNTS] = accounts
    if not quiet:
        for table, count in removed.items():
            click.echo(_line(table, count, more=False))


def _line(table: str, removed: int, *, more: bool) -> str:
    so_far = " …" if more else ""
    return (
        f"{table}: 已删除 {removed} 行{so_far}" if speaks_chinese() else f"{table}: {removed} removed{so_far}"
    )
