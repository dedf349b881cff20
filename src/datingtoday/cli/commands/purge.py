"""`datingtoday purge`: rows that nothing needs any more."""

from datetime import UTC, datetime
from pathlib import Path

import click

from datingtoday.cli.main import CommandFailed
from datingtoday.cli.options import settings_options
from datingtoday.cli.parts import open_parts
from datingtoday.cli.progress import Progress
from datingtoday.cli.terminal import say
from datingtoday.infra.text import Text

_ACCOUNTS = "accounts"
_SIGNATURES = "kept_signature"


@click.command()
@settings_options
@click.option(
    "--batch",
    "batch_rows",
    type=click.IntRange(1, 10_000),
    default=1000,
    show_default=True,
    help="Maximum rows per statement.",
)
@click.option("--quiet", is_flag=True, help="Print errors only; for cron.")
def command(config_file: Path | None, data_dir: Path | None, batch_rows: int, quiet: bool) -> None:
    """Remove SMS codes older than 2 days, logins that expired and accounts that were deleted more than 30 days ago.

    Works in small batches while servers keep running. Safe to stop and to run twice. A worker does it once a day.

    Exit codes: 0 done, 1 failed (removed rows stay removed), 2 the settings are wrong.
    """
    from datingtoday.accounts.jobs import purge
    from datingtoday.infra.db import DatabaseDown

    now = datetime.now(UTC)
    with open_parts(config_file, data_dir, needs_redis=False) as parts, Progress(quiet=quiet) as progress:

        def report_progress(table: str, removed: int) -> None:
            progress.report(removed, *_line(table, removed))

        try:
            removed = purge(parts.base.database, now, batch_rows=batch_rows, report_progress=report_progress)
            accounts = parts.safety.deletion.purge(
                parts.base.database,
                now,
                batch_rows=batch_rows,
                report_progress=lambda done: report_progress(_ACCOUNTS, done),
            )
            signatures = parts.protocol.signatures.forget_old(
                now, report_progress=lambda done: report_progress(_SIGNATURES, done)
            )
        except DatabaseDown as error:
            raise CommandFailed(
                "the database cannot be reached; what was removed stays removed",
                "无法连接数据库；已删除的部分不受影响",
            ) from error
    removed |= {_ACCOUNTS: accounts, _SIGNATURES: signatures}
    if not quiet:
        for table, count in removed.items():
            say(*_line(table, count))


def _line(table: str, removed: int) -> Text:
    return Text(f"{table}: {removed} removed", f"{table}: 已删除 {removed} 行")
